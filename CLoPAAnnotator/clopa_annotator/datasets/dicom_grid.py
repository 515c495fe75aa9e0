"""From slices with positions to one voxel grid, or a sentence why there is none. Pure numbers, no files.

Slices are put in order along the normal of their plane. The grid's third axis is the line through their
positions, not that normal: with a tilted gantry the two differ, and the grid is sheared as the patient was
scanned. Nothing is resampled, so a mask fits the series' own images, which DICOM SEG refers to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clopa_annotator.datasets.dicom_headers import Plane
from clopa_annotator.errors import ImageError
from clopa_annotator.geometry import Geometry

Floats = npt.NDArray[np.float64]

SAME_PLACE_MM = 0.01
"""Slices closer than this lie at one place."""
OFF_MM, OFF_PART = 0.06, 0.05
"""How far a slice may lie from its place on the grid: headers are rounded, some to a tenth of a mm."""
NO_TILT_MM = 0.05
"""Sideways drift over the whole stack below which the third axis is the normal: it is rounding."""


def one_orientation(planes: Sequence[Plane]) -> None:
    """Make sure that all slices have a position, one orientation, one size and one voxel size.

    Raises:
        ImageError: they do not; the text goes on after the name of the series.
    """
    if any(not p.position_lps_mm or not p.axes for p in planes):
        raise ImageError("has images without a position in space, so they do not make up a volume")
    if any(not p.spacing_mm or min(p.spacing_mm) <= 0 for p in planes):
        raise ImageError("does not say how large its pixels are")
    if not all(np.isfinite([*p.position_lps_mm, *p.axes, *p.spacing_mm]).all() for p in planes):
        raise ImageError("has positions that are not numbers")
    shapes = Counter(p.shape for p in planes)
    if len(shapes) > 1:
        listed = ", ".join(f"{n} of {h} x {w}" for (h, w), n in shapes.most_common(3))
        raise ImageError(f"mixes images of several sizes ({listed})")
    axes = np.array([p.axes for p in planes])
    kinds = len(np.unique(np.round(axes, 2), axis=0))
    if np.abs(axes - axes[0]).max() > 1e-3:
        raise ImageError(f"has images in {max(kinds, 2)} orientations, as a localiser has")
    spacing = np.array([p.spacing_mm for p in planes])
    if np.abs(spacing / spacing[0] - 1).max() > 1e-3:
        raise ImageError("mixes images with pixels of several sizes")
    row, column = axes[0][:3], axes[0][3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.9 or max(lengths) > 1.1 or abs(row @ column) > 1e-2:
        raise ImageError("has image axes that are not at right angles; its headers are damaged")


def heights(planes: Sequence[Plane]) -> Floats:
    """Where slices lie along the normal of their common plane, in mm."""
    normal = _unit_axes(planes[0])[2]
    return np.array([p.position_lps_mm for p in planes]) @ normal


def grid_of(planes: Sequence[Plane]) -> Geometry:
    """The grid of slices that are in order, one per place, and fulfil `one_orientation`.

    Raises:
        ImageError: a single slice, gaps, unequal distances, or slices that do not lie on one line.
    """
    count = len(planes)
    if count < 2:
        raise ImageError("is a single image, and a volume has several slices. Choose another series")
    row, column, normal = _unit_axes(planes[0])
    positions = np.array([p.position_lps_mm for p in planes])
    step = (positions[-1] - positions[0]) / (count - 1)
    places = positions[0] + np.arange(count)[:, None] * step
    off_mm = np.linalg.norm(positions - places, axis=1)
    if off_mm.max() > max(OFF_MM, OFF_PART * float(step @ normal)):
        _explain(positions, normal)
    drift_mm = float(np.linalg.norm(step - (step @ normal) * normal)) * (count - 1)
    if drift_mm <= NO_TILT_MM:
        step = (step @ normal) * normal
    thickness = float(np.linalg.norm(step))
    across_mm, along_mm = planes[0].spacing_mm
    direction = np.column_stack([row, column, step / thickness])
    x, y, z = positions[0]
    return Geometry(
        (count, *planes[0].shape),
        (along_mm, across_mm, thickness),
        (float(x), float(y), float(z)),
        tuple(float(v) for v in direction.ravel()),
    )


def tilt_degrees(geometry: Geometry) -> float:
    """Angle between the third axis and the normal of the first two."""
    matrix = np.reshape(geometry.direction, (3, 3))
    normal = np.cross(matrix[:, 0], matrix[:, 1])
    cosine = abs(float(normal @ matrix[:, 2])) / float(np.linalg.norm(normal))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def _unit_axes(plane: Plane) -> tuple[Floats, Floats, Floats]:
    row, column = np.array(plane.axes[:3]), np.array(plane.axes[3:])
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    normal = np.cross(row, column)
    return row, column, normal / np.linalg.norm(normal)


def _explain(positions: Floats, normal: Floats) -> None:
    """Say why slices do not lie at equal distances on a line."""
    steps = np.diff(positions @ normal)
    usual = float(np.median(steps))
    multiples = np.rint(steps / usual)
    if (multiples >= 1).all() and np.abs(steps - multiples * usual).max() <= max(OFF_MM, 0.1 * usual):
        missing = int((multiples - 1).sum())
        if missing:
            after = int(np.flatnonzero(multiples > 1)[0]) + 1
            number = f"{missing} slices are" if missing > 1 else "1 slice is"
            raise ImageError(f"is incomplete: {number} missing, the first after slice {after}")
        raise ImageError("has slices that do not lie on one straight line")
    low, high = float(steps.min()), float(steps.max())
    raise ImageError(f"has slices at unequal distances ({low:.2f} to {high:.2f} mm)")
