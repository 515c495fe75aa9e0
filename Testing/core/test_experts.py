"""Experts: what one learns leaves the others' answers as they are; strangers are told apart."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet
from torch import nn

from clopa_annotator.episode.encoding import EncodingRules
from clopa_annotator.errors import ConfigError, CorruptRecord, DeltaMismatch, ModelError, UnknownVersion
from clopa_annotator.experts.advisor import ExpertAdvisor
from clopa_annotator.experts.features import FrozenEncoder, last_layer
from clopa_annotator.experts.head import BACKGROUND, TARGET, RidgeHead, best_threshold, solve_head
from clopa_annotator.experts.library import ExpertLibrary
from clopa_annotator.experts.ridge import RidgeClassifier
from clopa_annotator.experts.router import Router
from clopa_annotator.experts.settings import RidgeHeadSettings, RouterSettings
from clopa_annotator.geometry import Geometry
from clopa_annotator.online.inputs import CanvasEncoder
from clopa_annotator.online.protocol import OnlineStrategy
from clopa_annotator.swap import apply_version
from clopa_annotator.types import Image, Mask, PointPrompt

SIDE = 16


@dataclass
class TinyModel:
    network: nn.Module
    lock: threading.RLock = field(default_factory=threading.RLock)  # type: ignore[valid-type]
    version: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def a_unet(seed: int = 0) -> nn.Module:
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ResidualEncoderUNet(
            8,
            2,
            [8, 16],
            nn.Conv3d,
            3,
            [1, 2],
            1,
            2,
            1,
            conv_bias=True,
            norm_op=nn.InstanceNorm3d,
            norm_op_kwargs={"affine": True},
            nonlin=nn.LeakyReLU,
        ).eval()


def a_case(seed: int) -> tuple[Image, Mask]:
    rng = np.random.default_rng(seed)
    low = rng.integers(2, 7, 3)
    mask = np.zeros((SIDE, SIDE, SIDE), np.uint8)
    mask[tuple(slice(int(n), int(n) + 6) for n in low)] = 1
    voxels = (rng.normal(10, 1, mask.shape) + 4 * mask).astype(np.float32)
    return Image(voxels, Geometry(mask.shape)), mask


def an_encoder() -> CanvasEncoder:
    return CanvasEncoder(EncodingRules((SIDE, SIDE, SIDE), 0.98, 2))


def a_click(mask: Mask) -> PointPrompt:
    (k, j, i) = (int(x) for x in np.argwhere(mask).mean(axis=0))
    return PointPrompt((k, j, i))


def learned_head(order: tuple[int, ...], corrections: int = 0) -> tuple[TinyModel, RidgeHead]:
    model = TinyModel(a_unet())
    head = RidgeHead(model, an_encoder(), RidgeHeadSettings(corrections=corrections))
    for seed in order:
        image, mask = a_case(seed)
        head.start_case()
        assert head.after_confirm(image, (a_click(mask),), mask) is not None
    return model, head


def dice_of(model: TinyModel, seed: int) -> float:
    image, mask = a_case(seed)
    encoder = an_encoder()
    encoder.set_image(image.voxels)
    click = a_click(mask)
    with torch.no_grad():
        logits = model.network(encoder.encode((click,), np.zeros_like(mask), (8, 8, 8))[None])[0]
    found = (logits[1] > logits[0]).numpy()
    return float(2 * (found & (mask > 0)).sum() / max(found.sum() + mask.sum(), 1))


# --- the ridge head -----------------------------------------------------------------------------------------


def test_the_head_learns_to_find_bright_cubes_from_a_few_cases() -> None:
    model, head = learned_head((0, 1, 2, 3))
    before = np.mean([dice_of(TinyModel(a_unet()), s) for s in (10, 11, 12)])
    after = np.mean([dice_of(model, s) for s in (10, 11, 12)])
    assert after > before + 0.2, (before, after)
    assert isinstance(head, OnlineStrategy)
    assert model.version == head.history[-1].provisional == -4


def test_case_by_case_in_any_order_gives_the_same_last_layer() -> None:
    reference = None
    for order in itertools.islice(itertools.permutations((0, 1, 2, 3)), 0, 24, 7):
        model, _ = learned_head(order)
        weights = last_layer(model.network).weight.detach()
        if reference is None:
            reference = weights
        torch.testing.assert_close(weights, reference, rtol=1e-5, atol=1e-6)


def test_only_the_last_layer_changes_and_a_rollback_restores_it() -> None:
    model, head = learned_head((0, 1), corrections=2)
    twin = a_unet()
    changed = {
        n
        for (n, a), b in zip(twin.named_parameters(), model.network.parameters(), strict=True)
        if not torch.equal(a, b)
    }
    assert changed == set(head.persisted()) == {"decoder.seg_layers.0.weight", "decoder.seg_layers.0.bias"}
    head.rollback()
    assert model.version == 0
    assert all(torch.equal(a, b) for a, b in zip(twin.parameters(), model.network.parameters(), strict=True))


def test_the_head_starts_anew_when_the_layers_below_were_changed_by_a_swap() -> None:
    model, head = learned_head((0, 1))
    seen = head.ridge.statistics[TARGET].count
    base = {n: p.detach().clone() for n, p in a_unet().named_parameters()}
    last = {n: v + 1 for n, v in head.persisted().items()}
    apply_version(model, base, last, 4)
    head.start_case()
    assert head.ridge.statistics[TARGET].count == seen, "another last layer changes no feature"
    norm = next(n for n in base if n.endswith("norm.weight"))
    apply_version(model, base, {norm: base[norm] + 1}, 5)
    head.start_case()
    assert head.ridge.classes == ()


def test_the_threshold_of_two_equal_normals_with_equal_counts_lies_between_them() -> None:
    rng = np.random.default_rng(0)
    ridge = RidgeClassifier(1)
    ridge.update(rng.normal(0, 1, (4000, 1)), BACKGROUND)
    ridge.update(rng.normal(4, 1, (4000, 1)), TARGET)
    solution, threshold = solve_head(ridge, RidgeHeadSettings(penalty=1e-9))
    assert threshold == pytest.approx(0.5, abs=0.05)
    ridge.update(rng.normal(0, 1, (400_000, 1)), BACKGROUND)
    assert best_threshold(ridge, solution) > 0.55, "a frequent background asks for more evidence"


def test_a_mask_without_target_adds_background_and_waits_for_a_target() -> None:
    model = TinyModel(a_unet())
    head = RidgeHead(model, an_encoder(), RidgeHeadSettings())
    image, mask = a_case(0)
    assert head.after_confirm(image, (), np.zeros_like(mask)) is None
    assert head.ridge.classes == () and model.version == 0


def test_a_network_without_a_last_convolution_is_refused() -> None:
    with pytest.raises(ModelError, match="1x1x1"):
        last_layer(nn.Sequential(nn.Conv3d(8, 2, 1)))


# --- the router ---------------------------------------------------------------------------------------------


def cases_of(center: npt.NDArray[np.float64], count: int, seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(len(center), len(center))) / np.sqrt(len(center))
    return center + rng.normal(size=(count, len(center))) @ (np.eye(len(center)) + 0.5 * mixing)


def a_router(experts: int = 3, cases: int = 15, d: int = 24) -> tuple[Router, npt.NDArray[np.float64]]:
    centers = 3 * np.random.default_rng(7).normal(size=(experts + 1, d))
    router = Router(RidgeClassifier(d), RouterSettings())
    for n in range(experts):
        for x in cases_of(centers[n], cases, n):
            router.learn(x, f"expert-{n}")
    return router, centers


def test_members_are_sent_to_their_expert_and_strangers_to_nobody() -> None:
    router, centers = a_router()
    for n in range(3):
        routes = [router.route(x) for x in cases_of(centers[n], 40, 100 + n)]
        right = [r.expert == f"expert-{n}" for r in routes]
        assert np.mean(right) >= 0.85
        assert all(0 < r.confidence <= 1 for r in routes if r.expert)
    strangers = [router.route(x) for x in cases_of(centers[3], 40, 200)]
    assert np.mean([r.expert is None for r in strangers]) > 0.95
    assert "None fits" in strangers[0].reason and strangers[0].confidence == 0


def test_with_one_expert_alone_strangers_are_still_strangers() -> None:
    router, centers = a_router(experts=1)
    assert np.mean([router.route(x).expert == "expert-0" for x in cases_of(centers[0], 40, 5)]) > 0.9
    assert np.mean([router.route(x).expert is None for x in cases_of(centers[1], 40, 6)]) > 0.95


def test_an_expert_with_too_few_cases_is_not_proposed() -> None:
    router, centers = a_router(cases=2)
    route = router.route(centers[0])
    assert route.expert is None and "enough cases" in route.reason


def test_pooled_features_are_frozen_deterministic_and_tell_looks_apart() -> None:
    network = a_unet()
    base = {n: p.detach().clone() for n, p in network.named_parameters()}
    encoder = FrozenEncoder(network, base, (SIDE, SIDE, SIDE), torch.device("cpu"))
    image, _ = a_case(0)
    features = encoder(image.voxels)
    assert features.shape == (2 * (8 + 16),) and np.isfinite(features).all()
    with torch.no_grad():
        for p in network.parameters():
            p.add_(1)
    assert np.array_equal(encoder(image.voxels), features), "learning does not move the router's ground"
    rescaled = encoder(3 * image.voxels + 50)
    np.testing.assert_allclose(rescaled, features, rtol=1e-2, atol=1e-3)
    smooth = np.cumsum(np.cumsum(image.voxels, 0), 1)
    assert np.abs(encoder(smooth) - features).max() > 0.05


def test_a_large_image_is_scaled_down_to_one_patch_and_a_small_one_padded() -> None:
    network = a_unet()
    base = dict(network.named_parameters())
    encoder = FrozenEncoder(network, base, (SIDE, SIDE, SIDE), torch.device("cpu"))
    rng = np.random.default_rng(0)
    for shape in ((40, 10, 5), (7, 7, 7), (16, 33, 16)):
        assert np.isfinite(encoder(rng.normal(5, 1, shape))).all()


# --- the library --------------------------------------------------------------------------------------------


def a_delta(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    parameters = dict(a_unet().named_parameters())
    names = [n for n in parameters if "norm" in n]
    return {n: torch.rand(parameters[n].shape, generator=generator) for n in names}


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


# --- all together -------------------------------------------------------------------------------------------


@dataclass
class TinyBase:
    network: nn.Module
    model_hash: str = "hash"
    patch_size_kji: tuple[int, int, int] = (SIDE, SIDE, SIDE)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def base_state(self) -> dict[str, torch.Tensor]:
        return {n: p.detach().clone() for n, p in self.network.named_parameters()}


def an_image(kind: str, seed: int) -> Image:
    rng = np.random.default_rng(seed)
    voxels = rng.normal(10, 1, (SIDE, SIDE, SIDE))
    if kind == "smooth":
        voxels = np.cumsum(np.cumsum(np.cumsum(voxels - 10, 0), 1), 2)
    if kind == "striped":
        voxels[:, ::4] += 12
    return Image(voxels.astype(np.float32), Geometry((SIDE, SIDE, SIDE)))


def test_the_advisor_sends_images_to_their_expert_and_says_when_none_fits(tmp_path: Path) -> None:
    library = ExpertLibrary.create(tmp_path / "l", "hash")
    names = {
        kind: library.add(kind, a_delta(n), licence="x").expert_id
        for n, kind in enumerate(("noisy", "striped"))
    }
    model = TinyBase(a_unet())
    advisor = ExpertAdvisor(library, model)
    assert advisor.propose(an_image("noisy", 0)).expert is None, "nobody has learned yet"
    for seed in range(12):
        for kind, expert_id in names.items():
            advisor.learn(an_image(kind, seed), expert_id)
    again = ExpertAdvisor(ExpertLibrary.open(tmp_path / "l"), model)
    for kind, expert_id in names.items():
        found = [again.propose(an_image(kind, 100 + n)).expert for n in range(10)]
        assert found.count(expert_id) >= 9
    assert [again.propose(an_image("smooth", 200 + n)).expert for n in range(10)] == [None] * 10


def test_experts_of_another_base_model_are_refused(tmp_path: Path) -> None:
    library = ExpertLibrary.create(tmp_path / "l", "other")
    with pytest.raises(ModelError, match="another base model"):
        ExpertAdvisor(library, TinyBase(a_unet()))
