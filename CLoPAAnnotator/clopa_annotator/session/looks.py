"""Looks at a whole image without a prompt: where they are taken, and what the network is given.

As the session looks at a structure that reaches beyond its patch, an image larger than the patch is seen
coarse first: a region larger than the patch, scaled down to one. Then close, at the image's own resolution,
where the coarse look found something, with the coarse mask as previous segmentation. An image no larger than
the patch is looked at once. Episodes train on these very inputs (`episode.prompt_canvas`).

Two differences from nnInteractive's AutoZoom, both because nobody says where to look: the coarse looks tile
the image, and they reach no further out than `LARGEST_ZOOM`, the part of an image that training sees at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from clopa_annotator.geometry import BoundsKji, Kji
from clopa_annotator.session.patches import crop_padded, patch_bounds

CHANNELS = 8
"""Image, previous segmentation, then box or lasso, points and scribble, each positive and negative."""
LARGEST_ZOOM = 2.0
"""Sides of a coarse look in patches; `EpisodeSettings.region` gives training as much of an image."""
STRIDE = 0.75
"""Distance of neighbouring looks, in their sides."""
ALL_CLOSE = 8
"""So few close looks are all taken, wherever the coarse mask is: a thin structure may be missed there."""
MARGIN = 8
"""Voxels around the coarse mask that a close look has to cover."""
COARSE_SHARE = 0.25
"""Share of a coarse voxel that the target fills for it to belong to it: rather too much than too little."""


@dataclass(frozen=True)
class Look:
    """One patch of the network's.

    Attributes:
        centre_kji: voxel in the middle.
        zoom: sides in patches; above 1 it is scaled down to one.
    """

    centre_kji: Kji
    zoom: float = 1.0

    def bounds(self, patch_kji: Kji) -> BoundsKji:
        """Half-open box that it sees; it may leave the image."""
        return patch_bounds(self.centre_kji, _scaled(patch_kji, self.zoom))


def overview_zoom(shape_kji: tuple[int, ...], patch_kji: Kji) -> float:
    """The zoom of the first look at an image of this shape; 1 if one patch holds it."""
    needed = max(n / p for n, p in zip(shape_kji, patch_kji, strict=True))
    return min(LARGEST_ZOOM, max(1.0, needed))


def overview(shape_kji: tuple[int, ...], patch_kji: Kji) -> tuple[Look, ...]:
    """The first looks: they cover the image."""
    zoom = overview_zoom(shape_kji, patch_kji)
    sides = _scaled(patch_kji, zoom)
    axes = [_middles(n, side) for n, side in zip(shape_kji, sides, strict=True)]
    return tuple(Look((k, j, i), zoom) for k, j, i in product(*axes))


def close_looks(coarse: npt.NDArray[np.bool_], patch_kji: Kji) -> tuple[Look, ...]:
    """Looks at zoom 1 where the coarse mask has voxels; all there are if they are few.

    Args:
        coarse: (k, j, i) mask of the whole image, from the overview.
        patch_kji: the network's patch.
    """
    axes = [_middles(n, p) for n, p in zip(coarse.shape, patch_kji, strict=True)]
    cells = [_cells(middles, n) for middles, n in zip(axes, coarse.shape, strict=True)]
    every = np.prod([len(middles) for middles in axes]) <= ALL_CLOSE
    looks = []
    for place in product(*(range(len(middles)) for middles in axes)):
        cell = tuple(along[index] for along, index in zip(cells, place, strict=True))
        if every or coarse[cell].any():
            k, j, i = (middles[index] for middles, index in zip(axes, place, strict=True))
            looks.append(Look((k, j, i)))
    return tuple(looks)


def look_input(image: Tensor, previous: Tensor | None, look: Look, patch_kji: Kji) -> Tensor:
    """What the session would give the network there, had it no prompts.

    Args:
        image: (k, j, i) float32, normalised.
        previous: (k, j, i) bool, the mask so far; None for an empty one. A coarse look takes none.
        look: where.
        patch_kji: the network's patch.

    Returns:
        (8, *patch) float32: the image, the previous mask, and six empty channels for prompts.
    """
    bounds = look.bounds(patch_kji)
    seen = crop_padded(image, bounds)
    if tuple(seen.shape) != tuple(patch_kji):
        seen = interpolate(seen[None, None], patch_kji, mode="trilinear")[0, 0]
    out = image.new_zeros((CHANNELS, *patch_kji))
    out[0] = seen
    if previous is not None:
        out[1] = crop_padded(previous, bounds).to(out.dtype)
    return out


def as_seen(target: Tensor, look: Look, patch_kji: Kji) -> Tensor:
    """A (k, j, i) mask as a look sees it: (*patch) bool, what the network should answer there."""
    part = crop_padded(target, look.bounds(patch_kji))
    if tuple(part.shape) == tuple(patch_kji):
        return part.bool()
    filled = interpolate(part[None, None].float(), patch_kji, mode="area")[0, 0]
    return filled >= COARSE_SHARE


def at_full_size(answer: Tensor, look: Look, patch_kji: Kji) -> Tensor:
    """The mask that a look gave, (*patch) bool, on the image's own voxels, as nnInteractive scales it."""
    size = _scaled(patch_kji, look.zoom)
    if size == tuple(patch_kji):
        return answer.bool()
    return interpolate(answer[None, None].float(), size, mode="trilinear")[0, 0] >= 0.5


def blend_weights(patch_kji: Kji) -> Tensor:
    """(*patch) float32: how much a close look counts at a voxel; most in its middle."""
    k, j, i = (_ramp(p) for p in patch_kji)
    return k[:, None, None] * j[None, :, None] * i[None, None, :]


def _ramp(size: int) -> Tensor:
    index = torch.arange(size, dtype=torch.float32)
    return torch.minimum(index, size - 1 - index) + 1


def _scaled(patch_kji: Kji, zoom: float) -> Kji:
    k, j, i = (round(p * zoom) for p in patch_kji)
    return (k, j, i)


def _middles(length: int, side: int) -> tuple[int, ...]:
    """Middles of the windows that cover an axis evenly."""
    if length <= side:
        return (length // 2,)
    count = 1 + int(np.ceil((length - side) / (STRIDE * side)))
    return tuple(round(low) + side // 2 for low in np.linspace(0, length - side, count))


def _cells(middles: tuple[int, ...], length: int) -> list[slice]:
    """The part of an axis that is nearest to each middle, with the margin."""
    borders = [0, *(-(-(a + b) // 2) for a, b in pairwise(middles)), length]
    return [slice(max(0, low - MARGIN), min(length, high + MARGIN)) for low, high in pairwise(borders)]
