"""The paper's clicks drawn where the segmentation is: a few numbers come to the CPU instead of whole masks.

`prompting.PointPrompter` looks at masks in main memory; of a 192-cube patch that is 7 MB and several passes
over it between any two forward passes, while the device waits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clopa_annotator.geometry import Kji
from clopa_annotator.types import PointPrompt, Prompt


def click_both(
    negatives: Sequence[Tensor], positives: Sequence[Tensor], rng: np.random.Generator
) -> list[tuple[Prompt, ...]]:
    """For each sample one uniform voxel of either mask, negative first; an empty mask gives none.

    Args:
        negatives: (k, j, i) bool masks on one device; where a negative click may fall.
        positives: the same for positive clicks.
        rng: seeds the device's generator.
    """
    device = negatives[0].device
    generator = torch.Generator(device).manual_seed(int(rng.integers(2**63)))
    drawn = [_uniform(mask, generator) for pair in zip(negatives, positives, strict=True) for mask in pair]
    flat: list[int] = torch.stack(drawn).tolist()  # the one transfer
    answers: list[tuple[Prompt, ...]] = []
    for n, mask in enumerate(negatives):
        k, j, i = mask.shape
        pair = [(flat[2 * n], False), (flat[2 * n + 1], True)]
        answers.append(tuple(PointPrompt(_position(at, (k, j, i)), sign) for at, sign in pair if at >= 0))
    return answers


def _uniform(mask: Tensor, generator: torch.Generator) -> Tensor:
    """Flat index of a uniform voxel of a mask, -1 if it is empty; stays on the device."""
    flat = mask.reshape(-1)
    # In (0, 1]: a voxel of the mask is never as low as one outside.
    lots = 1 - torch.rand(flat.shape, generator=generator, device=mask.device)
    best, at = (lots * flat).max(0)
    return torch.where(best > 0, at, torch.full_like(at, -1))


def _position(flat: int, shape: Kji) -> Kji:
    (k, j, i) = (int(x) for x in np.unravel_index(flat, shape))
    return (k, j, i)


def overlaps(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """(n, 2) for n pairs of masks: voxels in common and voxels in both together; stays on the device."""
    return torch.stack([torch.stack(((a & b).sum(), a.sum() + b.sum())) for a, b in pairs])
