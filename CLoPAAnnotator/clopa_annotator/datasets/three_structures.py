"""Generated volumes with several targets side by side: a capsule, a lens and a tube, as a label map has them.

The capsule is that of `phantoms`: layers that are bright, dark and bright. The lens beside it is flat, with
the layers the other way round, and the tube has a bright wall around a dark lumen. They touch, so that a
proposal for one that runs over its border meets another. Each is several tissues to a model that has not
learned it, and one structure to whoever annotates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clopa_annotator.datasets.msd import DESCRIPTION, MsdDataset, files_of, write_msd_dataset
from clopa_annotator.datasets.phantoms import LAYERS
from clopa_annotator.datasets.scenery import Field, grid, scan, smooth_field, tissues
from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import Kji
from clopa_annotator.types import Image

STRUCTURES: tuple[tuple[str, tuple[float, ...], tuple[float, float, float]], ...] = (
    ("capsule", LAYERS, (1.0, 1.0, 1.0)),
    ("lens", (0.1, 0.85, 0.15), (0.45, 1.1, 1.1)),
    ("tube", (1.05, 0.2), (1.7, 0.5, 0.5)),
)
"""Name, intensities from the outside in, and half axes along k, j, i in units of `StructureSpec.radius`; the
place in the list, from 1, is the value in the label map."""
_CENTRES = ((0.5, 0.32, 0.34), (0.5, 0.34, 0.7), (0.5, 0.72, 0.5))


@dataclass(frozen=True)
class StructureSpec:
    """How the volumes look.

    Attributes:
        shape_kji: voxels along k, j and i.
        kinds: how many of `STRUCTURES` there are, the first ones.
        radius: half axis of the capsule as a fraction of the shape, smallest and largest.
        noise: standard deviation of the noise; tissues differ by about 0.15.
        bias: relative amplitude of the bias field.
        max_slice_ratio: largest slice thickness in units of the in-plane voxel size.
    """

    shape_kji: Kji = (40, 48, 48)
    kinds: int = len(STRUCTURES)
    radius: tuple[float, float] = (0.17, 0.22)
    noise: float = 0.05
    bias: float = 0.25
    max_slice_ratio: float = 2.5

    def __post_init__(self) -> None:
        if min(self.shape_kji) < 16:
            raise ConfigError(f"A volume needs at least 16 voxels along each axis, not {self.shape_kji}.")


def make_structures(spec: StructureSpec, seed: int) -> tuple[Image, npt.NDArray[np.uint8]]:
    """One volume and its label map; the same seed gives the same voxels.

    Returns:
        Image with int16 voxels (k, j, i) around 0 to 1500, and labels 0 to 3 on the same grid, see
        `STRUCTURES`.
    """
    rng = np.random.default_rng(seed)
    shape = spec.shape_kji
    strength = 0.03 * min(shape)
    warp = [smooth_field(rng, shape, 6.0) * strength for _ in range(3)]
    volume = tissues(rng, shape, rng.permutation(np.linspace(0.3, 0.75, 4)))
    labels = np.zeros(shape, np.uint8)
    for value, (_, layers, axes) in enumerate(STRUCTURES[: spec.kinds], start=1):
        distance = _distance(rng, spec, _CENTRES[value - 1], axes, warp)
        free = labels == 0
        edges = np.linspace(1.0, 0.0, len(layers) + 1)
        for level, outer, inner in zip(layers, edges[:-1], edges[1:], strict=True):
            volume[free & (distance <= outer) & (distance >= inner)] = level
        labels[free & (distance <= 1)] = value
    voxels = scan(rng, volume, spec.bias, spec.noise)
    return Image(voxels, grid(rng, shape, spec.max_slice_ratio)), labels


def _distance(
    rng: np.random.Generator,
    spec: StructureSpec,
    place: tuple[float, float, float],
    axes: tuple[float, float, float],
    warp: list[Field],
) -> Field:
    """Distance of each voxel from a structure's centre: 1 on its surface, 0 at its centre."""
    shape = np.asarray(spec.shape_kji, dtype=np.float32)
    half = shape * rng.uniform(*spec.radius) * np.asarray(axes) * rng.uniform(0.9, 1.1, size=3)
    centre = shape * (np.asarray(place) + rng.uniform(-0.04, 0.04, size=3))
    places = np.indices(spec.shape_kji, dtype=np.float32)
    squares = [((x + w - c) / h) ** 2 for x, w, c, h in zip(places, warp, centre, half, strict=True)]
    return np.asarray(np.sqrt(squares[0] + squares[1] + squares[2]), dtype=np.float32)


def structure_names(kinds: int = len(STRUCTURES)) -> dict[int, str]:
    """The first structures' names by their value in the label map."""
    return {value: name for value, (name, _, _) in enumerate(STRUCTURES[:kinds], start=1)}


def structure_files(n: int) -> tuple[str, ...]:
    """Every file of a dataset of ``n`` volumes, relative to its folder."""
    return (*(file for number in range(n) for file in files_of(f"structures_{number:03d}")), DESCRIPTION)


def write_structure_dataset(folder: Path, n: int, spec: StructureSpec, seed: int) -> MsdDataset:
    """Write ``n`` volumes as a dataset in the Decathlon's layout, one in memory at a time."""

    def cases() -> Iterator[tuple[str, Image, npt.NDArray[np.uint8]]]:
        for number in range(n):
            image, labels = make_structures(spec, seed=seed * 100_003 + number)
            yield f"structures_{number:03d}", image, labels

    return write_msd_dataset(folder, "Three structures (generated)", cases(), structure_names(spec.kinds))
