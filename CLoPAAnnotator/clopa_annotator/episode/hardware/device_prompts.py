"""What a window asks of the device between two forward passes: a few numbers, brought over in one go.

`prompting.PointPrompter` looks at masks in main memory; of a 192-cube patch that is 7 MB and several passes
over it between any two forward passes, while the device waits. Here the clicks are drawn where the masks are,
before anybody has waited for the pass, and loss, overlaps and clicks come over together: a step waits once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clopa_annotator.geometry import Kji
from clopa_annotator.types import PointPrompt, Prompt

Pair = tuple[Tensor, Tensor]
"""Two (k, j, i) bool masks on one device."""


@dataclass(frozen=True)
class Look:
    """What came over after a step.

    Attributes:
        loss: summed over the samples.
        overlaps: per sample the voxels in common and the voxels in both masks together.
        clicks: per sample the next clicks, negative first; None where nobody drew any.
    """

    loss: float
    overlaps: list[tuple[int, int]]
    clicks: list[tuple[Prompt, ...]] | None


def look(loss: Tensor, pairs: Sequence[Pair], rng: np.random.Generator | None) -> Look:
    """Wait for a step, once.

    Args:
        loss: float32 scalar on the device of the masks.
        pairs: per sample the segmentation and its target.
        rng: seeds the draw of the next clicks, one in either kind of error; None draws none.
    """
    asked = [loss.float().reshape(1).view(torch.int32).long(), *_overlaps(pairs)]
    if rng is not None:
        asked.append(_drawn([(p & ~t, t & ~p) for p, t in pairs], rng))
    numbers: list[int] = torch.cat(asked).tolist()  # the one transfer
    after = 1 + 2 * len(pairs)
    overlaps = list(zip(numbers[1:after:2], numbers[2:after:2], strict=True))
    clicks = None if rng is None else _clicks(numbers[after:], pairs)
    return Look(float(np.int32(numbers[0]).view(np.float32)), overlaps, clicks)


def draw_both(pairs: Sequence[Pair], rng: np.random.Generator) -> list[tuple[Prompt, ...]]:
    """For each pair of masks one uniform voxel of either, negative first; an empty mask gives none.

    Args:
        pairs: where a negative click may fall, and where a positive one.
        rng: seeds the device's generator.
    """
    return _clicks(_drawn(pairs, rng).tolist(), pairs)


def _overlaps(pairs: Sequence[Pair]) -> list[Tensor]:
    return [count.reshape(1) for a, b in pairs for count in ((a & b).sum(), a.sum() + b.sum())]


def _drawn(pairs: Sequence[Pair], rng: np.random.Generator) -> Tensor:
    """(2 n,) int64 flat indexes; stays on the device."""
    generator = torch.Generator(pairs[0][0].device).manual_seed(int(rng.integers(2**63)))
    return torch.stack([_uniform(mask, generator) for pair in pairs for mask in pair])


def _uniform(mask: Tensor, generator: torch.Generator) -> Tensor:
    """Flat index of a uniform voxel of a mask, -1 if it is empty; stays on the device."""
    flat = mask.reshape(-1)
    # In (0, 1]: a voxel of the mask is never as low as one outside.
    lots = 1 - torch.rand(flat.shape, generator=generator, device=mask.device)
    best, at = (lots * flat).max(0)
    return torch.where(best > 0, at, torch.full_like(at, -1))


def _clicks(flat: Sequence[int], pairs: Sequence[Pair]) -> list[tuple[Prompt, ...]]:
    answers: list[tuple[Prompt, ...]] = []
    for n, (mask, _) in enumerate(pairs):
        k, j, i = mask.shape
        drawn = [(flat[2 * n], False), (flat[2 * n + 1], True)]
        answers.append(tuple(PointPrompt(_position(at, (k, j, i)), sign) for at, sign in drawn if at >= 0))
    return answers


def _position(flat: int, shape: Kji) -> Kji:
    (k, j, i) = (int(x) for x in np.unravel_index(flat, shape))
    return (k, j, i)
