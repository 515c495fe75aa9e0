"""How sure a suggestion is, from what the model says alone. Every score is larger for a better mask.

``agreement``
    Dice between the answers to the image and to its mirror images.
``surface``
    One minus the mean entropy, in bits, at the mask's surface: how sharply it is drawn.
``reprompt``
    Dice between the mask and what a session gives for one click at the mask's own centre.
``versions``
    Dice between the mask and that of the version before.

`CHOSEN` is the one that calibration and the order of cases go by; ``docs/results/suggestions.md`` says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from clopa_annotator.geometry import Kji, bounding_box, box_slices
from clopa_annotator.session.protocol import Session
from clopa_annotator.types import Image, Mask, PointPrompt, WholeImageAnswer

AGREEMENT, SURFACE, REPROMPT, VERSIONS = "agreement", "surface", "reprompt", "versions"
CHOSEN = AGREEMENT
"""The score in use."""
AROUND = 2
"""Voxels around the mask's bounding box that count for its surface."""


def scores_of(answer: WholeImageAnswer) -> dict[str, float]:
    """The scores that an answer brings along, at no further pass of the network."""
    return {AGREEMENT: answer.agreement, SURFACE: surface_sharpness(answer.foreground)}


def certainty(scores: Mapping[str, float]) -> float:
    """The score in use; NaN if it is not there."""
    return float(scores.get(CHOSEN, math.nan))


def surface_sharpness(foreground: npt.NDArray[np.uint8]) -> float:
    """One minus the mean entropy of the voxels on either side of the mask's surface; 0 for an empty mask.

    Args:
        foreground: (k, j, i) probability in 255ths.
    """
    bounds = bounding_box(foreground > 127)
    if bounds is None:
        return 0.0
    grown = [
        (max(low - AROUND, 0), min(high + AROUND, n))
        for (low, high), n in zip(bounds, foreground.shape, strict=True)
    ]
    part = foreground[box_slices((grown[0], grown[1], grown[2]))]
    mask = part > 127
    surface = ndimage.binary_dilation(mask) & ~ndimage.binary_erosion(mask, border_value=1)
    p = np.clip(part[surface].astype(np.float64) / 255, 1e-3, 1 - 1e-3)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return float(1 - entropy.mean())


def overlap_of(first: Mask, second: Mask) -> float:
    """Dice of two masks on one grid; 1 if both are empty."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / total if total else 1.0


def centre_of(mask: Mask) -> Kji | None:
    """The voxel deepest inside the mask's largest part; None for an empty mask."""
    parts, count = ndimage.label(mask)
    if count == 0:
        return None
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    depth = ndimage.distance_transform_edt(parts == int(sizes.argmax()))
    k, j, i = (int(x) for x in np.unravel_index(int(depth.argmax()), depth.shape))
    return (k, j, i)


def reprompt_agreement(session: Session, image: Image, mask: Mask) -> float:
    """What a click at the mask's own centre makes of it; 0 for an empty mask.

    Args:
        session: takes the image; whatever was open in it is gone.
        image: the mask's.
        mask: (k, j, i).
    """
    centre = centre_of(mask)
    if centre is None:
        return 0.0
    session.set_image(image)
    try:
        return overlap_of(session.add_prompt(PointPrompt(centre)).mask, mask)
    finally:
        session.close()
