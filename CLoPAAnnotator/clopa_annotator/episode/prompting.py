"""Who clicks where: simulated prompts from a reference and the current segmentation.

`PointPrompter` is the paper's annotator and what episodes train with. `MixedPrompter` draws from every kind
of prompt and is what the base model is pretrained with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from clopa_annotator.geometry import BoundsKji, Kji, bounding_box, box_slices
from clopa_annotator.types import BoxPrompt, LassoPrompt, MaskPrompt, PointPrompt, Prompt, ScribblePrompt

Region = npt.NDArray[np.bool_]
"""A (k, j, i) bool array."""


class Prompter(Protocol):
    """A simulated annotator. All randomness comes from the generator that is handed in."""

    def initial(self, target: Region, rng: np.random.Generator) -> tuple[Prompt, ...]:
        """First prompts for a case, in the order in which they are given."""
        ...

    def correct(self, current: Region, target: Region, rng: np.random.Generator) -> tuple[Prompt, ...]:
        """Prompts for one correction; empty when ``current`` equals ``target``."""
        ...


def uniform_voxel(region: Region, rng: np.random.Generator) -> Kji | None:
    """One voxel drawn uniformly from a region; None if it is empty.

    Rejection sampling first: on large regions it is some 20 times faster than listing the voxels.
    """
    flat = region.reshape(-1)
    tries = rng.integers(flat.size, size=256)
    hits = np.flatnonzero(flat[tries])
    if hits.size:
        chosen = int(tries[hits[0]])
    else:
        voxels = np.flatnonzero(flat)
        if voxels.size == 0:
            return None
        chosen = int(voxels[rng.integers(voxels.size)])
    (k, j, i) = (int(x) for x in np.unravel_index(chosen, region.shape))
    return (k, j, i)


def _points(
    negative: Region, positive: Region, rng: np.random.Generator, negative_last: bool = False
) -> tuple[Prompt, ...]:
    where_not, where = uniform_voxel(negative, rng), uniform_voxel(positive, rng)
    prompts: list[Prompt] = []
    if where_not is not None:
        prompts.append(PointPrompt(where_not, False))
    if where is not None:
        prompts.append(PointPrompt(where, True))
    return tuple(reversed(prompts)) if negative_last else tuple(prompts)


@dataclass(frozen=True)
class PointPrompter:
    """The paper's annotator: a background and a foreground click, then one in each kind of error.

    The positive click comes last, because the session centres its patch on the newest prompt; the paper's
    patch of 192^3 covers both clicks either way. A class without error is skipped.
    """

    def initial(self, target: Region, rng: np.random.Generator) -> tuple[Prompt, ...]:
        """One uniform background and one uniform foreground voxel."""
        return _points(~target, target, rng)

    def correct(self, current: Region, target: Region, rng: np.random.Generator) -> tuple[Prompt, ...]:
        """One uniform false-positive and one uniform false-negative voxel."""
        return _points(current & ~target, target & ~current, rng)


@dataclass(frozen=True)
class PromptMix:
    """How often each way of prompting is drawn; weights need not sum to one.

    Attributes:
        points, positive_point, box, lasso, scribble, mask: ways to start a case.
        both_errors, larger_error, scribble_error, lasso_error: ways to correct.
        negative_last: chance that of two clicks the negative one is the newest.
    """

    points: float = 0.5
    positive_point: float = 0.14
    box: float = 0.1
    lasso: float = 0.07
    scribble: float = 0.1
    mask: float = 0.09
    both_errors: float = 0.66
    larger_error: float = 0.16
    scribble_error: float = 0.12
    lasso_error: float = 0.06
    negative_last: float = 0.3

    @property
    def starts(self) -> npt.NDArray[np.float64]:
        """Probabilities of the ways to start, in the order of the attributes."""
        weights = np.array([self.points, self.positive_point, self.box, self.lasso, self.scribble, self.mask])
        return np.asarray(weights / weights.sum())

    @property
    def corrections(self) -> npt.NDArray[np.float64]:
        """Probabilities of the ways to correct, in the order of the attributes."""
        weights = np.array([self.both_errors, self.larger_error, self.scribble_error, self.lasso_error])
        return np.asarray(weights / weights.sum())


@dataclass(frozen=True)
class MixedPrompter:
    """Every kind of prompt, drawn by `PromptMix`."""

    mix: PromptMix = PromptMix()

    def initial(self, target: Region, rng: np.random.Generator) -> tuple[Prompt, ...]:
        """Clicks, a box, a lasso, a scribble, or a rough mask and mostly a first correction of it."""
        way = int(rng.choice(6, p=self.mix.starts))
        if way == 0 or not target.any():
            return _points(~target, target, rng, rng.random() < self.mix.negative_last)
        if way == 1:
            return _points(np.zeros_like(target), target, rng)
        if way == 5:
            rough = rough_mask(target, rng)
            alone = rng.random() < 0.2
            return (MaskPrompt(rough.astype(np.uint8)), *(() if alone else self.correct(rough, target, rng)))
        make = (box_in_slice, lasso_in_slice, scribble_in_slice)[way - 2]
        return (make(target, rng, True),)

    def correct(self, current: Region, target: Region, rng: np.random.Generator) -> tuple[Prompt, ...]:
        """Clicks, a scribble or a lasso on what is wrong."""
        missing, excess = target & ~current, current & ~target
        n_missing, n_excess = int(missing.sum()), int(excess.sum())
        if n_missing + n_excess == 0:
            return ()
        way = int(rng.choice(4, p=self.mix.corrections))
        if way == 0:
            return _points(excess, missing, rng, rng.random() < self.mix.negative_last)
        add = rng.random() * (n_missing + n_excess) < n_missing
        wrong = missing if add else excess
        if way == 1:
            nowhere = np.zeros_like(missing)
            return _points(nowhere, missing, rng) if add else _points(excess, nowhere, rng)
        make = scribble_in_slice if way == 2 else lasso_in_slice
        return (make(wrong, rng, add),)


def _component_in_slice(region: Region, rng: np.random.Generator) -> tuple[int, int, Region]:
    """A random plane through the region and the 2D component there: (axis, index, 2D mask)."""
    voxel = uniform_voxel(region, rng)
    if voxel is None:
        raise ValueError("an empty region has no slice to draw in")
    axis = int(rng.integers(3))
    plane = np.take(region, voxel[axis], axis=axis)
    labels, _ = ndimage.label(plane)
    inside = tuple(v for a, v in enumerate(voxel) if a != axis)
    return axis, voxel[axis], np.asarray(labels == labels[inside])


def _in_plane(axis: int, index: int, plane: Region) -> tuple[npt.NDArray[np.uint8], BoundsKji] | None:
    """A drawn 2D mask as a flat 3D one with its box."""
    thick = np.expand_dims(plane, axis)
    bounds = bounding_box(thick)
    if bounds is None:
        return None
    mask = thick[box_slices(bounds)].astype(np.uint8)
    (a, b, c) = ((index, index + 1) if n == axis else bounds[n] for n in range(3))
    return mask, (a, b, c)


def box_in_slice(region: Region, rng: np.random.Generator, positive: bool) -> BoxPrompt:
    """A flat box around one 2D component of the region, a little too large or too small as people draw."""
    axis, index, component = _component_in_slice(region, rng)
    bounds = bounding_box(np.expand_dims(component, axis))
    if bounds is None:
        raise ValueError("a component has at least one voxel")
    sides = []
    for n, (lo, hi) in enumerate(bounds):
        if n == axis:
            sides.append((index, index + 1))
            continue
        slack = 0.08 * (hi - lo) + 0.6
        low = int(np.clip(lo + round(rng.normal(-0.3, slack)), 0, region.shape[n] - 1))
        high = int(np.clip(hi + round(rng.normal(0.3, slack)), low + 1, region.shape[n]))
        sides.append((low, high))
    return BoxPrompt((sides[0], sides[1], sides[2]), positive)


def lasso_in_slice(region: Region, rng: np.random.Generator, positive: bool) -> LassoPrompt:
    """A closed line around one 2D component, smoother than the component and not quite on its border."""
    axis, index, component = _component_in_slice(region, rng)
    width = rng.uniform(0.5, 2.0)
    soft = ndimage.gaussian_filter(component.astype(np.float32), width)
    wobble = ndimage.gaussian_filter(rng.standard_normal(component.shape).astype(np.float32), 3.0) * 1.0
    drawn = soft > np.clip(rng.uniform(0.25, 0.5) + wobble, 0.05, 0.9)
    flat = _in_plane(axis, index, drawn) or _in_plane(axis, index, component)
    if flat is None:
        raise ValueError("a component has at least one voxel")
    return LassoPrompt(flat[0], flat[1], positive)


def scribble_in_slice(region: Region, rng: np.random.Generator, positive: bool) -> ScribblePrompt:
    """A wavy stroke of two to three voxels inside one 2D component."""
    axis, index, component = _component_in_slice(region, rng)
    pixels = np.argwhere(component)
    start, end = (pixels[rng.integers(len(pixels))].astype(float) for _ in range(2))
    t = np.linspace(0, 1, 2 * int(np.abs(end - start).max()) + 2)[:, None]
    across = np.array([end[1] - start[1], start[0] - end[0]])
    path = start + t * (end - start) + np.sin(np.pi * t) * rng.normal(0, 0.2) * across
    at = np.clip(np.rint(path).astype(int), 0, np.array(component.shape) - 1)
    stroke = np.zeros_like(component)
    stroke[at[:, 0], at[:, 1]] = True
    if rng.random() < 0.7:
        stroke = ndimage.binary_dilation(stroke)
    flat = _in_plane(axis, index, stroke & component) or _in_plane(axis, index, component)
    if flat is None:
        raise ValueError("a component has at least one voxel")
    return ScribblePrompt(flat[0], flat[1], positive)


def rough_mask(target: Region, rng: np.random.Generator) -> Region:
    """The target as another tool might deliver it: smoothed, shifted, with a piece missing or a leak."""
    bounds = bounding_box(target)
    if bounds is None:
        return target.copy()
    coarse, sigma = rng.standard_normal((5, 5, 5)), rng.uniform(0.8, 2.5)
    reach = int(4 * sigma + 0.5)  # where the filter cuts its kernel off
    (a, b, c) = (
        (max(lo - reach, 0), min(hi + reach, n)) for (lo, hi), n in zip(bounds, target.shape, strict=True)
    )
    near = box_slices((a, b, c))
    soft = ndimage.gaussian_filter(target[near].astype(np.float32), sigma)
    rough = np.zeros_like(target)
    noise = _stretched(coarse, target.shape)[near]
    rough[near] = soft > np.clip(0.5 + rng.uniform(0.1, 0.5) * noise, 0.1, 0.9)
    shift = [int(s) for s in rng.integers(-2, 3, size=3)]
    rough = np.roll(rough, shift, axis=(0, 1, 2))
    if rng.random() < 0.3:
        axis = int(rng.integers(3))
        cut = int(rng.integers(*bounds[axis]))
        keep = np.arange(target.shape[axis]) < cut
        rough = rough & np.expand_dims(keep, tuple(a for a in range(3) if a != axis))
    if rng.random() < 0.6:
        rough = rough | _leak(target, rng)
    return np.asarray(rough, dtype=np.bool_)


def _stretched(coarse: npt.NDArray[np.float64], shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """An array interpolated linearly to another shape, corner on corner; `ndimage.zoom` takes longer."""
    for axis, n in enumerate(shape):
        at = np.linspace(0, coarse.shape[axis] - 1, n)
        low = np.minimum(at.astype(int), coarse.shape[axis] - 2)
        share = np.expand_dims(at - low, [a for a in range(coarse.ndim) if a != axis])
        coarse = np.take(coarse, low, axis) * (1 - share) + np.take(coarse, low + 1, axis) * share
    return coarse


def _leak(target: Region, rng: np.random.Generator) -> Region:
    """A bump of three to nine voxels' radius that begins in or near the target: what a - click is for."""
    start = uniform_voxel(target, rng) or (0, 0, 0)
    away = rng.standard_normal(3)
    centre = np.array(start) + away / np.linalg.norm(away) * rng.uniform(4, 16)
    radii = rng.uniform(3, 9, size=3)
    k, j, i = np.ogrid[tuple(slice(n) for n in target.shape)]
    distance = sum(((x - c) / r) ** 2 for x, c, r in zip((k, j, i), centre, radii, strict=True))
    return np.asarray(distance < 1)
