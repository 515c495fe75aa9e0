"""The library: what one expert learns leaves the others' answers as they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_experts import a_delta, a_router, a_unet
from tiny_online import SIDE, TinyModel

from clopa_annotator.errors import ConfigError, CorruptRecord, DeltaMismatch, UnknownVersion
from clopa_annotator.experts.library import ExpertLibrary
from clopa_annotator.swap import apply_version


def answers(library: ExpertLibrary, model: TinyModel, base: dict[str, torch.Tensor]) -> dict[str, bytes]:
    x = torch.randn(1, 8, SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    given = {}
    for expert in library.experts():
        apply_version(model, base, library.delta(expert.expert_id), 1)
        with torch.no_grad():
            given[expert.expert_id] = model.network(x).numpy().tobytes()
    return given


def test_a_tenth_expert_leaves_the_other_nines_answers_bit_identical(tmp_path: Path) -> None:
    library = ExpertLibrary.create(tmp_path / "library", "hash")
    model = TinyModel(a_unet())
    base = {n: p.detach().clone() for n, p in model.network.named_parameters()}
    for n in range(9):
        library.add(f"Organ {n}", a_delta(n), licence="CC0-1.0")
    before = answers(library, model, base)
    files = {p: p.read_bytes() for p in (tmp_path / "library" / "experts").rglob("*") if p.is_file()}
    library.add("Organ ten", a_delta(10), licence="CC0-1.0")
    after = answers(library, model, base)
    assert len(after) == 10 and len(set(after.values())) == 10
    assert {name: after[name] for name in before} == before
    assert all(path.read_bytes() == content for path, content in files.items())


def test_names_are_free_and_ids_are_safe_and_never_reused(tmp_path: Path) -> None:
    library = ExpertLibrary.create(tmp_path / "l", "hash")
    names = ("Hippocampus: T1/1.5 T", "hippocampus t1 1 5 T", "海馬", "x" * 300)
    ids = [library.add(name, a_delta(0), licence="CC BY-NC-SA 4.0").expert_id for name in names]
    assert ids == ["hippocampus-t1-1-5-t-01", "hippocampus-t1-1-5-t-02", "expert-01", "x" * 40 + "-01"]
    again = ExpertLibrary.open(tmp_path / "l")
    assert {e.name for e in again.experts()} == set(names)
    assert {e.licence for e in again.experts()} == {"CC BY-NC-SA 4.0"}


def test_a_flipped_bit_an_unknown_expert_and_a_second_library_are_refused(tmp_path: Path) -> None:
    library = ExpertLibrary.create(tmp_path / "l", "hash")
    expert = library.add("a", a_delta(0), licence="x")
    path = tmp_path / "l" / "experts" / expert.expert_id / "delta.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptRecord, match="damaged"):
        library.delta(expert.expert_id)
    with pytest.raises(UnknownVersion, match="no expert"):
        library.delta("../l")
    with pytest.raises(ConfigError, match="already"):
        ExpertLibrary.create(tmp_path / "l", "hash")
    with pytest.raises(ConfigError, match="needs a name"):
        library.add(" ", a_delta(0), licence="x")
    with pytest.raises(DeltaMismatch, match="not finite"):
        library.add("b", {"w": torch.tensor([float("nan")])}, licence="x")
    (tmp_path / "l" / "library.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(CorruptRecord, match="another format"):
        ExpertLibrary.open(tmp_path / "l")


def test_what_the_router_learned_comes_back_from_the_library(tmp_path: Path) -> None:
    library = ExpertLibrary.create(tmp_path / "l", "hash")
    router, centers = a_router()
    assert library.router(24).ridge.classes == ()
    library.save_router(router)
    again = ExpertLibrary.open(tmp_path / "l").router(24)
    assert again.route(centers[1]) == router.route(centers[1])
    with pytest.raises(CorruptRecord, match="features"):
        library.router(5)
    (tmp_path / "l" / "router.safetensors").write_bytes(b"not a file of tensors")
    with pytest.raises(CorruptRecord, match="damaged"):
        library.router(24)
