"""What the network is given for a structure larger than its patch: nnInteractive's AutoZoom, at less cost.

A region larger than the patch is scaled down to one: the image by trilinear interpolation, prompts and
previous mask by the mean over areas, points and scribbles thickened before so that they do not vanish. The
session (`upstream.Core`) and training (`episode.prompt_canvas`) both take their inputs from here, and
``Testing/contract/test_training_inputs.py`` holds them to nnInteractive's own, bit by bit.

Only what is drawn is scaled: of seven channels most are empty, of a channel most is, and a mean over areas
in float16 is slow on CPUs. Areas repeat with a period, so a part that begins and ends with one gets the same
sums.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from math import ceil, floor, gcd

import torch
from torch import Tensor
from torch.nn.functional import interpolate, max_pool3d

from clopa_annotator.geometry import BoundsKji, Kji, bounding_box

GROWTH = 1.5
"""Each look reaches so many times further than the one before."""
LARGEST = 4.0
"""Sides of the furthest look, in patches."""
PREVIOUS = 0
"""Channel of the previous mask among those of the prompts."""
THIN = (3, 4, 5, 6)
"""Channels of points and scribbles, which are thickened before they are scaled down."""
_MANY, _SOME, _GROWTH_AT_FACE = 1500, 100, 0.2
"""Voxels that change at a face of the patch, after which the session looks from further away."""


def zooms(first: float = 1.0) -> Iterator[float]:
    """The zooms at which the session looks in turn, until nothing changes at the border."""
    zoom = min(first, LARGEST)
    yield zoom
    while zoom < LARGEST:
        zoom = min(zoom * GROWTH, LARGEST)
        yield zoom


def sides_of(patch_kji: Kji, zoom: float) -> Kji:
    """Voxels that a look takes in along each axis."""
    k, j, i = (round(p * zoom) for p in patch_kji)
    return (k, j, i)


def box_of(centre_kji: Kji, sides_kji: Kji) -> BoundsKji:
    """Half-open box of these sides around a voxel, as the session places it; it may leave the image."""
    (a, b, c) = ((m - n // 2, m + n // 2 + n % 2) for m, n in zip(centre_kji, sides_kji, strict=True))
    return (a, b, c)


def zoomed_input(
    image: Tensor,
    channels: Tensor,
    used: Collection[int],
    intensity: float,
    centre_kji: Kji,
    zoom: float,
    patch_kji: Kji,
    thin: Collection[int] = THIN,
) -> Tensor:
    """The network's input for a look from further away.

    Args:
        image: (k, j, i) float32, normalised.
        channels: (7, k, j, i) float16: previous mask and prompts as the session keeps them.
        used: channels that may hold something.
        intensity: by which all but the previous mask are divided.
        centre_kji: middle of the look.
        zoom: its sides in patches, above 1.
        patch_kji: the network's patch.
        thin: channels of prompts that are thickened.

    Returns:
        (8, *patch) float32.
    """
    sides = sides_of(patch_kji, zoom)
    bounds = box_of(centre_kji, sides)
    scaled = channels.new_zeros((channels.shape[0], *patch_kji))
    thickness = _nearest_odd(zoom * 2 - 1)
    for channel in used:
        _scale_down(channels[channel], bounds, scaled[channel], thickness if channel in thin else 1)
        if channel != PREVIOUS and intensity != 1:
            scaled[channel] /= intensity
    out = image.new_empty((1 + channels.shape[0], *patch_kji))
    padded = image.new_zeros((1, 1, *sides))
    inside, here = _common(bounds, image.shape)
    padded[0, 0][here] = image[inside]
    out[0] = interpolate(padded, patch_kji, mode="trilinear")[0, 0]
    out[1:] = scaled
    return out


def previous_as_seen(previous: Tensor, centre_kji: Kji, zoom: float, patch_kji: Kji) -> Tensor:
    """The mask before, as the session compares an answer at this zoom with it: (*patch), of its type."""
    sides = sides_of(patch_kji, zoom)
    bounds = box_of(centre_kji, sides)
    padded = previous.new_zeros((1, 1, *sides))
    inside, here = _common(bounds, previous.shape)
    padded[0, 0][here] = previous[inside]
    return interpolate(padded, patch_kji, mode="nearest")[0, 0]


def mask_as_seen(mask: Tensor, centre_kji: Kji, zoom: float, patch_kji: Kji) -> Tensor:
    """A (k, j, i) mask at this zoom: (*patch) bool, true where it fills at least half of a voxel."""
    return share_as_seen(mask, centre_kji, zoom, patch_kji) >= 0.5


def share_as_seen(mask: Tensor, centre_kji: Kji, zoom: float, patch_kji: Kji) -> Tensor:
    """How much of each voxel of a look a (k, j, i) mask fills: (*patch) float32, 0 to 1."""
    filled = torch.zeros(patch_kji, device=mask.device)
    _scale_down(mask, box_of(centre_kji, sides_of(patch_kji, zoom)), filled, 1)
    return filled


def changes_at_border(answer: Tensor, before: Tensor) -> bool:
    """Whether the session looks from further away: a face of the patch changes too much.

    Args:
        answer: (k, j, i) mask, the network's answer or what it should be.
        before: mask of the same shape, see `previous_as_seen`.
    """
    for axis in range(3):
        for index in (0, answer.shape[axis] - 1):
            now, then = answer.select(axis, index) > 0.5, before.select(axis, index) > 0.5
            changed, sizes = int((now != then).sum()), sorted((int(now.sum()), int(then.sum())))
            grown = sizes[1] / max(sizes[0], 1e-5) - 1
            if changed > _MANY or (changed > _SOME and grown > _GROWTH_AT_FACE):
                return True
    return False


def _scale_down(channel: Tensor, bounds: BoundsKji, out: Tensor, thickness: int) -> None:
    """Write one channel's part inside a box into ``out``, scaled to its size; what stays empty is left."""
    inside, here = _common(bounds, channel.shape)
    part = channel[inside]
    drawn = bounding_box((part != 0).cpu().numpy())
    if drawn is None:
        return
    reach = thickness // 2
    cuts, targets = [], []
    for axis in range(3):
        size, wanted = bounds[axis][1] - bounds[axis][0], out.shape[axis]
        repeats = gcd(size, wanted)
        period, outputs = size // repeats, wanted // repeats
        low = max(0, here[axis].start + drawn[axis][0] - reach) // period
        high = -(-min(size, here[axis].start + drawn[axis][1] + reach) // period)
        cuts.append((low * period, high * period))
        targets.append(slice(low * outputs, high * outputs))
    filled = out.new_zeros([high - low for low, high in cuts])
    source = tuple(slice(low, high) for low, high in drawn)
    target = tuple(
        slice(h.start + d[0] - low, h.start + d[1] - low)
        for h, d, (low, _) in zip(here, drawn, cuts, strict=True)
    )
    filled[target] = part[source].to(out.dtype)
    if thickness > 1:
        filled = _thickened(filled, thickness)
    out[tuple(targets)] = interpolate(filled[None, None], [t.stop - t.start for t in targets], mode="area")[
        0, 0
    ]


def _thickened(volume: Tensor, thickness: int) -> Tensor:
    """The largest value of a cube of this side around each voxel."""
    wide = volume.float()[None, None]
    for axis in range(3):
        size = [thickness if a == axis else 1 for a in range(3)]
        wide = max_pool3d(wide, size, stride=1, padding=[n // 2 for n in size])
    return wide[0, 0].to(volume.dtype)


def _common(bounds: BoundsKji, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The common part of a box and an image, as slices into the image and into the box."""
    inside = [(max(lo, 0), min(hi, n)) for (lo, hi), n in zip(bounds, shape, strict=True)]
    return (
        tuple(slice(lo, hi) for lo, hi in inside),
        tuple(slice(lo - b[0], hi - b[0]) for (lo, hi), b in zip(inside, bounds, strict=True)),
    )


def _nearest_odd(number: float) -> int:
    up, down = ceil(number), floor(number)
    if up % 2 == 1:
        return up
    return down if down % 2 == 1 else round(number) + 1
