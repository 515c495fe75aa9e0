"""Where a coarse answer is refined: boxes of one patch that cover what changed, as few as will do.

nnInteractive covers the change with boxes around its own voxels and counts as covered what lies 24 voxels from
a box's side, which is an eighth of its patch of 192. Of a patch of 64 that leaves 16 voxels per axis: a liver
of 145 x 163 x 23 voxels takes 191 boxes, most of them seen nine times over. Here the margin is an eighth of
whatever the patch is, a side at the image's border needs none (there is nothing beyond it to see), and the
boxes tile the change instead of being drawn one after another: 12 for the same liver.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import numpy.typing as npt

from clopa_annotator.geometry import BoundsKji, Kji, bounding_box

MARGIN_SHARE = 8
"""A margin is the patch's side divided by this."""
UPSTREAM_MARGIN = 24
"""nnInteractive's own margin; where ours would be the same, its own boxes are taken."""

Change = npt.NDArray[np.bool_]


def margins(patch_kji: Kji) -> Kji:
    """How far from each side of a patch its answer is trusted."""
    k, j, i = (p // MARGIN_SHARE for p in patch_kji)
    return (k, j, i)


def refinement_boxes(change: Change, patch_kji: Kji) -> tuple[BoundsKji, ...]:
    """Boxes of one patch that cover every changed voxel, the fullest first.

    Args:
        change: (k, j, i) of the whole image.
        patch_kji: the network's patch.

    Returns:
        Half-open boxes. Along an axis that is longer than the patch they lie within the image; along a shorter
        one they have it in their middle. Empty if nothing changed.
    """
    best: list[tuple[int, BoundsKji]] = []
    for order in permutations(range(3)):
        found = list(_tiles(change, patch_kji, order, {}))
        if not best or len(found) < len(best):
            best = found
    return tuple(box for _, box in sorted(best, key=lambda tile: (-tile[0], tile[1])))


def _tiles(
    change: Change, patch_kji: Kji, axes: tuple[int, ...], sides: dict[int, tuple[int, int]]
) -> Iterator[tuple[int, BoundsKji]]:
    """Cut along one axis after the other; each slab anew, so that a slab takes no more than it needs."""
    bounds = bounding_box(change)
    if bounds is None:
        return
    if not axes:
        (a, b, c) = (sides[axis] for axis in range(3))
        yield int(np.count_nonzero(change)), (a, b, c)
        return
    axis, length, patch = axes[0], change.shape[axes[0]], patch_kji[axes[0]]
    done = 0
    for low in _lows(bounds[axis], length, patch):
        high = low + patch
        end = length if high >= length else high - patch // MARGIN_SHARE
        slab = np.zeros_like(change)
        here = tuple(slice(done, end) if a == axis else slice(None) for a in range(3))
        slab[here] = change[here]
        yield from _tiles(slab, patch_kji, axes[1:], {**sides, axis: (low, high)})
        done = end


def _lows(wanted: tuple[int, int], length: int, patch: int) -> list[int]:
    """Where patches begin that cover an interval of an axis, evenly spread."""
    if length <= patch:
        return [length // 2 - patch // 2]
    margin, (start, stop) = patch // MARGIN_SHARE, wanted
    first = max(0, min(start - margin, length - patch))
    last = max(first, min(length - patch, stop + margin - patch))
    if first == last:
        return [first]
    if _covers_alone(wanted, length, patch):
        middle = (start + stop) // 2 - patch // 2
        return [max(0, min(middle, length - patch))]
    count = 1 + -(-(last - first) // (patch - 2 * margin))
    return [round(x) for x in np.linspace(first, last, count)]


def _covers_alone(wanted: tuple[int, int], length: int, patch: int) -> bool:
    """Whether one patch in the middle of an interval reaches its ends with a margin."""
    low = max(0, min((wanted[0] + wanted[1]) // 2 - patch // 2, length - patch))
    margin = patch // MARGIN_SHARE
    begin = 0 if low == 0 else low + margin
    end = length if low + patch == length else low + patch - margin
    return begin <= wanted[0] and wanted[1] <= end
