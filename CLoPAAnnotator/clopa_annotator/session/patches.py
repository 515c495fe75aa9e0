"""An image as the session normalises it, and patches of it as the session cuts and pads them.

Used where an input of the network is made without a session: in training (`episode`), and for looks without
a prompt (`looks`). ``Testing/core/test_episode_prompt_canvas.py`` holds both against nnInteractive's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clopa_annotator.errors import ImageError
from clopa_annotator.geometry import BoundsKji, Kji, bounding_box, box_slices


def normalise(voxels: Tensor) -> Tensor:
    """Normalise an image as the session does.

    Mean and unbiased standard deviation inside the bounding box of the nonzero voxels, applied everywhere.

    Args:
        voxels: (k, j, i) image of any dtype.

    Returns:
        A float32 copy.

    Raises:
        ImageError: every voxel is zero, or the image is constant or not finite.
    """
    image = voxels.to(torch.float32, copy=True)
    mean, std = statistics(image)
    image -= mean
    image /= std
    return image


def statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation that `normalise` uses, of a whole (k, j, i) float32 image.

    Raises:
        ImageError: every voxel is zero, or the image is constant or not finite.
    """
    if not bool(torch.isfinite(image).all()):
        raise ImageError("The image has NaN or infinite voxels; repair it before training on it.")
    bounds = bounding_box((image != 0).cpu().numpy())
    if bounds is None:
        raise ImageError("Every voxel of the image is zero; there is nothing to learn from.")
    crop = image[box_slices(bounds)]
    mean, std = crop.mean(), crop.std()
    if not bool(std > 0):
        raise ImageError("The image is constant; there is nothing to learn from.")
    return mean, std


def patch_bounds(centre_kji: Kji, patch_kji: Kji) -> BoundsKji:
    """Half-open box of one patch around a voxel, as the session places it; it may leave the image."""
    (a, b, c) = ((m - p // 2, m + p // 2 + p % 2) for m, p in zip(centre_kji, patch_kji, strict=True))
    return (a, b, c)


def overlap(bounds: BoundsKji, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The common part of a box and an image, as slices into the image and into the box."""
    inside = [(max(lo, 0), min(hi, n)) for (lo, hi), n in zip(bounds, shape, strict=True)]
    in_image = tuple(slice(lo, hi) for lo, hi in inside)
    in_box = tuple(slice(lo - b[0], hi - b[0]) for (lo, hi), b in zip(inside, bounds, strict=True))
    return in_image, in_box


def crop_padded(volume: Tensor, bounds: BoundsKji) -> Tensor:
    """Cut a box out of the last three axes; what lies outside the volume is zero."""
    in_image, in_box = overlap(bounds, tuple(volume.shape[-3:]))
    size = [hi - lo for lo, hi in bounds]
    out = volume.new_zeros((*volume.shape[:-3], *size))
    out[..., in_box[0], in_box[1], in_box[2]] = volume[..., in_image[0], in_image[1], in_image[2]]
    return out
