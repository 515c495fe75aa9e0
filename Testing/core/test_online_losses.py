"""Every loss against numbers that can be worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from clopa_annotator.errors import ConfigError
from clopa_annotator.online.losses import (
    PatchClick,
    adaptation_loss,
    click_centred_loss,
    click_weights,
    dice_focal_loss,
    focal_loss,
    soft_dice_loss,
    sparse_click_loss,
)
from clopa_annotator.online.online_settings import LossSettings

LN2 = math.log(2)


@pytest.fixture
def even_logits() -> torch.Tensor:
    """p = 1/2 everywhere: cross-entropy ln 2 at each voxel."""
    return torch.zeros(2, 8, 8, 8)


def test_dice_of_even_odds_against_a_half_filled_patch_is_one_half(even_logits: torch.Tensor) -> None:
    labels = torch.zeros(8, 8, 8)
    labels[:4] = 1
    # 2 * (256 / 2) / (512 / 2 + 256) = 1/2
    assert soft_dice_loss(even_logits, labels).item() == pytest.approx(0.5, abs=1e-5)


def test_focal_of_even_odds_is_a_quarter_of_ln_two(even_logits: torch.Tensor) -> None:
    labels = torch.zeros(8, 8, 8)
    assert focal_loss(even_logits, labels).item() == pytest.approx(0.25 * LN2, rel=1e-6)
    assert focal_loss(even_logits, labels, gamma=0).item() == pytest.approx(LN2, rel=1e-6)


def test_dice_focal_weighs_its_terms_as_the_paper_says(even_logits: torch.Tensor) -> None:
    labels = torch.zeros(8, 8, 8)
    labels[:4] = 1
    expected = 0.3 * 0.5 + 0.7 * 0.25 * LN2
    assert dice_focal_loss(even_logits, labels, LossSettings()).item() == pytest.approx(expected, abs=1e-5)


def test_dice_sums_stay_exact_in_half_precision_over_more_voxels_than_half_can_count() -> None:
    logits = torch.zeros(2, 64, 64, 64, dtype=torch.float16, requires_grad=True)
    labels = torch.ones(64, 64, 64)
    loss = soft_dice_loss(logits, labels)
    loss.backward()
    assert loss.item() == pytest.approx(1 / 3, abs=1e-4)  # 1 - 2 * .5 / (.5 + 1)
    assert logits.grad is not None and logits.grad.abs().sum() > 0


def test_a_click_weighs_its_own_voxel_one_and_a_neighbour_by_the_gaussian() -> None:
    labels = torch.ones(31, 31, 31)
    weights = click_weights(labels, [PatchClick((15, 15, 15), True)], sigma_voxels=3)
    assert weights[15, 15, 15] == 1
    assert weights[15, 15, 18].item() == pytest.approx(math.exp(-9 / 18))
    assert weights[16, 17, 13].item() == pytest.approx(math.exp(-(1 + 4 + 4) / 18))
    assert weights[15, 15, 24] > 0, "three sigma are inside"
    assert weights[15, 15, 25] == 0, "beyond three sigma is outside"
    assert torch.count_nonzero(weights) == 19**3


def test_only_voxels_of_the_clicks_own_class_are_weighed() -> None:
    labels = torch.zeros(9, 9, 9)
    labels[:, :, 5:] = 1
    positive = click_weights(labels, [PatchClick((4, 4, 4), True)], 3)
    negative = click_weights(labels, [PatchClick((4, 4, 4), False)], 3)
    assert torch.count_nonzero(positive[:, :, :5]) == 0
    assert torch.count_nonzero(negative[:, :, 5:]) == 0
    whole = click_weights(torch.ones(9, 9, 9), [PatchClick((4, 4, 4), True)], 3)
    torch.testing.assert_close(positive + negative, whole)


def test_two_clicks_add_their_weights_and_share_the_divisor(even_logits: torch.Tensor) -> None:
    labels = torch.ones(8, 8, 8)
    clicks = [PatchClick((0, 0, 0), True), PatchClick((7, 7, 7), True)]
    one = click_centred_loss(even_logits, labels, clicks[:1])
    two = click_centred_loss(even_logits, labels, clicks)
    assert two.item() == pytest.approx(one.item(), rel=1e-5), "by symmetry the mean of the two is each"


def test_the_click_loss_of_a_one_voxel_match_can_be_worked_out_by_hand(even_logits: torch.Tensor) -> None:
    labels = torch.zeros(8, 8, 8)
    labels[2, 3, 4] = 1
    loss = click_centred_loss(even_logits, labels, [PatchClick((2, 3, 2), True)], sigma_voxels=3)
    assert loss.item() == pytest.approx(math.exp(-4 / 18) * LN2 / 512, rel=1e-5)


def test_a_click_outside_the_patch_still_reaches_in_and_a_far_one_weighs_nothing() -> None:
    labels = torch.ones(8, 8, 8)
    near = click_weights(labels, [PatchClick((-1, 0, 0), True)], 3)
    assert near[0, 0, 0].item() == pytest.approx(math.exp(-1 / 18))
    far = click_weights(labels, [PatchClick((100, 0, -50), True)], 3)
    assert torch.count_nonzero(far) == 0


def test_the_whole_loss_is_dice_focal_plus_two_hundred_click_losses(even_logits: torch.Tensor) -> None:
    labels = torch.ones(8, 8, 8)
    clicks = [PatchClick((4, 4, 4), True)]
    expected = dice_focal_loss(even_logits, labels, LossSettings()) + 200 * click_centred_loss(
        even_logits, labels, clicks
    )
    torch.testing.assert_close(adaptation_loss(even_logits, labels, clicks, LossSettings()), expected)
    without = adaptation_loss(even_logits, labels, [], LossSettings())
    torch.testing.assert_close(without, dice_focal_loss(even_logits, labels, LossSettings()))


def test_the_sparse_loss_sees_the_clicked_voxels_and_nothing_else() -> None:
    logits = torch.zeros(2, 4, 4, 4, requires_grad=True)
    clicks = [PatchClick((1, 2, 3), True), PatchClick((0, 0, 0), False), PatchClick((9, 0, 0), True)]
    loss = sparse_click_loss(logits, clicks)
    loss.backward()
    assert loss.item() == pytest.approx(LN2)
    assert logits.grad is not None
    touched = {tuple(v) for v in torch.nonzero(logits.grad.abs().sum(0)).tolist()}
    assert touched == {(1, 2, 3), (0, 0, 0)}


def test_settings_out_of_range_are_refused_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        LossSettings(alpha=1.5)
    with pytest.raises(ConfigError, match="sigma must be positive"):
        LossSettings(sigma_voxels=0)
