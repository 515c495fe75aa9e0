"""A weights version as a model folder: stock nnInteractive loads it and answers the same, bit-equally."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_session
import torch
from nnInteractive.inference.inference_session import nnInteractiveInferenceSession
from test_session_local import ask_bare
from tiny_session import SHAPE, a_walk, an_image

from clopa_annotator.errors import CacheError, ConfigError, DeltaMismatch, ModelError
from clopa_annotator.models.packing import merged_weights, write_model_folder
from clopa_annotator.session import upstream
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.swap import apply_version
from clopa_annotator.types import GateDecision, WeightsVersion

folder = tiny_session.folder

DECISION = GateDecision(True, "Promoted: better.", ("a", "b"), (0.5, 0.6), (0.7, 0.65))
VERSION = WeightsVersion(
    3, 2, "ab" * 32, "CC0-1.0", parameter_group="in", episode=2, case_hashes=("cd" * 32, "ef" * 32), seed=7,
    code_version="1.2", created="2026-01-02T03:04:05Z", decision=DECISION,
)  # fmt: skip


@pytest.fixture
def model(folder: Path) -> LoadedModel:
    return load_model(folder, "cpu")


@pytest.fixture
def delta(model: LoadedModel) -> dict[str, torch.Tensor]:
    """Every norm changed, the half in half precision, as episodes leave them."""
    torch.manual_seed(1)
    norms = [name for name in model.base if "norm" in name]
    assert len(norms) > 8
    changed = {name: model.base[name] + 0.5 * torch.randn_like(model.base[name]) for name in norms}
    return {name: value.half() if n % 2 else value for n, (name, value) in enumerate(changed.items())}


def test_stock_nninteractive_answers_the_same_clicks_with_the_same_voxels(
    model, delta, tmp_path, monkeypatch
):
    """With its own boxes where a mask is refined; with patches below 192 a session takes fewer (ADR 44)."""
    monkeypatch.setattr(upstream, "is_upstreams", lambda patch: True)
    out = write_model_folder(model, delta, VERSION, tmp_path / "out")
    apply_version(model, model.base, delta, 3)
    session = LocalSession(model)
    session.set_image(an_image())
    bare = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=1)
    bare.initialize_from_trained_model_folder(str(out))
    bare.set_image(an_image().voxels[None])
    buffer = np.zeros(SHAPE, np.uint8)
    bare.set_target_buffer(buffer)
    for prompt in a_walk():
        ask_bare(bare, prompt)
        np.testing.assert_array_equal(session.add_prompt(prompt).mask, buffer)
    assert buffer.any()
    inputs = torch.randn(1, 8, 64, 64, 64)
    with torch.inference_mode():
        assert torch.equal(bare.network(inputs), model.network(inputs))


def test_the_exported_folder_is_a_base_of_its_own_and_the_live_weights_are_left_alone(model, delta, tmp_path):
    before = {name: p.detach().clone() for name, p in model.network.named_parameters()}
    out = write_model_folder(model, delta, VERSION, tmp_path / "out")
    assert all(torch.equal(before[name], p) for name, p in model.network.named_parameters())
    again = load_model(out, "cpu")
    assert again.model_hash != model.model_hash and again.licence == model.licence
    for name, value in again.base.items():
        assert torch.equal(value, delta.get(name, model.base[name]).float())


def test_tensors_with_several_names_stay_one(model, delta):
    weights = merged_weights(model, delta)
    assert set(weights) == set(model.network.state_dict())
    names = {name: tensor.data_ptr() for name, tensor in model.network.state_dict().items()}
    assert len({t.data_ptr() for t in weights.values()}) == len(set(names.values())) < len(names)


def test_the_card_names_base_licence_data_and_figures(model, delta, tmp_path):
    out = write_model_folder(model, delta, VERSION, tmp_path / "out", "Liver | study", 12)
    card = (out / "README.md").read_text(encoding="utf-8")
    for text in ("ab" * 32, "CC0-1.0", "cd" * 32, "ef" * 32, "0.550 before, 0.675 after on 2 cases", "+0.050",
                 "3, from version 2, by episode 2", "12 confirmed cases", "2026-01-02"):  # fmt: skip
        assert text in card, text
    told = json.loads((out / "lineage.json").read_text())
    assert (told["number"], told["licence"], told["decision"]["before"]) == (3, "CC0-1.0", [0.5, 0.6])
    assert (out / "LICENSE").read_text() == (model.folder / "LICENSE").read_text()


def test_the_base_is_exported_too_and_says_so(model, tmp_path):
    out = write_model_folder(
        model, {}, WeightsVersion(0, None, model.model_hash, "CC0-1.0"), tmp_path / "out"
    )
    assert "the untouched base" in (out / "README.md").read_text()
    assert load_model(out, "cpu").model_hash == model.model_hash


def test_a_base_without_a_licence_file_keeps_the_licence_that_is_shown(model, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(model.folder, tmp_path / "bare")
    (tmp_path / "bare" / "LICENSE").unlink()
    model.folder, model.licence = tmp_path / "bare", "CC BY-NC-SA 4.0"
    out = write_model_folder(model, {}, VERSION, tmp_path / "out")
    assert (out / "LICENSE").read_text() == "CC BY-NC-SA 4.0\n"


def test_what_cannot_be_written_is_refused_and_leaves_nothing(model, delta, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="new folder"):
        write_model_folder(model, delta, VERSION, tmp_path / "full")
    with pytest.raises(DeltaMismatch):
        write_model_folder(model, {"stranger": torch.zeros(1)}, VERSION, tmp_path / "out")
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(CacheError, match="room on the disk"):
        write_model_folder(model, delta, VERSION, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["full"]
    monkeypatch.undo()
    model.folder = tmp_path / "gone"
    with pytest.raises(ModelError):
        write_model_folder(model, delta, VERSION, tmp_path / "out")


def test_an_empty_folder_is_taken(model, delta, tmp_path):
    (tmp_path / "empty").mkdir()
    assert (write_model_folder(model, delta, VERSION, tmp_path / "empty") / "README.md").is_file()
