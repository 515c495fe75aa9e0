"""A generated task larger than a small network's patch: one large organ in a stack of thick slices.

Like an MR of the abdomen: few thick slices of many voxels, an organ of two lobes that fills much of them,
vessels inside it, and neighbours of nearly its intensity that touch it. A patch of 64 voxels inside the organ
holds nothing but organ; where it ends is seen only from further away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from clopa_annotator.datasets.scenery import Field, Flags, grid, largest_part, scan, smooth_field, tissues
from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import Kji
from clopa_annotator.types import Image, Mask


@dataclass(frozen=True)
class OrganSpec:
    """How volumes with a large organ look; intensities before the factor of 1000.

    Attributes:
        shape_kji: voxels along k, j and i.
        radius: half axes of the larger lobe as fractions of the shape, smallest and largest.
        organ: mean intensity of the organ; the tissues around it lie between 0.1 and 0.8.
        neighbours: number of bodies of nearly the organ's intensity that may touch it.
        vessels: number of strands inside the organ, dark or bright.
        noise: standard deviation of the noise.
        bias: relative amplitude of the bias field.
        max_slice_ratio: largest slice thickness in units of the in-plane voxel size.
    """

    shape_kji: Kji = (32, 128, 128)
    radius: tuple[float, float] = (0.28, 0.36)
    organ: float = 0.5
    neighbours: int = 4
    vessels: int = 6
    noise: float = 0.05
    bias: float = 0.2
    max_slice_ratio: float = 4.0

    def __post_init__(self) -> None:
        if min(self.shape_kji) < 16:
            raise ConfigError(f"An organ needs at least 16 voxels along each axis, not {self.shape_kji}.")


def make_organ(spec: OrganSpec, seed: int) -> tuple[Image, Mask]:
    """One volume and its organ; the same seed gives the same voxels.

    Returns:
        Image with int16 voxels (k, j, i), and the mask of the organ with its vessels.
    """
    rng = np.random.default_rng(seed)
    shape = spec.shape_kji
    scale = min(shape[1:]) / 128
    bumps = 0.12 * smooth_field(rng, shape, 8.0 * scale)
    centre = np.asarray(shape) * rng.uniform([0.45, 0.42, 0.42], [0.55, 0.58, 0.58])
    half = np.asarray(shape) * rng.uniform(*spec.radius, 3)
    towards = rng.uniform(0, 2 * np.pi)
    aside = centre + half * [0.0, 0.8 * np.sin(towards), 0.8 * np.cos(towards)]
    organ = _body(shape, centre, half, bumps) | _body(shape, aside, half * rng.uniform(0.55, 0.75, 3), bumps)
    organ = largest_part(organ)
    volume = tissues(rng, shape, rng.permutation([0.1, 0.3, 0.65, 0.8]), 6.0 * scale)
    _paint_neighbours(rng, volume, ~organ, spec, bumps)
    volume[organ] = (spec.organ + 0.02 * smooth_field(rng, shape, 2.0))[organ]
    _paint_vessels(rng, volume, organ, spec, scale)
    image = Image(scan(rng, volume, spec.bias, spec.noise), grid(rng, shape, spec.max_slice_ratio))
    return image, np.asarray(organ, dtype=np.uint8)


def _body(shape: Kji, centre: npt.ArrayLike, half: npt.ArrayLike, bumps: Field) -> Flags:
    """A bumpy ellipsoid, from three axes instead of three volumes."""
    where = zip(shape, np.asarray(centre, float), np.asarray(half, float), strict=True)
    axes = [((np.arange(n, dtype=np.float32) - np.float32(c)) / np.float32(h)) ** 2 for n, c, h in where]
    distance = np.sqrt(axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :])
    return np.asarray(distance < 1 + bumps, dtype=np.bool_)


def _paint_neighbours(
    rng: np.random.Generator, volume: Field, free: Flags, spec: OrganSpec, bumps: Field
) -> None:
    extent = np.asarray(spec.shape_kji, dtype=float)
    for _ in range(spec.neighbours):
        body = _body(
            spec.shape_kji, extent * rng.uniform(0.1, 0.9, 3), extent * rng.uniform(0.08, 0.16, 3), bumps
        )
        volume[body & free] = spec.organ + rng.choice([-1, 1]) * rng.uniform(0.06, 0.1)


def _paint_vessels(
    rng: np.random.Generator, volume: Field, organ: Flags, spec: OrganSpec, scale: float
) -> None:
    """Strands through the organ: what lies within a voxel or two of a smooth random path."""
    inside = np.argwhere(ndimage.binary_erosion(organ, iterations=2))
    if not len(inside):
        return
    for _ in range(spec.vessels):
        a, b, c = (inside[rng.integers(len(inside))] for _ in range(3))
        t = np.linspace(0, 1, 200)[:, None]
        path = np.rint((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c).astype(int)
        strand = np.zeros(spec.shape_kji, np.bool_)
        strand[tuple(path.T)] = True
        strand = ndimage.binary_dilation(strand, iterations=max(1, round(scale * rng.uniform(0.6, 2))))
        volume[strand & organ] = spec.organ + rng.choice([-0.2, 0.25])
