"""A mask from one grid onto another: without loss where the voxels are the same, else only when asked.

A label that was cropped, flipped or stored with its axes in another order has the same voxels as its image,
and every one of them finds its place. All else is another grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import Geometry, bounding_box
from clopa_annotator.types import Mask

TOLERANCE_MM = 0.05
_OF_A_VOXEL = 0.1


@dataclass(frozen=True, eq=False)
class Placed:
    """A mask on the image's grid.

    Attributes:
        mask: (k, j, i), uint8.
        resampled: whether voxels were made by nearest neighbours.
    """

    mask: Mask
    resampled: bool = False


def place(mask: Mask, geometry: Geometry, target: Geometry, resample: bool, name: str) -> Placed:
    """Bring a mask onto an image's grid.

    Args:
        mask: (k, j, i) uint8 mask on ``geometry``.
        geometry: the label's grid.
        target: the image's grid.
        resample: whether another grid is allowed; nearest neighbours then.
        name: how to call the label in an error.

    Raises:
        GeometryError: another grid without ``resample``, another place in space, or labelled voxels
            outside the image.
    """
    if geometry.agrees_with(target, _tolerance_mm(target)):
        return Placed(mask)
    move = _same_voxels(geometry, target)
    if move is not None:
        return Placed(_moved(mask, *move, target, name))
    if not _overlap(geometry, target):
        raise GeometryError(
            f"{name} lies somewhere else in space than the case's image. It belongs to another image or "
            "frame of reference."
        )
    if not resample:
        raise GeometryError(
            f"{name} lies on another voxel grid ({_in_words(geometry)}) than the case's image "
            f"({_in_words(target)}). Resample it with --resample if it belongs to this image all the same."
        )
    placed = _resampled(mask, geometry, target)
    if mask.any() and not placed.any():
        raise GeometryError(f"Nothing of {name} is left on the voxel grid of the case's image.")
    return Placed(placed, resampled=True)


def _tolerance_mm(target: Geometry) -> float:
    return min(TOLERANCE_MM, _OF_A_VOXEL * min(target.spacing_ijk_mm))


def _in_words(geometry: Geometry) -> str:
    i, j, k = geometry.spacing_ijk_mm
    size = "x".join(str(n) for n in geometry.shape_kji[::-1])
    return f"{size} voxels of {i:.4g}x{j:.4g}x{k:.4g} mm"


Axes = tuple[int, int, int]


def _same_voxels(geometry: Geometry, target: Geometry) -> tuple[Axes, Axes, Axes] | None:
    """How indices (i, j, k) of one grid become indices of another that has the same voxels.

    Returns:
        For each axis of the target: the axis of the label, its sign, and the offset; None if the voxels are
        not the same.
    """
    matrix = np.linalg.inv(target.ijk_to_lps()) @ geometry.ijk_to_lps()
    turn = np.rint(matrix[:3, :3])
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None
    offset = np.rint(matrix[:3, 3])
    corners = np.array([[i, j, k] for k in (0, 1) for j in (0, 1) for i in (0, 1)], dtype=float)
    corners *= np.array(geometry.shape_kji[::-1]) - 1
    exact = corners @ turn.T + offset
    real = corners @ matrix[:3, :3].T + matrix[:3, 3]
    off_mm = (real - exact) * np.asarray(target.spacing_ijk_mm)
    if np.abs(off_mm).max() > _tolerance_mm(target):
        return None
    axes = np.abs(turn).argmax(axis=1)
    signs = turn[np.arange(3), axes]
    return _three(axes), _three(signs), _three(offset)


def _three(values: npt.NDArray[np.generic]) -> Axes:
    a, b, c = (int(v) for v in values)
    return (a, b, c)


def _moved(mask: Mask, axes: Axes, signs: Axes, offset: Axes, target: Geometry, name: str) -> Mask:
    """Turn, flip and paste; nothing may be lost outside."""
    turned = mask.transpose(tuple(2 - axes[2 - axis] for axis in range(3)))
    flips = tuple(slice(None, None, signs[2 - axis]) for axis in range(3))
    turned = turned[flips]
    first = [offset[2 - axis] - (turned.shape[axis] - 1 if signs[2 - axis] < 0 else 0) for axis in range(3)]
    placed = np.zeros(target.shape_kji, np.uint8)
    inside, outside = [], []
    for start, length, room in zip(first, turned.shape, target.shape_kji, strict=True):
        low, high = max(start, 0), min(start + length, room)
        inside.append(slice(low, max(high, low)))
        outside.append(slice(low - start, max(high, low) - start))
    part = turned[tuple(outside)]
    lost = int(np.count_nonzero(mask)) - int(np.count_nonzero(part))
    if lost:
        raise GeometryError(
            f"{lost} labelled voxels of {name} lie outside the case's image. It belongs to another image."
        )
    placed[tuple(inside)] = part
    return placed


def _overlap(geometry: Geometry, target: Geometry) -> bool:
    """Whether the two boxes have anything in common, as boxes along the target's axes."""
    matrix = np.linalg.inv(target.ijk_to_lps()) @ geometry.ijk_to_lps()
    corners = np.array([[i, j, k] for k in (0, 1) for j in (0, 1) for i in (0, 1)], dtype=float)
    corners = corners * np.array(geometry.shape_kji[::-1]) - 0.5
    there = corners @ matrix[:3, :3].T + matrix[:3, 3]
    low, high = there.min(axis=0), there.max(axis=0)
    return bool((high > -0.5).all() and (low < np.array(target.shape_kji[::-1]) - 0.5).all())


def _resampled(mask: Mask, geometry: Geometry, target: Geometry) -> Mask:
    if bounding_box(mask) is None:
        return np.zeros(target.shape_kji, np.uint8)
    voxels = sitk.Resample(
        _volume(mask, geometry),
        target.shape_kji[::-1],
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
        target.origin_lps_mm,
        target.spacing_ijk_mm,
        target.direction,
        0,
        sitk.sitkUInt8,
    )
    return np.asarray(sitk.GetArrayFromImage(voxels), dtype=np.uint8)


def _volume(mask: Mask, geometry: Geometry) -> sitk.Image:
    volume = sitk.GetImageFromArray(np.ascontiguousarray(mask))
    volume.SetSpacing(geometry.spacing_ijk_mm)
    volume.SetOrigin(geometry.origin_lps_mm)
    volume.SetDirection(geometry.direction)
    return volume
