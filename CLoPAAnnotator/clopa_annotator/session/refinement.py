"""Where a coarse answer is refined: boxes of one patch that cover what changed, as few as will do.

nnInteractive covers the change with boxes around its own voxels and counts as covered what lies 24 voxels
from a box's side, which is an eighth of its patch of 192. Of a patch of 64 that leaves 16 voxels per axis: a
liver takes a hundred boxes and more. Here the margin is an eighth of whatever the patch is, a side at the
image's border needs none (there is nothing beyond it to see), and the boxes tile the change instead of being
drawn one after another: about ten for the same liver (``benchmarks/large_structures.py`` counts them).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from clopa_annotator.geometry import BoundsKji, Kji, bounding_box, box_slices

MARGIN_SHARE = 8
"""A margin is the patch's side divided by this."""
UPSTREAM_MARGIN = 24
"""nnInteractive's own margin; where ours would be the same, its own boxes are taken."""

_THICK = 5
Change = npt.NDArray[np.bool_]
Sides = Mapping[int, tuple[int, int]]


def is_upstreams(patch_kji: Kji) -> bool:
    """Whether nnInteractive's own boxes are right for a patch: it has the size that they were made for."""
    return all(p // MARGIN_SHARE >= UPSTREAM_MARGIN for p in patch_kji)


def worth_refining(change: Change) -> Change:
    """What of a change is refined: thick parts, as in nnInteractive, and what is thin close to them.

    nnInteractive drops what is thinner than five voxels, which in thick slices can be the end of an organ.
    Its boxes see 24 voxels beyond what they cover, and so the thin parts there; few boxes would not.
    """
    thin = ndimage.minimum_filter(change.view(np.uint8), _THICK, mode="nearest")
    thick = ndimage.maximum_filter(thin, _THICK, mode="nearest")
    near = ndimage.maximum_filter(thick, 2 * UPSTREAM_MARGIN + 1, mode="nearest")
    found: Change = (thick > 0) | ((near > 0) & change)
    return found


def refinement_boxes(
    change: Change, patch_kji: Kji, shape_kji: Kji | None = None, origin_kji: Kji = (0, 0, 0)
) -> tuple[BoundsKji, ...]:
    """Boxes of one patch that cover every changed voxel, the fullest first.

    Args:
        change: (k, j, i) of the image, or of a part of it.
        patch_kji: the network's patch.
        shape_kji: of the image; None where ``change`` is all of it.
        origin_kji: where ``change`` begins in the image.

    Returns:
        Half-open boxes. Along an axis that is longer than the patch they lie within the image; along a
        shorter one they have it in their middle. Empty if nothing changed.
    """
    best: list[tuple[int, BoundsKji]] | None = None
    (k, j, i) = change.shape if shape_kji is None else shape_kji
    # An axis that one patch holds is not cut: its place in the order changes nothing.
    whole = [axis for axis, n in enumerate((k, j, i)) if n <= patch_kji[axis]]
    cut = [axis for axis in range(3) if axis not in whole]
    for order in permutations(cut):
        found = list(_tiles(change, patch_kji, (*whole, *order), origin_kji, {}, (k, j, i)))
        if best is None or len(found) < len(best):
            best = found
    return tuple(box for _, box in sorted(best or (), key=lambda tile: (-tile[0], tile[1])))


def _tiles(
    change: Change, patch_kji: Kji, axes: tuple[int, ...], origin_kji: Kji, sides: Sides, length_kji: Kji
) -> Iterator[tuple[int, BoundsKji]]:
    """Cut along one axis after the other; each slab anew, so that a slab takes no more than it needs."""
    bounds = bounding_box(change)
    if bounds is None:
        return
    if not axes:
        yield int(np.count_nonzero(change)), (sides[0], sides[1], sides[2])
        return
    change = change[box_slices(bounds)]
    (k, j, i) = (o + low for o, (low, _) in zip(origin_kji, bounds, strict=True))
    axis, length, patch = axes[0], length_kji[axes[0]], patch_kji[axes[0]]
    start = (k, j, i)[axis]
    stop, done = start + change.shape[axis], start
    for low in _lows((start, stop), length, patch):
        high = low + patch
        end = stop if high >= length else min(stop, high - patch // MARGIN_SHARE)
        slab = change[tuple(slice(done - start, end - start) if a == axis else slice(None) for a in range(3))]
        at = (done if axis == 0 else k, done if axis == 1 else j, done if axis == 2 else i)
        if end > done:
            yield from _tiles(slab, patch_kji, axes[1:], at, {**sides, axis: (low, high)}, length_kji)
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
