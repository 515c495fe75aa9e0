"""The loss of every training in this project: Dice plus cross-entropy on two output channels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 1e-5


def soft_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Foreground Dice of the softmax, per sample.

    Args:
        logits: (batch, 2, k, j, i), any float dtype; channel 1 is the foreground.
        target: (batch, k, j, i), zero or one.

    Returns:
        (batch,) float32. Sums are taken in float32: in fp16 they overflow beyond 65,504 voxels, and the
        gradient then vanishes without a word.
    """
    foreground = torch.sigmoid(_margin(logits)).flatten(1)
    truth = target.flatten(1).float()
    common = (foreground * truth).sum(1)
    return (2 * common + SMOOTH) / (foreground.sum(1) + truth.sum(1) + SMOOTH)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the voxels of each sample, (batch,) float32.

    With two channels the softmax is a logistic function of their difference; that form needs a third of the
    memory traffic.
    """
    per_voxel = functional.binary_cross_entropy_with_logits(_margin(logits), target.float(), reduction="none")
    return per_voxel.flatten(1).mean(1)


def dice_and_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """``(1 - Dice) + cross-entropy``, unweighted, (batch,) float32; shapes as in `soft_dice`."""
    return 1 - soft_dice(logits, target) + cross_entropy(logits, target)


def _margin(logits: Tensor) -> Tensor:
    return logits[:, 1].float() - logits[:, 0].float()
