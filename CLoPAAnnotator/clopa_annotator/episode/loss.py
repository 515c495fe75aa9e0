"""The losses of every training in this project: Dice plus cross-entropy on two output channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 1e-5
_NEWEST_TWO = 0.97
"""Intensity above which only the two newest prompts are: a correction is up to two clicks."""


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


def entropy_near_prompts(logits: Tensor, target: Tensor, inputs: Tensor, reach: int) -> Tensor:
    """Mean cross-entropy over the voxels around each sample's newest prompts, (batch,) float32.

    A flat box is one voxel in seventy of its patch; averaged over the patch, what it asks for hardly counts.

    Args:
        logits, target: as in `soft_dice`.
        inputs: (batch, 8, k, j, i) network input in the session's encoding: prompts from channel 2 on, each
            weaker than the next one by the session's decay of 0.98.
        reach: voxels along each axis that belong to a prompt beyond what it covers.
    """
    newest = (inputs[:, 2:] > _NEWEST_TWO).any(1, keepdim=True).to(logits.dtype)
    for axis in range(3):
        size = [1, 1, 1]
        size[axis] = 2 * reach + 1
        newest = functional.max_pool3d(newest, size, stride=1, padding=[n // 2 for n in size])
    near = newest[:, 0].flatten(1).float()
    per_voxel = functional.binary_cross_entropy_with_logits(_margin(logits), target.float(), reduction="none")
    return (per_voxel.flatten(1) * near).sum(1) / near.sum(1).clamp(min=1)


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
