"""From a case and its prompts to the network's input, and from a mask to the clicks it would take.

Everything that the session does by itself (normalisation, drawing of prompts, decay of older ones, padding)
comes from `episode.encoding`, which is proven bit-equal to the session's own encoder at zoom 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from clopa_annotator.episode.prompt_canvas import EncodingRules, PromptCanvas
from clopa_annotator.errors import NoImage
from clopa_annotator.geometry import Kji, bounding_box, box_slices
from clopa_annotator.online.losses import PatchClick
from clopa_annotator.session.patches import crop_padded, normalise, patch_bounds
from clopa_annotator.types import BoxPrompt, Mask, MaskPrompt, PointPrompt, Prompt
from clopa_annotator.types.prompts import counting_after

Flags = npt.NDArray[np.bool_]


def rules_of(artifacts: Mapping[str, Any], patch_kji: Kji) -> EncodingRules:
    """How a loaded model wants its prompts drawn, from nnInteractive's artifacts."""
    radius = int(artifacts["point_interaction"].point_radius)
    return EncodingRules(patch_kji, float(artifacts["interaction_decay"]), radius)


class CanvasEncoder:
    """Encodes prompts for one image at a time; fulfils `protocol.InputEncoder`."""

    def __init__(self, rules: EncodingRules) -> None:
        self._rules = rules
        self._image: torch.Tensor | None = None

    @property
    def patch_kji(self) -> Kji:
        """Number of voxels that the network sees at once."""
        return self._rules.patch_kji

    def set_image(self, voxels: npt.NDArray[np.generic]) -> None:
        """Normalise a (k, j, i) image as the session does.

        Raises:
            ImageError: the image is constant, all zero or not finite.
        """
        self._image = normalise(torch.from_numpy(np.ascontiguousarray(voxels, dtype=np.float32)))

    def encode(self, prompts: Sequence[Prompt], prev_seg: Mask, center: Kji) -> torch.Tensor:
        """The (8, *patch) float32 input around voxel ``center``; a mask prompt resets those before it.

        Raises:
            NoImage: `set_image` was not called.
            PromptError: a point outside the image, or a mask of another shape.
        """
        if self._image is None:
            raise NoImage("There is no image to encode prompts for; set one first.")
        canvas = PromptCanvas(self._image, self._rules)
        canvas.add(MaskPrompt(prev_seg))
        for prompt in drawn_prompts(prompts):
            canvas.add(prompt)
        canvas.centre_kji = center
        return canvas.network_input()


def drawn_prompts(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """The prompts that are drawn: those after the last one that starts over."""
    counting = counting_after((), prompts)
    return counting[1:] if counting and counting[0].starts_over else counting


def patch_clicks(prompts: Sequence[Prompt], center: Kji, patch_kji: Kji) -> list[PatchClick]:
    """What the prompts say at single voxels, in the coordinates of the patch around ``center``.

    A click says it at its voxel, a scribble or lasso in its middle (assumed; the paper has clicks only), a
    box nowhere: its middle need not belong to the target.
    """
    corner = [lo for lo, _ in patch_bounds(center, patch_kji)]
    clicks = []
    for prompt in prompts:
        position = prompt.centre_kji
        if position is None or isinstance(prompt, BoxPrompt | MaskPrompt):
            continue
        (k, j, i) = (p - c for p, c in zip(position, corner, strict=True))
        clicks.append(PatchClick((k, j, i), prompt.positive))
    return clicks


def cut(volume: npt.NDArray[np.generic], center: Kji, patch_kji: Kji) -> torch.Tensor:
    """The patch of a (k, j, i) mask around ``center``, zero outside; int64."""
    tensor = torch.from_numpy(np.array(volume))
    return crop_padded(tensor, patch_bounds(center, patch_kji)).long()


def paste(patch: Mask, volume: Mask, center: Kji) -> Mask:
    """A copy of a (k, j, i) volume with the patch around ``center`` written into it."""
    out = volume.copy()
    bounds = patch_bounds(center, (patch.shape[0], patch.shape[1], patch.shape[2]))
    inside = [(max(lo, 0), min(hi, n)) for (lo, hi), n in zip(bounds, volume.shape, strict=True)]
    to = tuple(slice(lo, hi) for lo, hi in inside)
    of = tuple(slice(lo - b[0], hi - b[0]) for (lo, hi), b in zip(inside, bounds, strict=True))
    out[to] = patch[of]
    return out


def deepest_voxel(region: Flags) -> Kji:
    """The voxel farthest from a region's border, in voxels; the first in array order of equals.

    Args:
        region: (k, j, i), with at least one voxel.
    """
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1, 1:-1]
    (k, j, i) = (int(x) for x in np.unravel_index(int(np.argmax(depth)), region.shape))
    return (k, j, i)


def error_clicks(prediction: Mask, reference: Mask, limit: int) -> tuple[PointPrompt, ...]:
    """One click into each connected error, the largest first, at most ``limit``.

    Components touch by faces, edges or corners; the click lies at the deepest voxel (the paper says only "in"
    the component). Missed parts get a positive click, wrong ones a negative; a tie goes to the missed part.
    """
    found: list[tuple[int, int, PointPrompt]] = []
    for rank, (errors, positive) in enumerate(
        ((reference > prediction, True), (prediction > reference, False))
    ):
        labels, _ = ndimage.label(errors, structure=np.ones((3, 3, 3)))
        for number, window in enumerate(ndimage.find_objects(labels), start=1):
            part = labels[window] == number
            (k, j, i) = (p + s.start for p, s in zip(deepest_voxel(part), window, strict=True))
            found.append((-int(part.sum()), rank, PointPrompt((k, j, i), positive)))
    found.sort(key=lambda item: item[:2])
    return tuple(click for _, _, click in found[:limit])


def inner_click(mask: Mask) -> PointPrompt | None:
    """A positive click at the deepest voxel of a mask: stands in where nobody clicked; None if empty."""
    bounds = bounding_box(mask)
    if bounds is None:
        return None
    window = box_slices(bounds)
    (k, j, i) = (p + s.start for p, s in zip(deepest_voxel(mask[window] > 0), window, strict=True))
    return PointPrompt((k, j, i), True)


def last_centre(prompts: Sequence[Prompt]) -> Kji | None:
    """Where the session would centre its patch: at the newest prompt that has a place."""
    places = [place for place in (p.centre_kji for p in prompts) if place is not None]
    return places[-1] if places else None


def localisation(prompts: Sequence[Prompt], first_step: int, mask: Mask) -> tuple[Prompt, ...]:
    """The prompts that were given together at the start; without any, a click at the mask's deepest voxel."""
    first = drawn_prompts(prompts[:first_step])
    stand_in = inner_click(mask)
    return first or (() if stand_in is None else (stand_in,))
