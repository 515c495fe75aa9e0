"""Generated volumes with a target that no base model has been taught: a layered capsule.

A capsule is an ellipsoid of alternating dark and bright layers in one deformed shell. A click on one layer
makes a model that knows only tissues propose that layer; what the annotator wants is the whole capsule. So a
campaign on phantoms shows learning: first proposals are poor before the first episode and good after it.
Around it lie tissues, a bias field, noise, partial volume, anisotropic voxels, and decoys with the look of
single layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from clopa_annotator.datasets.msd import DESCRIPTION, MsdDataset, files_of, write_msd_dataset
from clopa_annotator.datasets.scenery import Field, smooth_field
from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import Geometry, Kji
from clopa_annotator.types import Image, Mask

LAYERS = (0.95, 0.45, 0.9)
"""Mean intensity of the capsule's layers, from the outside in; tissues lie between 0.3 and 0.75."""


@dataclass(frozen=True)
class PhantomSpec:
    """How phantoms look.

    Attributes:
        shape_kji: voxels along k, j and i.
        radius: half axes of the capsule as fractions of the shape, smallest and largest.
        noise: standard deviation of the noise; tissues differ by about 0.15.
        bias: relative amplitude of the bias field.
        decoys: number of ellipsoids that look like one of the capsule's layers.
        max_slice_ratio: largest slice thickness in units of the in-plane voxel size.
    """

    shape_kji: Kji = (40, 48, 48)
    radius: tuple[float, float] = (0.17, 0.28)
    noise: float = 0.05
    bias: float = 0.25
    decoys: int = 4
    max_slice_ratio: float = 2.5

    def __post_init__(self) -> None:
        if min(self.shape_kji) < 16:
            raise ConfigError(f"A phantom needs at least 16 voxels along each axis, not {self.shape_kji}.")


def _ellipsoid(
    rng: np.random.Generator, spec: PhantomSpec, scale: float, warp: tuple[Field, Field, Field]
) -> Field:
    """Distance of each voxel from a random ellipsoid's centre: 1 on its surface, 0 at its centre."""
    shape = np.asarray(spec.shape_kji, dtype=np.float32)
    half = shape * rng.uniform(*spec.radius, size=3) * scale
    centre = shape * rng.uniform(0.32, 0.68, size=3)
    axes = np.indices(spec.shape_kji, dtype=np.float32)
    squares = [((x + w - c) / h) ** 2 for x, w, c, h in zip(axes, warp, centre, half, strict=True)]
    return np.asarray(np.sqrt(squares[0] + squares[1] + squares[2]), dtype=np.float32)


def _tissues(rng: np.random.Generator, shape: Kji) -> Field:
    """Piecewise constant background of four tissues."""
    levels = rng.permutation(np.linspace(0.3, 0.75, 4)).astype(np.float32)
    field = smooth_field(rng, shape, 5.0)
    labels = np.digitize(field, np.quantile(field, [0.3, 0.55, 0.8]))
    return np.asarray(levels[labels], dtype=np.float32)


def _paint_capsule(volume: Field, distance: Field) -> None:
    edges = np.linspace(1.0, 0.0, len(LAYERS) + 1)
    for level, outer, inner in zip(LAYERS, edges[:-1], edges[1:], strict=True):
        volume[(distance <= outer) & (distance > inner)] = level
    volume[distance == 0] = LAYERS[-1]


def _degrade(rng: np.random.Generator, volume: Field, spec: PhantomSpec) -> Field:
    """Partial volume, bias field and noise, in the order in which a scanner adds them."""
    blurred = ndimage.gaussian_filter(volume, rng.uniform(0.4, 0.8))
    blurred *= np.exp(spec.bias * 0.5 * smooth_field(rng, spec.shape_kji, 14.0))
    blurred += rng.standard_normal(spec.shape_kji, dtype=np.float32) * spec.noise
    return np.asarray(blurred, dtype=np.float32)


def _geometry(rng: np.random.Generator, spec: PhantomSpec) -> Geometry:
    in_plane = float(rng.uniform(0.8, 1.2))
    thickness = in_plane * float(rng.uniform(1.0, spec.max_slice_ratio))
    origin = rng.uniform(-50.0, 50.0, size=3)
    return Geometry(spec.shape_kji, (in_plane, in_plane, thickness), (origin[0], origin[1], origin[2]))


def make_phantom(spec: PhantomSpec, seed: int) -> tuple[Image, Mask]:
    """One volume and its target; the same seed gives the same voxels.

    Returns:
        Image with int16 voxels (k, j, i) around 0 to 1500, and the mask of the whole capsule.
    """
    rng = np.random.default_rng(seed)
    strength = 0.06 * min(spec.shape_kji)
    warp = tuple(smooth_field(rng, spec.shape_kji, 6.0) * strength * 0.5 for _ in range(3))
    field = (warp[0], warp[1], warp[2])
    volume = _tissues(rng, spec.shape_kji)
    for _ in range(spec.decoys):
        decoy = _ellipsoid(rng, spec, 0.45, field) <= 1
        volume[decoy] = rng.choice(LAYERS)
    capsule = _ellipsoid(rng, spec, 1.0, field)
    _paint_capsule(volume, capsule)
    voxels = np.rint(_degrade(rng, volume, spec) * 1000).clip(-200, 3000).astype(np.int16)
    return Image(voxels, _geometry(rng, spec)), (capsule <= 1).astype(np.uint8)


def phantom_names(n: int) -> tuple[str, ...]:
    """Case ids of a dataset of ``n`` phantoms."""
    return tuple(f"phantom_{index:03d}" for index in range(n))


def phantom_files(n: int) -> tuple[str, ...]:
    """Every file of a dataset of ``n`` phantoms, relative to its folder."""
    return (*(file for name in phantom_names(n) for file in files_of(name)), DESCRIPTION)


def write_phantom_dataset(folder: Path, n: int, spec: PhantomSpec, seed: int) -> MsdDataset:
    """Write ``n`` phantoms as a dataset in the Decathlon's layout, one in memory at a time."""

    def cases() -> Iterator[tuple[str, Image, Mask]]:
        for index, name in enumerate(phantom_names(n)):
            image, mask = make_phantom(spec, seed=seed * 100_003 + index)
            yield name, image, mask

    return write_msd_dataset(folder, "Layered capsules (generated)", cases())
