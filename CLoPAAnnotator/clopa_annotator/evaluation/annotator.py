"""The simulated annotator: the clicks of somebody who knows the reference, by stated rules.

Two ways of clicking. ``paper`` (CLoPA): one positive and one negative point, uniform in the reference and
outside of it, then in each iteration one uniform voxel of the false negatives and one of the false positives.
``oaims`` (You Point, I Learn): one random click inside the target, then one random click per iteration in the
largest connected error. Its wrong clicks, which test robustness, hit where the model was right.

Of two points the negative comes first and the positive last, because the session centres its patch on the
newest prompt and the target should be in view. The paper does not say; training (`episode.prompting`) does
the same.

A prompt that has no place is left out: no positive point if the reference is empty, no negative one if it
fills the image, nothing at all if the proposal equals the reference.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from clopa_annotator.errors import ConfigError, GeometryError
from clopa_annotator.geometry import Kji, bounding_box, box_slices
from clopa_annotator.types import BoxPrompt, Mask, PointPrompt, Prompt

Scheme = Literal["paper", "oaims"]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class AnnotatorOptions:
    """How a simulated annotator departs from its scheme.

    Attributes:
        wrong_click_probability: chance that a correction is a wrong click.
        wrong_first: this many first corrections are wrong clicks for certain.
        wrong_where: "right" puts a wrong click where the proposal is right, as the paper does: a positive one
            on background that was left out, a negative one on target that was found, of the sign that the
            right click would have had. "error" leaves it where the right click was and turns its sign
            (*ours*).
        box_first: start with a flat box around the target's largest k slice instead of points.
        placement: where in an error to click: "uniform", as both papers do, or "deepest" (*ours*): farthest
            from the error's border.
    """

    wrong_click_probability: float = 0.0
    wrong_first: int = 0
    box_first: bool = False
    placement: Literal["uniform", "deepest"] = "uniform"
    wrong_where: Literal["right", "error"] = "right"

    def __post_init__(self) -> None:
        if not 0 <= self.wrong_click_probability <= 1 or self.wrong_first < 0:
            raise ConfigError(
                "The chance of a wrong click lies between 0 and 1 and the number of wrong first clicks is "
                f"not negative, but they are {self.wrong_click_probability} and {self.wrong_first}."
            )


def case_rng(seed: int, run: int, case_id: str) -> np.random.Generator:
    """Generator for one case of one run: the same whatever ran before it and on how many processes."""
    digest = np.frombuffer(hashlib.sha256(case_id.encode()).digest(), dtype=np.uint32)
    return np.random.default_rng(np.random.SeedSequence([seed, run, *(int(word) for word in digest)]))


class SimulatedAnnotator:
    """Gives prompts for one case after another.

    Args:
        rng: source of every random choice, see `case_rng`.
        scheme: "paper" or "oaims".
        options: departures from the scheme.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        scheme: Scheme = "paper",
        options: AnnotatorOptions = AnnotatorOptions(),
    ) -> None:
        if scheme not in ("paper", "oaims"):
            raise ConfigError(f'A simulated annotator clicks like "paper" or "oaims", not like "{scheme}".')
        self._rng = rng
        self._scheme = scheme
        self._options = options
        self._deepest = options.placement == "deepest"
        self._corrections = 0

    def initial(self, reference: Mask) -> tuple[Prompt, ...]:
        """Prompts given before the first proposal; never none, as a grid has at least one voxel.

        Args:
            reference: (k, j, i) mask of the target.
        """
        self._corrections = 0
        inside = reference.astype(bool, copy=False)
        found = bool(inside.any())
        if self._options.box_first and found:
            return (_box_of_largest_slice(inside),)
        if self._scheme == "oaims" and found:
            return tuple(PointPrompt(p) for p in (self._place(_largest_component(inside)),) if p)
        positive = self._sample(inside)
        negative = self._sample(~inside)
        return tuple(PointPrompt(p, sign) for p, sign in ((negative, False), (positive, True)) if p)

    def correct(self, proposal_mask: Mask, reference: Mask) -> tuple[Prompt, ...]:
        """Prompts that answer a proposal; none if it equals the reference.

        Raises:
            GeometryError: the two masks have different shapes.
        """
        if proposal_mask.shape != reference.shape:
            raise GeometryError(
                f"The proposal has shape {proposal_mask.shape} and the reference {reference.shape}; they "
                "must lie on one grid."
            )
        inside, proposed = reference.astype(bool, copy=False), proposal_mask.astype(bool, copy=False)
        missed, extra = inside & ~proposed, proposed & ~inside
        click = self._one_click if self._scheme == "oaims" else self._two_clicks
        return tuple(self._perhaps_wrong(point, inside, proposed) for point in click(missed, extra))

    def _two_clicks(self, missed: Flags, extra: Flags) -> list[PointPrompt]:
        places = ((self._place(extra), False), (self._place(missed), True))
        return [PointPrompt(place, sign) for place, sign in places if place is not None]

    def _one_click(self, missed: Flags, extra: Flags) -> list[PointPrompt]:
        components = [(_largest_component(errors), sign) for errors, sign in ((missed, True), (extra, False))]
        # max keeps the first of equals: a tie goes to the missed part, so to a positive click.
        errors, sign = max(components, key=lambda item: int(np.count_nonzero(item[0])))
        place = self._place(errors)
        return [] if place is None else [PointPrompt(place, sign)]

    def _perhaps_wrong(self, point: PointPrompt, inside: Flags, proposed: Flags) -> PointPrompt:
        self._corrections += 1
        unlucky = self._rng.random() < self._options.wrong_click_probability
        if not unlucky and self._corrections > self._options.wrong_first:
            return point
        if self._options.wrong_where == "error":
            return PointPrompt(point.position_kji, not point.positive)
        for positive in (point.positive, not point.positive):
            right = ~inside & ~proposed if positive else inside & proposed
            place = self._sample(right)
            if place is not None:
                return PointPrompt(place, positive)
        return PointPrompt(point.position_kji, not point.positive)  # nothing was right

    def _place(self, errors: Flags) -> Kji | None:
        return self._sample(_deepest(errors) if self._deepest else errors)

    def _sample(self, flags: Flags) -> Kji | None:
        """A uniform voxel of a mask; None if it is empty.

        The voxel is found by counting, slice by slice, then row by row: no list of coordinates, which for the
        background of a large volume would take gigabytes.
        """
        per_slice = np.count_nonzero(flags, axis=(1, 2))
        total = int(per_slice.sum())
        if total == 0:
            return None
        rank = int(self._rng.integers(total))
        k, rank = _locate(per_slice, rank)
        j, rank = _locate(np.count_nonzero(flags[k], axis=1), rank)
        i, _ = _locate(flags[k, j], rank)
        return (k, j, i)


def _locate(counts: npt.NDArray[np.generic], rank: int) -> tuple[int, int]:
    """Bin that holds the item of a given rank, and the item's rank within that bin."""
    ends = np.cumsum(counts)
    index = int(np.searchsorted(ends, rank, side="right"))
    return index, rank - (int(ends[index - 1]) if index else 0)


def _largest_component(flags: Flags) -> Flags:
    """The largest part connected by faces, edges or corners; the first in array order of equals."""
    bounds = bounding_box(flags)
    if bounds is None:
        return flags
    window = box_slices(bounds)
    labels, count = ndimage.label(flags[window], structure=np.ones((3, 3, 3)))
    if count == 1:
        return flags
    sizes = np.bincount(labels.ravel())[1:]
    largest = np.zeros_like(flags)
    largest[window] = labels == 1 + int(np.argmax(sizes))
    return largest


def _deepest(flags: Flags) -> Flags:
    """The voxels farthest from the mask's border, in voxel units."""
    bounds = bounding_box(flags)
    if bounds is None:
        return flags
    window = box_slices(bounds)
    depth = ndimage.distance_transform_edt(np.pad(flags[window], 1))[1:-1, 1:-1, 1:-1]
    deepest = np.zeros_like(flags)
    deepest[window] = depth == depth.max()
    return deepest


def _box_of_largest_slice(inside: Flags) -> BoxPrompt:
    k = int(np.argmax(np.count_nonzero(inside, axis=(1, 2))))
    bounds = bounding_box(inside[k : k + 1])
    if bounds is None:
        raise ConfigError("A box prompt needs a target, but the reference is empty.")
    return BoxPrompt(((k, k + 1), bounds[1], bounds[2]))
