"""Several of a kind in one mask: its separate parts, as a label map without instances has them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from clopa_annotator.types import Mask

SMALLEST_PART = 8
"""Voxels below which a part counts as noise of the label map."""


def count_parts(mask: Mask) -> int:
    """How many parts a (k, j, i) mask has that are connected by faces, edges or corners."""
    return int(np.count_nonzero(_sizes(mask)[1] >= SMALLEST_PART))


def part_of_mask(mask: Mask, number: int) -> Mask:
    """One part of a (k, j, i) mask, the largest first; nothing where there is none of that number.

    Args:
        mask: nonzero voxels are inside.
        number: from 1.
    """
    labels, sizes = _sizes(mask)
    order = np.argsort(-sizes, kind="stable")
    if number > count_parts(mask):
        return np.zeros_like(mask)
    return np.asarray(labels == 1 + order[number - 1], dtype=np.uint8)


def parts_before(mask: Mask, number: int) -> Mask:
    """The union of the parts before one of them."""
    union = np.zeros_like(mask)
    for before in range(1, number):
        union |= part_of_mask(mask, before)
    return union


def _sizes(mask: Mask) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.intp]]:
    """The part of each voxel, 0 for none, and how many voxels each part has."""
    labels, _ = ndimage.label(mask != 0, structure=np.ones((3, 3, 3)))
    return np.asarray(labels, dtype=np.int32), np.bincount(labels.ravel())[1:]
