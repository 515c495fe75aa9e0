"""Generated tasks with a hard shift: one lesion, or several, hardly darker than the organ around them.

Contrast and noise are of one size, the border is irregular and soft, and the organ holds what is easier to
see than the target: dark cysts, bright vessels, lobes of slightly different intensity. Where the lesion ends
is seen only by averaging over its texture, which is coarser than the organ's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from clopa_annotator.datasets.scenery import (
    Field,
    Flags,
    ellipsoid,
    grid,
    largest_part,
    scan,
    smooth_field,
    tissues,
)
from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import Kji
from clopa_annotator.types import Image, Mask

MOST_LESIONS = 4
"""In a volume of several."""
APART = 3
"""Voxels that lie at least between two lesions of one volume."""


@dataclass(frozen=True)
class LesionSpec:
    """How lesion volumes look; intensities before the factor of 1000.

    Attributes:
        shape_kji: voxels along k, j and i.
        radius: half axes of the lesion in voxels, smallest and largest.
        contrast: how much darker the lesion is than the organ, smallest and largest.
        cysts: number of dark balls that are not the target.
        vessels: number of bright strands that are not the target.
        noise: standard deviation of the noise.
        bias: relative amplitude of the bias field.
        max_slice_ratio: largest slice thickness in units of the in-plane voxel size.
    """

    shape_kji: Kji = (48, 56, 56)
    radius: tuple[float, float] = (5.0, 9.5)
    contrast: tuple[float, float] = (0.08, 0.13)
    cysts: int = 3
    vessels: int = 3
    noise: float = 0.06
    bias: float = 0.25
    max_slice_ratio: float = 1.6

    def __post_init__(self) -> None:
        if min(self.shape_kji) < 32:
            raise ConfigError(f"A lesion needs at least 32 voxels along each axis, not {self.shape_kji}.")


def make_lesion(spec: LesionSpec, seed: int) -> tuple[Image, Mask]:
    """One volume and its lesion; the same seed gives the same voxels.

    Returns:
        Image with int16 voxels (k, j, i), and the mask of the lesion.
    """
    rng = np.random.default_rng(seed)
    return _scanned(rng, spec, 1)


def make_lesions(spec: LesionSpec, seed: int) -> tuple[Image, Mask]:
    """One volume and its lesions, from two to `MOST_LESIONS`, none of which touch; as `make_lesion`.

    Returns:
        Image with int16 voxels (k, j, i), and the mask of all lesions.
    """
    rng = np.random.default_rng(seed)
    return _scanned(rng, spec, int(rng.integers(2, MOST_LESIONS + 1)))


def _scanned(rng: np.random.Generator, spec: LesionSpec, count: int) -> tuple[Image, Mask]:
    shape = spec.shape_kji
    extent = np.asarray(shape, dtype=float)
    organ = ellipsoid(
        shape,
        extent * rng.uniform(0.46, 0.54, 3),
        extent * rng.uniform(0.4, 0.46, 3),
        0.1 * smooth_field(rng, shape, 7.0),
    )
    volume = tissues(rng, shape, rng.permutation([0.1, 0.3, 0.75]))
    lobes = tissues(rng, shape, (0.57, 0.6, 0.63), 9.0)
    volume[organ] = (lobes + 0.015 * smooth_field(rng, shape, 1.0))[organ]
    lesion = _lesion(rng, spec, organ)
    for _ in range(count - 1):
        lesion |= _lesion(rng, spec, organ & ~ndimage.binary_dilation(lesion, iterations=APART))
    _paint_decoys(rng, volume, organ & ~ndimage.binary_dilation(lesion, iterations=2), spec)
    depth = rng.uniform(*spec.contrast) * (1 + 0.25 * smooth_field(rng, shape, 2.5))
    soft = ndimage.gaussian_filter(lesion.astype(np.float32), 0.9)
    volume -= np.asarray(depth * soft, dtype=np.float32)
    image = Image(scan(rng, volume, spec.bias, spec.noise), grid(rng, shape, spec.max_slice_ratio))
    return image, np.asarray(lesion, dtype=np.uint8)


def _lesion(rng: np.random.Generator, spec: LesionSpec, organ: Flags) -> Flags:
    """A bumpy body inside the organ, its largest connected part."""
    radius = rng.uniform(*spec.radius, 3)
    room = ndimage.distance_transform_edt(organ) > 0.8 * radius.min()
    places = np.argwhere(room if room.any() else organ)
    bumps = 0.22 * smooth_field(rng, spec.shape_kji, 3.0)
    body = ellipsoid(spec.shape_kji, places[rng.integers(len(places))], radius, bumps)
    return largest_part(body & organ)


def _paint_decoys(rng: np.random.Generator, volume: Field, free: Flags, spec: LesionSpec) -> None:
    """Cysts and strands of vessels wherever ``free`` allows."""
    shape, smooth = spec.shape_kji, np.zeros(spec.shape_kji, np.float32)
    places = np.argwhere(free)
    for _ in range(spec.cysts):
        cyst = ellipsoid(shape, places[rng.integers(len(places))], rng.uniform(1.8, 4.0, 3), smooth)
        volume[cyst & free] = rng.uniform(0.2, 0.4)
    for _ in range(spec.vessels):
        half = rng.permutation([rng.uniform(9, 16), rng.uniform(1.0, 1.8), rng.uniform(1.0, 1.8)])
        strand = ellipsoid(
            shape, places[rng.integers(len(places))], half, 0.3 * smooth_field(rng, shape, 3.0)
        )
        volume[strand & free] = rng.uniform(0.8, 0.95)
