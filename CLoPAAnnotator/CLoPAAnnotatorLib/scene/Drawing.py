"""From a drawing on a slice to voxels: pure numpy, in any orientation.

A drawing lives in the slice view's plane. The plane is sampled more finely than the voxels, each sample
inside the drawing is sent to the volume's grid, and the voxels that were hit are the region. So an oblique
view, a flipped image or a transformed one needs no case of its own: what the drawing shows is what is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import PromptError
from clopa_annotator.geometry import BoundsKji, Kji
from clopa_annotator.types import Mask

Points2 = npt.NDArray[np.float64]
"""(n, 2) positions in the slice plane in mm."""
ToIndex = Callable[[Points2], npt.NDArray[np.int64]]
"""From (n, 2) plane positions in mm to (n, 3) voxel indices (k, j, i), which may lie outside."""

OUTSIDE = "That is outside the image. Draw on the image itself; scroll until you see it."
MAX_SAMPLES = 4_000_000


def insidePolygon(points: Points2, polygon: Points2) -> npt.NDArray[np.bool_]:
    """Which points lie inside a closed polygon (even-odd rule)."""
    inside = np.zeros(len(points), bool)
    x, y = points[:, 0], points[:, 1]
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside


def nearLine(points: Points2, line: Points2, radiusMm: float) -> npt.NDArray[np.bool_]:
    """Which points lie within a distance of an open polyline."""
    near = ((points - line[0]) ** 2).sum(1) <= radiusMm**2
    for start, end in pairwise(line):
        along = end - start
        length2 = float(along @ along)
        if length2 > 0:
            t = np.clip((points - start) @ along / length2, 0, 1)[:, None]
            near |= ((points - start - t * along) ** 2).sum(1) <= radiusMm**2
    return near


def _samples(drawing: Points2, marginMm: float, stepMm: float) -> Points2:
    low, high = drawing.min(0) - marginMm, drawing.max(0) + marginMm
    counts = np.maximum(np.ceil((high - low) / stepMm).astype(int) + 1, 1)
    if counts.prod() > MAX_SAMPLES:
        stepMm *= float(np.sqrt(counts.prod() / MAX_SAMPLES))
    axes = [np.arange(a, b + stepMm, stepMm) for a, b in zip(low, high, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)


def lassoRegion(polygon: Points2, toIndex: ToIndex, shape: Kji, stepMm: float) -> tuple[Mask, BoundsKji]:
    """The voxels inside a closed line.

    Args:
        polygon: (n, 2) corners in the slice plane in mm; at least 3.
        toIndex: from the plane to the volume's grid.
        shape: the volume's shape (k, j, i).
        stepMm: distance of the samples; half the smallest voxel edge leaves no holes.

    Raises:
        PromptError: the line encloses nothing, or nothing of the image.
    """
    if len(polygon) < 3:
        raise PromptError("The lasso is too small. Hold the mouse button and draw around the structure.")
    points = _samples(polygon, 0.0, stepMm)
    inside = points[insidePolygon(points, polygon)]
    return _region(np.concatenate([inside, polygon]), toIndex, shape)


def scribbleRegion(
    line: Points2, toIndex: ToIndex, shape: Kji, stepMm: float, radiusMm: float
) -> tuple[Mask, BoundsKji]:
    """The voxels under a brush of ``radiusMm`` drawn along a line; see `lassoRegion`."""
    points = _samples(line, radiusMm, stepMm)
    near = points[nearLine(points, line, radiusMm)]
    return _region(np.concatenate([near, line]), toIndex, shape)


def _region(points: Points2, toIndex: ToIndex, shape: Kji) -> tuple[Mask, BoundsKji]:
    index = toIndex(points)
    index = np.unique(index[((index >= 0) & (index < np.array(shape))).all(1)], axis=0)
    if not len(index):
        raise PromptError(OUTSIDE)
    low, high = index.min(0), index.max(0) + 1
    mask = np.zeros(high - low, np.uint8)
    mask[tuple((index - low).T)] = 1
    return mask, _bounds(low, high)


def boxBounds(corners: npt.NDArray[np.float64], normalAxis: int, shape: Kji) -> BoundsKji:
    """A flat box between two opposite corners drawn in a slice.

    nnInteractive takes boxes that are flat along one axis, so an oblique drawing is flattened onto the axis
    that the view looks along most.

    Args:
        corners: (4, 3) continuous voxel positions (k, j, i) of the drawn rectangle's corners.
        normalAxis: 0, 1 or 2: the array axis along which the box is flat.
        shape: the volume's shape (k, j, i).

    Raises:
        PromptError: outside the image, or without an area.
    """
    low = np.floor(corners.min(0) + 0.5).astype(int)
    high = np.floor(corners.max(0) + 0.5).astype(int) + 1
    middle = int(np.floor(corners.mean(0)[normalAxis] + 0.5))
    low[normalAxis], high[normalAxis] = middle, middle + 1
    low, high = np.maximum(low, 0), np.minimum(high, shape)
    if (high <= low).any():
        raise PromptError(OUTSIDE)
    drawn = np.delete(high - low, normalAxis)
    if (drawn < 2).any():
        raise PromptError("The box is too small. Hold the mouse button and draw from corner to corner.")
    return _bounds(low, high)


def _bounds(low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> BoundsKji:
    (a, b, c) = ((int(x), int(y)) for x, y in zip(low, high, strict=True))
    return (a, b, c)
