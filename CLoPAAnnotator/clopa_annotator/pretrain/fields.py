"""Smooth random fields and blurs: the raw material of generated volumes.

Everything works on (k, j, i) float32 tensors and takes its randomness from a NumPy generator, so that a
volume is a function of its seed alone. A `DeviceRng` draws the few numbers that describe a volume on the CPU
and the fields on a device; what is made of them stays there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from clopa_annotator.episode.hardware.hand_over import hand_over
from clopa_annotator.geometry import Kji


class DeviceRng(np.random.Generator):
    """A generator whose fields are drawn on a device: equal distributions, other values than on the CPU."""

    def __init__(self, seed: tuple[int, ...], device: torch.device) -> None:
        """Seed both sources of randomness."""
        super().__init__(np.random.PCG64(np.random.SeedSequence(seed)))
        self.device = device
        self.on_device = torch.Generator(device).manual_seed(int(self.integers(2**62)))


def place_of(rng: np.random.Generator) -> torch.device:
    """Where the tensors of a volume are made."""
    return rng.device if isinstance(rng, DeviceRng) else torch.device("cpu")


def white(shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
    """Independent standard normal values."""
    if isinstance(rng, DeviceRng):
        return torch.randn(shape, generator=rng.on_device, device=rng.device)
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
        kernel = hand_over(torch.exp(-0.5 * (at / sigma) ** 2), volume.device)
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
    return hand_over(torch.from_numpy((q * np.sign(np.diag(r))).astype(np.float32)), place_of(rng))
