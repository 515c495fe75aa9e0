"""The losses of every training in this project: Dice plus cross-entropy on two output channels."""

from __future__ import annotations

from collections.abc import Sequence

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


def dice_and_cross_entropy(output: Tensor | Sequence[Tensor], target: Tensor) -> Tensor:
    """``(1 - Dice) + cross-entropy``, unweighted, (batch,) float32; shapes as in `soft_dice`.

    Args:
        output: logits, or with deep supervision the logits of every decoder stage, finest first. Each coarser
            stage counts half as much as the one before, as in nnU-Net; its target is sampled at its voxels.
        target: at full resolution.
    """
    if isinstance(output, Tensor):
        return 1 - soft_dice(output, target) + cross_entropy(output, target)
    weights = [0.5**n for n in range(len(output))]
    total = torch.zeros(target.shape[0], device=target.device)
    for logits, weight in zip(output, weights, strict=True):
        steps = [n // m for n, m in zip(target.shape[1:], logits.shape[2:], strict=True)]
        coarse = target[:, :: steps[0], :: steps[1], :: steps[2]]
        total = total + weight / sum(weights) * dice_and_cross_entropy(logits, coarse)
    return total


def _margin(logits: Tensor) -> Tensor:
    return logits[:, 1].float() - logits[:, 0].float()
