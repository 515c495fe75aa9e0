"""Slices turned the way clinicians look: anterior or superior up, the patient's right at the left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from clopa_annotator.geometry import Geometry

Scalar = TypeVar("Scalar", bound=np.generic)
_NAMES = ("sagittal", "coronal", "axial")
_DOWN = {"sagittal": (2, -1), "coronal": (2, -1), "axial": (1, 1)}
"""LPS axis and sign that grows down the picture: inferior, inferior, posterior."""
_RIGHT = {"sagittal": (1, 1), "coronal": (0, 1), "axial": (0, 1)}
"""LPS axis and sign that grows to the right of the picture: posterior, left, left."""


@dataclass(frozen=True)
class View:
    """How to show a slice across one array axis.

    Attributes:
        name: "axial", "coronal" or "sagittal", whichever is nearest for an oblique image.
        transpose: exchange rows and columns first.
        flip_rows: then turn it upside down.
        flip_columns: and left to right.
    """

    name: str
    transpose: bool
    flip_rows: bool
    flip_columns: bool

    def apply(self, slice_2d: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """A slice as it should be shown."""
        shown = slice_2d.T if self.transpose else slice_2d
        shown = shown[::-1] if self.flip_rows else shown
        return np.ascontiguousarray(shown[:, ::-1] if self.flip_columns else shown)

    def spacing(self, rows_mm: float, columns_mm: float) -> tuple[float, float]:
        """Voxel size along the shown rows and columns."""
        return (columns_mm, rows_mm) if self.transpose else (rows_mm, columns_mm)


def view_across(geometry: Geometry, axis: int) -> View:
    """The view of a slice across array axis ``axis`` (0, 1, 2 for k, j, i)."""
    nearest = _nearest_world_axes(geometry)
    name = _NAMES[nearest[axis][0]]
    row, column = (a for a in range(3) if a != axis)
    transpose = nearest[row][0] != _DOWN[name][0]
    if transpose:
        row, column = column, row
    return View(name, transpose, nearest[row][1] != _DOWN[name][1], nearest[column][1] != _RIGHT[name][1])


def _nearest_world_axes(geometry: Geometry) -> list[tuple[int, int]]:
    """For k, j and i the LPS axis that runs most alike, each used once, and the sign."""
    columns = np.reshape(geometry.direction, (3, 3))[:, ::-1].copy()
    strength = np.abs(columns)
    result = [(0, 1)] * 3
    for _ in range(3):
        world, axis = (int(v) for v in np.unravel_index(np.argmax(strength), (3, 3)))
        result[axis] = (world, 1 if columns[world, axis] > 0 else -1)
        strength[world, :] = -1
        strength[:, axis] = -1
    return result
