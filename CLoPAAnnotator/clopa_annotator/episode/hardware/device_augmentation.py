"""The augmentation of `augmentation`, computed where the training is: the same transforms, ranges and order.

A 192-cube patch takes about a second on a CPU thread through batchgeneratorsv2, whose global generators need
a lock besides: a quarter of an hour for an episode. Here every scalar comes from a generator of the sample's
own and every voxel is computed on the image's device, without waiting for it. Given the same scalars the
results agree with batchgeneratorsv2's (``Testing/core/test_device_augmentation.py``); the random numbers
differ, so that a seed gives another sample here than there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clopa_annotator.episode.hardware.hand_over import hand_over

SMALLEST_SIDE = 8
"""Blurring and lower resolution need some voxels along each axis; thinner samples go without."""
_EPSILON = 1e-7


def augment_here(image: Tensor, target: Tensor, seed: int, strength: float) -> tuple[Tensor, Tensor]:
    """A random variant of a sample, on its device.

    Args:
        image: (k, j, i) float32, normalised.
        target: (k, j, i) bool; or (n, k, j, i), the target first and other masks that go with it.
        seed: decides everything, below 2**32.
        strength: factor on every probability; 0 returns the sample as it is.

    Returns:
        Image and target of the same shapes. The target is never augmented away, as in `augmentation.augment`.
    """
    if strength <= 0:
        return image, target
    rng = np.random.default_rng(seed)
    noise = torch.Generator(image.device).manual_seed(seed)
    image, target = _turned(image, target, rng, strength)
    image = _intensities(image, rng, noise, strength)
    axes = [int(axis) for axis in np.flatnonzero(rng.random(3) < 0.5 * strength)]
    if axes:
        image, target = image.flip(axes), target.flip([axis - 3 for axis in axes])
    return image.contiguous(), target.contiguous()


def either_way(rng: np.random.Generator, low: float, high: float) -> float:
    """A factor below and above 1 equally often, uniform on each side."""
    return float(rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high))


def _turned(
    image: Tensor, target: Tensor, rng: np.random.Generator, strength: float
) -> tuple[Tensor, Tensor]:
    rotates, scales = rng.random() < 0.2 * strength, rng.random() < 0.3 * strength
    if not rotates and not scales:
        return image, target
    angles = rng.uniform(-np.pi / 12, np.pi / 12, 3).tolist() if rotates else [0.0] * 3
    new_image, new_target = turn(image, target, angles, either_way(rng, 0.5, 2.0) if scales else 1.0)
    # Decided on the device: asking whether the target is gone would wait for it.
    now, before = (mask if mask.ndim == 3 else mask[0] for mask in (new_target, target))
    keep = now.any() | ~before.any()
    return torch.where(keep, new_image, image), torch.where(keep, new_target, target)


def turn(image: Tensor, target: Tensor, angles: Sequence[float], scale: float) -> tuple[Tensor, Tensor]:
    """Rotate around the middle by angles about the axes k, j, i, and scale; above 1 shows objects smaller."""
    device = image.device
    axes = [torch.linspace((1 - n) / 2, (n - 1) / 2, n, device=device) for n in image.shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    turning = torch.from_numpy((_rotation(angles) * scale).T.astype(np.float32))
    grid = grid @ hand_over(turning, device)
    half = hand_over(torch.tensor([n / 2 for n in image.shape]), device)
    grid = (grid / half).flip(-1)[None]
    masks = target if target.ndim == 4 else target[None]
    both = torch.cat((image[None], masks.to(image.dtype)))[None]
    turned = functional.grid_sample(both, grid, align_corners=False)[0]
    return turned[0], turned[1:] > 0.5 if target.ndim == 4 else turned[1] > 0.5


def _rotation(angles: Sequence[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    (a, b, c) = angles
    about_k = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_j = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_i = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_i @ about_j @ about_k)


def _intensities(image: Tensor, rng: np.random.Generator, noise: torch.Generator, strength: float) -> Tensor:
    thick = min(image.shape) >= SMALLEST_SIDE
    if rng.random() < 0.15 * strength:
        drawn = torch.randn(image.shape, generator=noise, device=image.device)
        image = image + float(rng.uniform(0, 0.1)) * drawn
    if rng.random() < 0.2 * strength and thick:
        image = blurred(image, rng.uniform(0.5, 1.0, 3).tolist())
    if rng.random() < 0.15 * strength:
        image = image * either_way(rng, 0.75, 1.25)
    if rng.random() < 0.15 * strength:
        image = with_contrast(image, either_way(rng, 0.75, 1.25))
    if rng.random() < 0.1 * strength and thick:
        image = coarse(image, float(rng.uniform(0.5, 1)))
    if rng.random() < 0.3 * strength:
        image = with_gamma(image, either_way(rng, 0.7, 1.5))
    return -image if rng.random() < 0.1 * strength else image


def blurred(image: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Gaussian blur along k, j, i with the image mirrored at its borders."""
    out = image[None, None]
    for axis, sigma in enumerate(sigmas):
        size = _odd(6 * sigma + 0.5)
        at = torch.linspace(-(size - 1) / 2, (size - 1) / 2, size)
        kernel = torch.exp(-0.5 * (at / sigma) ** 2)
        shape, pad = [1] * 5, [0] * 6
        shape[axis + 2] = size
        pad[4 - 2 * axis] = pad[5 - 2 * axis] = size // 2
        padded = functional.pad(out, pad, mode="reflect")
        out = functional.conv3d(padded, hand_over((kernel / kernel.sum()).reshape(shape), image.device))
    return out[0, 0]


def _odd(size: float) -> int:
    rounded = round(size)
    if rounded % 2 == 1:
        return rounded
    return rounded + 1 if size >= rounded else rounded - 1


def with_contrast(image: Tensor, factor: float) -> Tensor:
    """Differences from the mean times a factor, kept in the image's range."""
    low, high = torch.aminmax(image)
    mean = image.mean()
    return torch.clamp((image - mean) * factor + mean, low, high)


def coarse(image: Tensor, scale: float) -> Tensor:
    """As if acquired with fewer voxels along every axis."""
    size = [round(n * scale) for n in image.shape]
    small = functional.interpolate(image[None, None], size, mode="nearest-exact")
    return functional.interpolate(small, list(image.shape), mode="trilinear")[0, 0]


def with_gamma(image: Tensor, gamma: float) -> Tensor:
    """Greys bent by a power; mean and spread stay."""
    low, high = torch.aminmax(image)
    mean, spread, width = image.mean(), image.std(), high - low
    bent = ((image - low) / width.clamp(min=_EPSILON)) ** gamma * width + low
    return (bent - bent.mean()) * (spread / bent.std().clamp(min=_EPSILON)) + mean
