"""The ridge head: a last layer from closed form, case by case, in any order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from tiny_experts import a_case, a_unet
from tiny_online import TinyModel, an_encoder
from torch import nn

from clopa_annotator.errors import ModelError
from clopa_annotator.experts.expert_settings import RidgeHeadSettings
from clopa_annotator.experts.features import last_layer
from clopa_annotator.experts.head import BACKGROUND, TARGET, RidgeHead, best_threshold, solve_head
from clopa_annotator.experts.ridge import RidgeClassifier
from clopa_annotator.online.strategy import OnlineStrategy
from clopa_annotator.swap import apply_version
from clopa_annotator.types import Mask, PointPrompt


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
