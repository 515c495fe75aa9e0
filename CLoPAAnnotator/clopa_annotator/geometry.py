"""Where a voxel grid lies in the patient, and boxes in it.

Arrays are (k, j, i): slowest axis first, as SimpleITK and Slicer give them. Index vectors named ``_ijk`` are
in the opposite order, as VTK and ITK count. World positions are LPS millimetres (ITK); ``_ras`` marks the few
that are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import GeometryError

Kji = tuple[int, int, int]
BoundsKji = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Half-open index ranges ``((k0, k1), (j0, j1), (i0, i1))``."""

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
TOLERANCE_MM = 1e-3


@dataclass(frozen=True)
class Geometry:
    """A voxel grid in the world.

    Attributes:
        shape_kji: number of voxels along k, j and i.
        spacing_ijk_mm: voxel size in mm along i, j and k.
        origin_lps_mm: LPS position in mm of the centre of voxel (0, 0, 0).
        direction: 3x3 matrix, row-major; its columns are the unit vectors of i, j and k in LPS.
    """

    shape_kji: Kji
    spacing_ijk_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin_lps_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = IDENTITY

    def __post_init__(self) -> None:
        if len(self.shape_kji) != 3 or any(n < 1 for n in self.shape_kji):
            raise GeometryError(
                f"A grid needs three axes of at least one voxel, but has shape {self.shape_kji}."
            )
        if any(not np.isfinite(s) or s <= 0 for s in self.spacing_ijk_mm):
            raise GeometryError(
                f"The voxel size must be positive along each axis, but is {self.spacing_ijk_mm} mm."
            )
        if len(self.direction) != 9 or abs(np.linalg.det(np.reshape(self.direction, (3, 3)))) < 1e-6:
            raise GeometryError("The image axes lie in one plane; the image's direction matrix is damaged.")

    @property
    def spacing_kji_mm(self) -> tuple[float, float, float]:
        """Voxel size in mm along k, j and i: the order of the array axes."""
        i, j, k = self.spacing_ijk_mm
        return (k, j, i)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel."""
        # The determinant is 1 unless the axes are sheared, as those of a scan with a tilted gantry are.
        shear = abs(float(np.linalg.det(np.reshape(self.direction, (3, 3)))))
        return float(np.prod(self.spacing_ijk_mm)) * shear

    @property
    def is_rectangular(self) -> bool:
        """Whether the axes are at right angles; those of a scan with a tilted gantry are not."""
        axes = np.reshape(self.direction, (3, 3))
        return bool(np.abs(axes.T @ axes - np.eye(3)).max() < 1e-3)

    def ijk_to_lps(self) -> npt.NDArray[np.float64]:
        """4x4 matrix from (i, j, k, 1) to LPS millimetres."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing_ijk_mm)
        matrix[:3, 3] = self.origin_lps_mm
        return matrix

    def ijk_to_ras(self) -> npt.NDArray[np.float64]:
        """4x4 matrix from (i, j, k, 1) to RAS millimetres, as Slicer wants it."""
        matrix: npt.NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ self.ijk_to_lps()
        return matrix

    def index_kji(self, position_lps_mm: Sequence[float]) -> Kji:
        """Nearest voxel to a world position; it may lie outside the grid (see `contains`)."""
        ijk = np.linalg.inv(self.ijk_to_lps()) @ np.array([*position_lps_mm, 1.0])
        i, j, k = (int(np.floor(v + 0.5)) for v in ijk[:3])
        return (k, j, i)

    def contains(self, index_kji: Sequence[int]) -> bool:
        """Whether a voxel index lies in the grid."""
        return all(0 <= x < n for x, n in zip(index_kji, self.shape_kji, strict=True))

    def agrees_with(self, other: Geometry, tolerance_mm: float = TOLERANCE_MM) -> bool:
        """Whether two grids have the same shape and no corner further apart than ``tolerance_mm``."""
        if self.shape_kji != other.shape_kji:
            return False
        corners = np.array([[i, j, k, 1] for k in (0, 1) for j in (0, 1) for i in (0, 1)], dtype=float)
        corners[:, :3] *= np.array(self.shape_kji[::-1]) - 1
        distance = (self.ijk_to_lps() - other.ijk_to_lps()) @ corners.T
        return bool(np.abs(distance).max() <= tolerance_mm)


def bounding_box(mask: npt.NDArray[np.generic]) -> BoundsKji | None:
    """Smallest half-open box around the nonzero voxels of a (k, j, i) array; None if there are none."""
    planes = np.flatnonzero(np.any(mask, axis=(1, 2)))
    if planes.size == 0:
        return None
    k = (int(planes[0]), int(planes[-1]) + 1)
    # The other two axes from one projection: five times quicker than one over the volume for each.
    shadow = np.any(mask[slice(*k)], axis=0)
    j, i = (np.flatnonzero(np.any(shadow, axis=axis)) for axis in (1, 0))
    return (k, (int(j[0]), int(j[-1]) + 1), (int(i[0]), int(i[-1]) + 1))


def union_box(first: BoundsKji | None, second: BoundsKji | None) -> BoundsKji | None:
    """Smallest box around two boxes, either of which may be None."""
    if first is None or second is None:
        return first or second
    (a, b, c) = ((min(p[0], q[0]), max(p[1], q[1])) for p, q in zip(first, second, strict=True))
    return (a, b, c)


def clip_box(bounds: BoundsKji, shape_kji: Kji) -> BoundsKji | None:
    """The part of a box inside a grid of ``shape_kji``; None if there is none."""
    (a, b, c) = ((max(lo, 0), min(hi, n)) for (lo, hi), n in zip(bounds, shape_kji, strict=True))
    return (a, b, c) if all(hi > lo for lo, hi in (a, b, c)) else None


def box_slices(bounds: BoundsKji) -> tuple[slice, slice, slice]:
    """A box as slices for indexing a (k, j, i) array."""
    return (slice(*bounds[0]), slice(*bounds[1]), slice(*bounds[2]))


def box_shape(bounds: BoundsKji) -> Kji:
    """Number of voxels of a box along k, j and i."""
    return (bounds[0][1] - bounds[0][0], bounds[1][1] - bounds[1][0], bounds[2][1] - bounds[2][0])
