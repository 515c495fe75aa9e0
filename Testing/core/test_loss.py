"""Dice plus cross-entropy, against numbers computed by hand and against the textbook forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from clopa_annotator.episode.loss import (
    cross_entropy,
    dice_and_cross_entropy,
    entropy_near_prompts,
    soft_dice,
)


def logits_of(probability: torch.Tensor) -> torch.Tensor:
    margin = torch.log(probability / (1 - probability))
    return torch.stack([-margin / 2, margin / 2], dim=1)


def test_dice_of_a_half_right_prediction_is_computed_by_hand() -> None:
    target = torch.zeros(1, 2, 2, 2)
    target[0, 0] = 1
    probability = torch.full((1, 2, 2, 2), 0.5)
    # 2 * (4 * 0.5) / (8 * 0.5 + 4) = 0.5
    assert float(soft_dice(logits_of(probability), target)) == pytest.approx(0.5, abs=1e-5)
    assert float(cross_entropy(logits_of(probability), target)) == pytest.approx(math.log(2), abs=1e-6)


def test_the_loss_equals_softmax_dice_and_two_class_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(3, 2, 5, 6, 7), (torch.rand(3, 5, 6, 7) < 0.3).float()
    foreground = torch.softmax(logits, 1)[:, 1]
    common = (foreground * target).sum((1, 2, 3))
    dice = (2 * common + 1e-5) / (foreground.sum((1, 2, 3)) + target.sum((1, 2, 3)) + 1e-5)
    entropy = functional.cross_entropy(logits, target.long(), reduction="none").mean((1, 2, 3))
    torch.testing.assert_close(dice_and_cross_entropy(logits, target), 1 - dice + entropy)


def test_large_half_precision_patches_keep_their_gradient() -> None:
    logits = torch.zeros(1, 2, 48, 48, 48, dtype=torch.float16, requires_grad=True)
    target = torch.ones(1, 48, 48, 48)  # 110,592 voxels: a float16 sum would be infinite
    loss = dice_and_cross_entropy(logits, target).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None and bool((logits.grad[:, 1] != 0).all())


def test_an_empty_target_has_a_finite_loss_with_a_direction() -> None:
    logits = torch.zeros(1, 2, 4, 4, 4, requires_grad=True)
    dice_and_cross_entropy(logits, torch.zeros(1, 4, 4, 4)).sum().backward()
    assert logits.grad is not None and float(logits.grad[:, 1].min()) > 0


def test_deep_supervision_weighs_coarser_stages_half_as_much() -> None:
    torch.manual_seed(1)
    fine, coarse = torch.randn(2, 2, 8, 8, 8), torch.randn(2, 2, 4, 4, 4)
    target = (torch.rand(2, 8, 8, 8) < 0.5).float()
    both = dice_and_cross_entropy([fine, coarse], target)
    expected = (
        2 * dice_and_cross_entropy(fine, target) + dice_and_cross_entropy(coarse, target[:, ::2, ::2, ::2])
    ) / 3
    torch.testing.assert_close(both, expected)


def an_input(*prompts: tuple[int, tuple[slice, ...], float]) -> torch.Tensor:
    """A network input of 9^3 whose prompt channels hold ``value`` in each given box."""
    inputs = torch.zeros(1, 8, 9, 9, 9)
    for channel, box, value in prompts:
        inputs[0, channel][box] = value
    return inputs


def test_entropy_near_prompts_counts_the_newest_prompts_surroundings_only() -> None:
    flat_box = (slice(4, 5), slice(3, 6), slice(3, 6))
    logits, target = torch.zeros(1, 2, 9, 9, 9), torch.zeros(1, 9, 9, 9)
    logits[0, 1, 0] = 50.0  # wrong by far, but four planes away from the box
    near = entropy_near_prompts(logits, target, an_input((2, flat_box, 1.0)), reach=2)
    assert float(near) == pytest.approx(math.log(2), abs=1e-6)
    logits[0, 1, 4, 4, 4] = 50.0  # one wrong voxel of the 5 x 7 x 7 around the box
    near = entropy_near_prompts(logits, target, an_input((2, flat_box, 1.0)), reach=2)
    assert float(near) == pytest.approx((244 * math.log(2) + 50) / 245, rel=1e-5)


def test_entropy_near_prompts_forgets_older_prompts_and_the_mask_before() -> None:
    here = (slice(0, 1),) * 3
    logits, target = torch.zeros(1, 2, 9, 9, 9), torch.ones(1, 9, 9, 9)
    older = an_input((4, here, 0.98**2), (1, here, 1.0))
    assert float(entropy_near_prompts(logits, target, older, reach=1)) == 0.0
    pair = an_input((5, here, 0.98), (4, here, 1.0))
    assert float(entropy_near_prompts(logits, target, pair, reach=1)) == pytest.approx(math.log(2))
