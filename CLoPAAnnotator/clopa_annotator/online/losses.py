"""Losses of online adaptation: Dice-focal, click-centred Gaussian, and cross-entropy on clicked voxels only.

Logits are (2, k, j, i), channel 1 the target; labels are (k, j, i) of 0 and 1. Every sum runs in float32:
in float16 sums over more than 65,504 voxels overflow and gradients become zero without a word.

Sources: "You Point, I Learn" (Xu et al., ICLR 2026) for Dice-focal and click-centred Gaussian, which is
planar there and takes distances in voxels along all three axes here; Kontogianni et al., ECCV 2020, for the
sparse cross-entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from clopa_annotator.geometry import Kji
from clopa_annotator.online.online_settings import LossSettings


@dataclass(frozen=True)
class PatchClick:
    """A click in a patch.

    Attributes:
        position_kji: voxel index within the patch; may lie outside it.
        positive: whether it says "target".
    """

    position_kji: Kji
    positive: bool


def soft_dice_loss(logits: torch.Tensor, labels: torch.Tensor, smooth: float = 1e-5) -> torch.Tensor:
    """1 - soft Dice of the foreground: 1 - (2 sum(p y) + s) / (sum(p) + sum(y) + s)."""
    foreground = torch.softmax(logits.float(), dim=0)[1]
    target = labels.float()
    overlap = 2 * (foreground * target).sum() + smooth
    return 1 - overlap / (foreground.sum() + target.sum() + smooth)


def focal_loss(logits: torch.Tensor, labels: torch.Tensor, gamma: float = 2.0) -> torch.Tensor:
    """Mean over voxels of (1 - p_y)^gamma times the cross-entropy -log p_y."""
    entropy = voxel_cross_entropy(logits, labels)
    return ((1 - torch.exp(-entropy)) ** gamma * entropy).mean()


def voxel_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy per voxel, (k, j, i), in float32."""
    return functional.cross_entropy(logits.float()[None], labels.long()[None], reduction="none")[0]


def dice_focal_loss(logits: torch.Tensor, labels: torch.Tensor, settings: LossSettings) -> torch.Tensor:
    """DF = (1 - alpha) Dice + alpha focal."""
    dice = soft_dice_loss(logits, labels, settings.smooth)
    return (1 - settings.alpha) * dice + settings.alpha * focal_loss(logits, labels, settings.gamma)


def click_weights(
    labels: torch.Tensor, clicks: Sequence[PatchClick], sigma_voxels: float = 3.0
) -> torch.Tensor:
    """The weight of each voxel's cross-entropy in the click-centred Gaussian loss, before its divisor.

    For each click exp(-d^2 / (2 sigma^2)), d in voxels, inside a cube of three sigma to each side, and only
    on voxels whose label is the click's class; summed over the clicks.

    Returns:
        (k, j, i) float32 on the device of ``labels``.
    """
    weights = torch.zeros(labels.shape, dtype=torch.float32, device=labels.device)
    reach = int(3 * sigma_voxels)
    for click in clicks:
        window, offsets = [], []
        for position, size in zip(click.position_kji, labels.shape, strict=True):
            low, high = max(position - reach, 0), min(position + reach + 1, size)
            window.append(slice(low, max(high, low)))
            offsets.append(torch.arange(low, max(high, low), device=labels.device) - position)
        k, j, i = (torch.exp(-(o.float() ** 2) / (2 * sigma_voxels**2)) for o in offsets)
        gaussian = k[:, None, None] * j[None, :, None] * i[None, None, :]
        index = tuple(window)
        weights[index] += gaussian * (labels[index] == int(click.positive))
    return weights


def click_centred_loss(
    logits: torch.Tensor, labels: torch.Tensor, clicks: Sequence[PatchClick], sigma_voxels: float = 3.0
) -> torch.Tensor:
    """CCG: sum over voxels of `click_weights` times cross-entropy, divided by |clicks| x volume in voxels.

    Zero without clicks.
    """
    if not clicks:
        return logits.float().sum() * 0
    weights = click_weights(labels, clicks, sigma_voxels)
    total = (weights * voxel_cross_entropy(logits, labels)).sum()
    return total / (len(clicks) * labels.numel())


def adaptation_loss(
    logits: torch.Tensor, labels: torch.Tensor, clicks: Sequence[PatchClick], settings: LossSettings
) -> torch.Tensor:
    """DF + beta CCG; DF alone without clicks."""
    loss = dice_focal_loss(logits, labels, settings)
    if clicks and settings.beta > 0:
        loss = loss + settings.beta * click_centred_loss(logits, labels, clicks, settings.sigma_voxels)
    return loss


def sparse_click_loss(logits: torch.Tensor, clicks: Sequence[PatchClick]) -> torch.Tensor:
    """Mean cross-entropy over the clicked voxels alone; clicks outside the patch are left out."""
    shape = logits.shape[1:]
    inside = [c for c in clicks if all(0 <= p < n for p, n in zip(c.position_kji, shape, strict=True))]
    if not inside:
        return logits.float().sum() * 0
    index = torch.tensor([c.position_kji for c in inside], device=logits.device).T
    at_clicks = logits[:, index[0], index[1], index[2]].float().T
    classes = torch.tensor([int(c.positive) for c in inside], device=logits.device)
    return functional.cross_entropy(at_clicks, classes)
