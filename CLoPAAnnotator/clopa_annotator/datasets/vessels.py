"""A generated task with a hard shift: one branching vessel tree, with another tree beside it.

An organ lies among other tissues. A tree enters at its border and branches until its twigs are one voxel
thin; a second, slightly brighter tree winds through the same organ and is *not* the target, and bright
nodules sit between them. The parenchyma is textured. A click on the trunk tells a model that grows blobs
next to nothing about the twigs, and nothing about which of two vessels was meant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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

Vector = npt.NDArray[np.float64]
STEP = 0.5
"""Voxels between two painted balls of a branch."""


@dataclass(frozen=True)
class VesselSpec:
    """How vessel volumes look; intensities before the factor of 1000.

    Attributes:
        shape_kji: voxels along k, j and i.
        trunk: radius of the trunk in voxels, smallest and largest.
        thinnest: radius in voxels below which a branch ends.
        generations: most bifurcations between trunk and twig.
        parenchyma: mean intensity of the organ.
        vessel: mean intensity of the target tree.
        other: mean intensity of the tree that is not the target.
        noise: standard deviation of the noise.
        bias: relative amplitude of the bias field.
        max_slice_ratio: largest slice thickness in units of the in-plane voxel size.
    """

    shape_kji: Kji = (52, 56, 56)
    trunk: tuple[float, float] = (2.4, 3.1)
    thinnest: float = 0.8
    generations: int = 3
    parenchyma: float = 0.55
    vessel: float = 0.78
    other: float = 0.95
    noise: float = 0.05
    bias: float = 0.25
    max_slice_ratio: float = 1.6

    def __post_init__(self) -> None:
        if min(self.shape_kji) < 24:
            raise ConfigError(
                f"A vessel tree needs at least 24 voxels along each axis, not {self.shape_kji}."
            )


@dataclass(frozen=True)
class _Body:
    """The organ's ellipsoid: centre and half axes in voxels."""

    centre: Vector
    half: Vector


@dataclass(frozen=True)
class _Branch:
    start: Vector
    direction: Vector
    radius: float
    generation: int


def make_vessels(spec: VesselSpec, seed: int) -> tuple[Image, Mask]:
    """One volume and its target tree; the same seed gives the same voxels.

    Returns:
        Image with int16 voxels (k, j, i), and the mask of the target tree.
    """
    rng = np.random.default_rng(seed)
    shape = spec.shape_kji
    extent = np.asarray(shape, dtype=float)
    centre = extent * rng.uniform(0.46, 0.54, 3)
    half = extent * rng.uniform(0.42, 0.48, 3)
    organ = ellipsoid(shape, centre, half, 0.08 * smooth_field(rng, shape, 7.0))
    volume = tissues(rng, shape, rng.permutation([0.15, 0.3, 0.4, 0.7]))
    volume[organ] = (spec.parenchyma + 0.02 * smooth_field(rng, shape, 1.2))[organ]
    _paint_nodules(rng, volume, organ, spec)
    body = _Body(centre, half)
    hilum, other_side = _two_entries(rng, body)
    target = largest_part(_grow(rng, spec, hilum, body) & organ)
    other = _grow(rng, spec, other_side, body) & organ & ~target
    volume[other] = spec.other
    volume[target] = spec.vessel
    image = Image(scan(rng, volume, spec.bias, spec.noise), grid(rng, shape, spec.max_slice_ratio))
    return image, np.asarray(target, dtype=np.uint8)


def _paint_nodules(rng: np.random.Generator, volume: Field, organ: Flags, spec: VesselSpec) -> None:
    """Bright balls in the organ that are neither tree."""
    places = np.argwhere(organ)
    for _ in range(int(rng.integers(2, 5))):
        middle = places[rng.integers(len(places))]
        ball = ellipsoid(
            spec.shape_kji, middle, rng.uniform(1.5, 3.5, 3), np.zeros(spec.shape_kji, np.float32)
        )
        volume[ball & organ] = rng.uniform(0.7, 0.9)


def _two_entries(rng: np.random.Generator, body: _Body) -> tuple[Vector, Vector]:
    """Points on the organ's border where the two trees enter, at least 60 degrees apart."""
    first = _unit(rng.standard_normal(3))
    second = _unit(rng.standard_normal(3))
    while float(first @ second) > 0.5:
        second = _unit(rng.standard_normal(3))
    return body.centre + 0.93 * body.half * first, body.centre + 0.93 * body.half * second


def _unit(vector: Vector) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector))


def _grow(rng: np.random.Generator, spec: VesselSpec, entry: Vector, body: _Body) -> Flags:
    """A tree of bent branches; children follow Murray's law (the cubes of their radii add up)."""
    tree = np.zeros(spec.shape_kji, dtype=np.bool_)
    waiting = [_Branch(entry, _unit(body.centre - entry), float(rng.uniform(*spec.trunk)), 0)]
    while waiting:
        branch = waiting.pop()
        end, direction = _draw(rng, tree, branch, body)
        if branch.generation == spec.generations:
            continue
        share = float(rng.uniform(0.35, 0.65))
        axis = _unit(np.cross(direction, rng.standard_normal(3)))
        for part, side in ((share, 1.0), (1 - share, -1.0)):
            radius = branch.radius * part ** (1 / 3)
            if radius >= spec.thinnest:
                turned = _unit(direction + side * float(rng.uniform(0.45, 0.9)) * axis)
                waiting.append(_Branch(end, turned, radius, branch.generation + 1))
    return tree


def _draw(rng: np.random.Generator, tree: Flags, branch: _Branch, body: _Body) -> tuple[Vector, Vector]:
    """Paint one bent branch that turns away from the organ's border; where it ends, in which direction."""
    position, direction = branch.start.copy(), branch.direction
    share = float(rng.uniform(0.17, 0.26)) * (1.2 if branch.generation == 0 else 1.0)
    length = 2.3 * float(body.half.min()) * share
    bend = 0.09 * rng.standard_normal(3)
    for _ in range(round(length / STEP)):
        _ball(tree, position, branch.radius)
        outward = (position - body.centre) / body.half
        push = 0.0 if branch.generation == 0 else max(0.0, float(np.linalg.norm(outward)) - 0.65)
        turn = bend + 0.08 * rng.standard_normal(3) - 0.4 * push * outward
        direction = _unit(direction + STEP * turn)
        position = position + STEP * direction
    return position, direction


def _ball(tree: Flags, centre: Vector, radius: float) -> None:
    """Set the voxels whose centres lie within ``radius`` of a point, at least the nearest one."""
    low = np.floor(centre - radius).astype(int)
    high = np.ceil(centre + radius).astype(int) + 1
    if (high <= 0).any() or (low >= np.array(tree.shape)).any():
        return
    low, high = np.maximum(low, 0), np.minimum(high, tree.shape)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    axes = np.ogrid[window]
    square = sum((x - c) ** 2 for x, c in zip(axes, centre, strict=True))
    tree[window] |= square <= max(radius, 0.75) ** 2
