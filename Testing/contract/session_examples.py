"""Images and prompts for the session contract: what every session takes, and what it refuses."""

from __future__ import annotations

import numpy as np

from clopa_annotator.geometry import Geometry
from clopa_annotator.types import BoxPrompt, Image, LassoPrompt, MaskPrompt, PointPrompt, ScribblePrompt

SHAPE = (26, 30, 22)
CENTRE = (13, 15, 11)
FLAT_BOX = ((13, 14), (8, 22), (5, 17))


def an_image(seed=0, shape=SHAPE):
    """A noisy volume with a bright ball in the middle."""
    grid = np.indices(shape)
    distance = np.sqrt(sum((g - n // 2) ** 2 for g, n in zip(grid, shape, strict=True)))
    noise = np.random.default_rng(seed).normal(0, 0.1, shape)
    return Image((noise + 3.0 * (distance < 6)).astype(np.float32), Geometry(shape))


def a_mask(shape=SHAPE):
    mask = np.zeros(shape, np.uint8)
    mask[10:16, 12:18, 8:14] = 1
    return mask


def a_drawing(cls, positive=True):
    drawn = np.zeros((1, 6, 6), np.uint8)
    drawn[0, 2:4, 1:6] = 1
    return cls(drawn, ((13, 14), (12, 18), (8, 14)), positive)


PROMPTS = {
    "a positive point": PointPrompt(CENTRE),
    "a negative point": PointPrompt((3, 3, 3), False),
    "a box": BoxPrompt(FLAT_BOX),
    "a negative box": BoxPrompt(FLAT_BOX, False),
    "a scribble": a_drawing(ScribblePrompt),
    "a negative scribble": a_drawing(ScribblePrompt, False),
    "a lasso": a_drawing(LassoPrompt),
    "a mask": MaskPrompt(a_mask()),
}

NEVER_TAKEN = {
    "no prompt at all": (),
    "a point beyond the last voxel": (PointPrompt((26, 0, 0)),),
    "a point before the first voxel": (PointPrompt((0, -1, 0)),),
    "a point between voxels": (PointPrompt((1.5, 2, 3)),),
    "a point with two indices": (PointPrompt((1, 2)),),
    "a point of truth values": (PointPrompt((True, 2, 3)),),
    "an empty box": (BoxPrompt(((3, 3), (4, 9), (4, 9))),),
    "a box turned around": (BoxPrompt(((4, 3), (4, 9), (4, 9))),),
    "a box that sticks out": (BoxPrompt(((3, 4), (4, 31), (4, 9))),),
    "an empty scribble": (ScribblePrompt(np.zeros((1, 2, 2), np.uint8), ((0, 1), (0, 2), (0, 2))),),
    "a scribble of labels": (ScribblePrompt(np.full((1, 2, 2), 7, np.uint8), ((0, 1), (0, 2), (0, 2))),),
    "a lasso that sticks out": (LassoPrompt(np.ones((1, 2, 2), np.uint8), ((-1, 0), (0, 2), (0, 2))),),
    "a mask of another grid": (MaskPrompt(np.zeros((26, 30, 21), np.uint8)),),
    "a mask of labels": (MaskPrompt(a_mask() * 2),),
    "a mask with NaN": (MaskPrompt(np.full(SHAPE, np.nan)),),
    "something that is no prompt": ("click",),
    "a good point before a bad one": (PointPrompt(CENTRE), PointPrompt((99, 0, 0))),
}


def refused_images():
    """Images that nobody can annotate, by what is wrong with them."""
    good = an_image().voxels
    with_nan, with_infinity = good.copy(), good.copy()
    with_nan[1, 2, 3], with_infinity[1, 2, 3] = np.nan, np.inf
    huge = good.astype(np.float64)
    huge[0, 0, 0] = 1e300
    return {
        "NaN": with_nan,
        "infinite": with_infinity,
        "too large": huge,
        "same value": np.full(SHAPE, 3.0),
        r"same value \(0": np.zeros(SHAPE, np.int16),
        "vector": np.stack([good, good], axis=-1),
        "axes": good[0],
        "no voxels": np.zeros((0, 4, 4), np.float32),
        "type complex": good.astype(np.complex64),
        "type bool": good > 1,
        "type object": good.astype(object),
    }


def state_of(session):
    """All that the outside can see."""
    proposal = session.proposal
    return (session.prompts, proposal.mask.tobytes(), proposal.weights_version, proposal.revision)


def box_contains_all_changes(before, proposal):
    outside = before != proposal.mask
    if proposal.changed_kji is None:
        return not outside.any()
    outside[tuple(slice(*b) for b in proposal.changed_kji)] = False
    return not outside.any()
