"""Dice and normalised surface Dice (NSD) of two masks, and detection figures of several of a kind.

Edge cases, decided once for the whole project:

=================  ==========================  ==========================
masks              Dice                        NSD
=================  ==========================  ==========================
both empty         1: they agree on absence    NaN: there is no surface
one empty          0                           0
equal, not empty   1                           1
=================  ==========================  ==========================

Detection: a reference and a proposal are a pair if the intersection over union (IoU) of their voxels is at
least the threshold; pairs are formed one to one, the best first. With TP pairs precision is TP / proposals,
recall TP / references, and F1 = 2 TP / (proposals + references) over all cases together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from clopa_annotator.errors import ConfigError, GeometryError
from clopa_annotator.geometry import bounding_box, box_slices, union_box

AnyMask = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]
Spacing = tuple[float, float, float]

IOU = 0.5
"""Threshold of the figures in reports."""

_CORNER_WEIGHTS = ((128, 64), (32, 16)), ((8, 4), (2, 1))
"""Weight of each voxel of a 2x2x2 neighbourhood in its code; the order that the table of areas expects."""


def _check_same_shape(first: AnyMask, second: AnyMask) -> None:
    if first.shape != second.shape or first.ndim != 3:
        raise GeometryError(
            f"Two masks on one 3D grid are needed to compare them, but they have shapes {first.shape} and "
            f"{second.shape}."
        )


def _check_millimetres(spacing_kji_mm: Spacing, tolerance_mm: float) -> None:
    if not (tolerance_mm >= 0 and all(math.isfinite(s) and s > 0 for s in spacing_kji_mm)):
        raise ConfigError(
            f"NSD needs a tolerance of at least 0 mm and positive voxel sizes, not {tolerance_mm} mm and "
            f"{spacing_kji_mm} mm."
        )


def dice(first: AnyMask, second: AnyMask) -> float:
    """Dice overlap ``2 |A and B| / (|A| + |B|)`` of two (k, j, i) masks; nonzero voxels are inside.

    Returns:
        A number in [0, 1]; 1 if both masks are empty.

    Raises:
        GeometryError: the shapes differ or are not 3D.
    """
    _check_same_shape(first, second)
    inside, other = first.astype(bool, copy=False), second.astype(bool, copy=False)
    total = int(np.count_nonzero(inside)) + int(np.count_nonzero(other))
    if total == 0:
        return 1.0
    return 2.0 * int(np.count_nonzero(inside & other)) / total


def nsd(first: AnyMask, second: AnyMask, spacing_kji_mm: Spacing, tolerance_mm: float) -> float:
    """Share of the two surfaces' area that lies within ``tolerance_mm`` of the other surface.

    The definition of DeepMind's ``surface-distance``: a surface element sits on each voxel corner whose eight
    voxels are not all alike, its area comes from the marching cubes of those eight, and distances are
    Euclidean between element positions. Outside the image counts as background.

    Args:
        first: (k, j, i) mask, nonzero voxels are inside.
        second: mask on the same grid; the measure is symmetric.
        spacing_kji_mm: voxel size in mm along k, j and i.
        tolerance_mm: largest distance that still counts as agreement; a distance equal to it counts.

    Returns:
        A number in [0, 1]; NaN if both masks are empty, 0 if one is.

    Raises:
        GeometryError: the shapes differ or are not 3D.
        ConfigError: a spacing that is not positive, or a negative tolerance.

    Deviation from the source, for speed and with the same result: distances are looked up in a tree of
    surface elements, and only for elements that the surfaces do not share, instead of in two distance maps.
    """
    _check_same_shape(first, second)
    _check_millimetres(spacing_kji_mm, tolerance_mm)
    bounds = union_box(bounding_box(first), bounding_box(second))
    if bounds is None:
        return math.nan
    window = box_slices(bounds)
    codes_a, codes_b = _corner_codes(first[window]), _corner_codes(second[window])
    areas = surface_areas(spacing_kji_mm)
    agreeing, total = 0.0, 0.0
    for here, there in ((codes_a, codes_b), (codes_b, codes_a)):
        elements = np.argwhere(_is_surface(here))
        element_areas = areas[here[tuple(elements.T)]]
        near = _within(elements, there, spacing_kji_mm, tolerance_mm)
        agreeing += float(element_areas[near].sum())
        total += float(element_areas.sum())
    return agreeing / total


@lru_cache(maxsize=32)
def surface_areas(spacing_kji_mm: Spacing) -> Floats:
    """Area in mm^2 of the surface element for each of the 256 codes of a 2x2x2 neighbourhood.

    The table is MONAI's copy of the one in ``surface-distance``; MONAI is imported here because that takes
    seconds which a caller of `dice` need not spend.
    """
    from monai.metrics.utils import create_table_neighbour_code_to_surface_area

    table, _kernel = create_table_neighbour_code_to_surface_area(spacing_kji_mm)
    areas: Floats = np.asarray(table.cpu().numpy(), dtype=np.float64)
    areas.setflags(write=False)
    return areas


def _corner_codes(mask: AnyMask) -> npt.NDArray[np.uint8]:
    """Code of the 2x2x2 voxels around each voxel corner, shape (K+1, J+1, I+1): 0 outside, 255 inside."""
    padded = np.pad(mask.astype(bool, copy=False), 1).view(np.uint8)
    codes = np.zeros(tuple(n - 1 for n in padded.shape), dtype=np.uint8)
    weights = np.array(_CORNER_WEIGHTS, dtype=np.uint8)
    for offset in np.ndindex(2, 2, 2):
        window = tuple(slice(o, o + n) for o, n in zip(offset, codes.shape, strict=True))
        codes += padded[window] * weights[offset]
    return codes


def _is_surface(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    surface: npt.NDArray[np.bool_] = (codes != 0) & (codes != 255)
    return surface


def _within(
    elements: npt.NDArray[np.intp], other: npt.NDArray[np.uint8], spacing: Spacing, tolerance_mm: float
) -> npt.NDArray[np.bool_]:
    """Which of ``elements`` (rows of corner indices) lie within the tolerance of the surface in ``other``."""
    other_surface = _is_surface(other)
    near: npt.NDArray[np.bool_] = other_surface[tuple(elements.T)]
    targets, apart = np.argwhere(other_surface), elements[~near]
    if len(targets) == 0 or len(apart) == 0:
        return near
    # The tree's bound is strict and its sums are rounded differently, so it only proposes the neighbour; the
    # distance itself comes from whole index steps, which makes a step of exactly the tolerance count.
    tree = cKDTree(targets * np.asarray(spacing))
    bound_mm = tolerance_mm * (1 + 1e-6) + 1e-9
    index = np.asarray(tree.query(apart * np.asarray(spacing), distance_upper_bound=bound_mm)[1])
    found = index < len(targets)
    steps = (targets[index[found]] - apart[found]) * np.asarray(spacing)
    close = np.zeros(len(apart), dtype=bool)
    close[found] = np.sqrt((steps * steps).sum(axis=1)) <= tolerance_mm
    near[~near] = close
    return near


@dataclass(frozen=True)
class Detection:
    """What was found in some cases.

    Attributes:
        references: how many there are.
        proposals: how many were proposed.
        pairs: proposals that meet a reference of their own.
    """

    references: int = 0
    proposals: int = 0
    pairs: int = 0

    def __add__(self, other: Detection) -> Detection:
        return Detection(
            self.references + other.references, self.proposals + other.proposals, self.pairs + other.pairs
        )

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN where there is nothing on either side."""
        total = self.references + self.proposals
        return 2 * self.pairs / total if total else math.nan


def iou(first: AnyMask, second: AnyMask) -> float:
    """Intersection over union of two (k, j, i) masks; NaN if both are empty."""
    one, other = first != 0, second != 0
    union = int(np.count_nonzero(one | other))
    return int(np.count_nonzero(one & other)) / union if union else math.nan


def detect(references: Sequence[AnyMask], proposals: Sequence[AnyMask], threshold: float = IOU) -> Detection:
    """Match proposals with references in one case.

    Args:
        references: (k, j, i) masks, one each; empty ones count as none.
        proposals: likewise, on the same grid.
        threshold: smallest IoU of a pair, in (0, 1].
    """
    there = [mask for mask in references if mask.any()]
    found = [mask for mask in proposals if mask.any()]
    rated = [(iou(a, b), n, m) for n, a in enumerate(there) for m, b in enumerate(found)]
    taken: tuple[set[int], set[int]] = (set(), set())
    for overlap, n, m in sorted(rated, key=lambda pair: -pair[0]):
        if overlap >= threshold and n not in taken[0] and m not in taken[1]:
            taken[0].add(n)
            taken[1].add(m)
    return Detection(len(there), len(found), len(taken[0]))


def together(cases: Iterable[Detection]) -> Detection:
    """The sum over cases."""
    return sum(cases, start=Detection())
