"""Smooth random fields and blurs: the raw material of generated volumes.

Everything works on (k, j, i) float32 tensors and takes its randomness from a NumPy generator, so that a
volume is a function of its seed alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clopa_annotator.geometry import Kji


def white(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Independent standard normal values."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


def smooth(
    shape_kji: Kji, cells_kji: tuple[int, int, int], rng: np.random.Generator, count: int = 1
) -> Tensor:
    """Random fields that vary over about ``shape / cells`` voxels.

    Args:
        shape_kji: shape of each field.
        cells_kji: independent values along each axis.
        rng: source of randomness.
        count: number of fields.

    Returns:
        (count, k, j, i), about zero mean and unit variance.
    """
    coarse = white((1, count, *(max(2, c + 1) for c in cells_kji)), rng)
    fine = functional.interpolate(coarse, size=shape_kji, mode="trilinear", align_corners=True)[0]
    # Interpolating averages neighbours: on average 2/3 of the variance is left along each axis.
    return torch.as_tensor(fine * 1.5**1.5)


def blur(volume: Tensor, sigma_kji: tuple[float, float, float]) -> Tensor:
    """Gaussian blur, in voxels along each axis, with the border repeated."""
    out = volume[None, None]
    for axis, sigma in enumerate(sigma_kji):
        if sigma < 0.2:
            continue
        radius = max(1, int(2.5 * sigma + 0.5))
        at = torch.arange(-radius, radius + 1, dtype=torch.float32)
        kernel = torch.exp(-0.5 * (at / sigma) ** 2)
        shape = [1, 1, 1, 1, 1]
        shape[axis + 2] = -1
        pad = [0] * 6
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = radius
        padded = functional.pad(out, pad, mode="replicate")
        out = functional.conv3d(padded, (kernel / kernel.sum()).reshape(shape))
    return out[0, 0]


def rotation(rng: np.random.Generator) -> Tensor:
    """A uniformly random 3x3 rotation."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    return torch.from_numpy((q * np.sign(np.diag(r))).astype(np.float32))
