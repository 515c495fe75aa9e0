"""From labels to an image: tissue, texture, partial volume, bias field, noise, scanner and window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from clopa_annotator.geometry import Kji
from clopa_annotator.pretrain.anatomy import Anatomy
from clopa_annotator.pretrain.fields import blur, smooth, white


@dataclass(frozen=True)
class AppearanceSettings:
    """How images are made; each ``p_`` is the chance of an effect.

    Attributes:
        levels: least and most distinct grey levels; labels share them, so that neighbours may look alike.
        jitter: spread of a label's grey around its level.
        texture: largest amplitude of structure inside a label.
        noise: largest standard deviation of the noise, log-uniform from a thirtieth of it.
        blur: largest partial-volume blur in voxels.
    """

    levels: tuple[int, int] = (2, 6)
    jitter: float = 0.07
    texture: float = 0.15
    noise: float = 0.09
    blur: float = 1.1
    p_bias: float = 0.6
    p_low_resolution: float = 0.15
    p_rician: float = 0.3
    p_curve: float = 0.3
    p_invert: float = 0.3
    p_window: float = 0.2
    p_outside: float = 0.3


def draw_image(
    anatomy: Anatomy, settings: AppearanceSettings, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Draw an image of a label map.

    Returns:
        (k, j, i) float32, not normalised; and the bool mask of the voxels that show the body.
    """
    k, j, i = anatomy.labels.shape
    shape = (int(k), int(j), int(i))
    image = _tissue(anatomy, shape, settings, rng)
    low, high = (0.25, settings.blur)
    (a, b, c) = rng.uniform(low, high) * np.exp(rng.normal(0, 0.25, 3))
    image = blur(image, (float(a), float(b), float(c)))
    if rng.random() < settings.p_bias:
        image = image * torch.exp(rng.uniform(0.05, 0.4) * smooth(shape, (2, 2, 2), rng)[0])
    image = _curve(image, settings, rng)
    image = _add_noise(image, shape, settings, rng)
    if rng.random() < settings.p_low_resolution:
        image = _low_resolution(image, shape, rng)
    if rng.random() < settings.p_window:
        low_q, high_q = _quantiles(image[::2, ::2, ::2], rng.uniform((0, 0.85), (0.15, 1)))
        image = image.clamp(low_q, max(high_q, low_q + 1e-3))
    if rng.random() < settings.p_outside:
        return _outside(image, shape, rng)
    return image, torch.ones(shape, dtype=torch.bool, device=image.device)


def _quantiles(image: Tensor, shares: npt.NDArray[np.float64]) -> tuple[float, float]:
    if image.device.type == "cpu":
        low, high = (float(q) for q in np.quantile(image.numpy(), shares))
    else:
        low, high = torch.quantile(image.flatten(), image.new_tensor(shares)).tolist()
    return low, high


def _tissue(anatomy: Anatomy, shape: Kji, settings: AppearanceSettings, rng: np.random.Generator) -> Tensor:
    levels = rng.uniform(0, 1, int(rng.integers(settings.levels[0], settings.levels[1] + 1)))
    jitter = settings.jitter * rng.uniform(0.2, 1.6)
    means = rng.choice(levels, anatomy.count) + rng.normal(0, jitter, anatomy.count)
    coarse = settings.texture * rng.uniform(0, 1, anatomy.count) * rng.uniform(0, 1)
    fine = settings.texture * rng.uniform(0, 1, anatomy.count) * rng.uniform(0, 1)
    table = torch.from_numpy(np.stack([means, coarse, fine]).astype(np.float32)).to(anatomy.labels.device)
    per_voxel = table[:, anatomy.labels]
    cells = max(2, round(min(shape) / float(rng.uniform(4, 12))))
    grain = blur(white(shape, rng), (0.8, 0.8, 0.8)) * 3.0
    return per_voxel[0] + per_voxel[1] * smooth(shape, (cells,) * 3, rng)[0] + per_voxel[2] * grain


def _curve(image: Tensor, settings: AppearanceSettings, rng: np.random.Generator) -> Tensor:
    low, high = float(image.min()), float(image.max())
    unit = (image - low) / max(high - low, 1e-6)
    unit = unit ** float(np.exp(rng.normal(0, 0.3)))
    if rng.random() < settings.p_curve:
        knots = int(rng.integers(3, 7))
        heights = np.cumsum(np.abs(rng.normal(0.3, 1.0, knots)) + 0.05)
        heights = (heights - heights[0]) / (heights[-1] - heights[0])
        unit = _bent(unit, heights)
    return 1 - unit if rng.random() < settings.p_invert else unit


def _bent(unit: Tensor, heights: npt.NDArray[np.float64]) -> Tensor:
    """Values in [0, 1] through a line with corners at these heights, evenly spaced."""
    last = len(heights) - 1
    if unit.device.type == "cpu":
        bent = np.interp(unit.numpy(), np.linspace(0, 1, last + 1), heights)
        return torch.from_numpy(bent.astype(np.float32))
    return bent_there(unit, heights)


def bent_there(unit: Tensor, heights: npt.NDArray[np.float64]) -> Tensor:
    """What ``numpy.interp`` gives over evenly spaced corners, on the tensor's device."""
    last = len(heights) - 1
    at = unit.clamp(0, 1) * last
    before = at.floor().clamp(max=last - 1)
    table = unit.new_tensor(heights)
    low, high = table[before.long()], table[before.long() + 1]
    return low + (high - low) * (at - before)


def _add_noise(image: Tensor, shape: Kji, settings: AppearanceSettings, rng: np.random.Generator) -> Tensor:
    sigma = float(np.exp(rng.uniform(np.log(settings.noise / 30), np.log(settings.noise))))
    noise = white(shape, rng)
    if rng.random() < 0.35:
        width = float(rng.uniform(0.4, 0.9))
        noise = blur(noise, (width, width, width))
        noise = noise / noise.std().clamp(min=1e-6)
    if rng.random() < settings.p_rician:
        return torch.sqrt((image + sigma * noise) ** 2 + (sigma * white(shape, rng)) ** 2)
    return image + sigma * noise


def _low_resolution(image: Tensor, shape: Kji, rng: np.random.Generator) -> Tensor:
    factor = rng.uniform(1.2, 2.5, 3) if rng.random() < 0.5 else np.ones(3)
    if (factor == 1).all():
        factor[rng.integers(3)] = rng.uniform(2, 4)
    size = [max(4, round(n / f)) for n, f in zip(shape, factor, strict=True)]
    small = functional.interpolate(image[None, None], size=size, mode="trilinear")
    return functional.interpolate(small, size=shape, mode="trilinear")[0, 0]


def _outside(image: Tensor, shape: Kji, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Nothing around the body: zeros as after skull stripping, or air far below every tissue."""
    axes = (torch.linspace(-1, 1, n, device=image.device) for n in shape)
    away = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    away = away - away.new_tensor(rng.uniform(-0.4, 0.4, (3, 1, 1, 1)))
    level = (away**2).sum(0) + 0.15 * smooth(shape, (3, 3, 3), rng)[0]
    inside = level < rng.uniform(0.9, 1.8)
    value = 0.0 if rng.random() < 0.6 else float(image.min()) - float(rng.uniform(0, 2))
    return torch.where(inside, image, torch.tensor(value)), inside
