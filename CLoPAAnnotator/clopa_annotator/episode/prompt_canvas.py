"""What the network sees during training: the session's own prompt encoding, fast and differentiable around.

`PromptCanvas` keeps the interaction channels of one image as nnInteractive's session does (fp16, stamped at
a growing intensity instead of decaying older prompts) and cuts the network's input out of them around the
newest prompt, from further away if it is told to. It is proven bit-equal to
``nnInteractiveInferenceSession._build_network_input`` by ``Testing/core/test_episode_prompt_canvas.py`` and
``Testing/contract/test_training_inputs.py``; that session stays the authority.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from clopa_annotator.episode.hardware.hand_over import hand_over
from clopa_annotator.episode.prompting import Region, uniform_voxel
from clopa_annotator.errors import ConfigError, ImageError, PromptError
from clopa_annotator.geometry import BoundsKji, Kji, bounding_box, box_slices
from clopa_annotator.session.background import with_others
from clopa_annotator.session.looks import CHANNELS, Look, as_seen, at_full_size, look_input, overview_zoom
from clopa_annotator.session.patches import crop_padded, overlap, patch_bounds
from clopa_annotator.session.zooming import mask_as_seen, zoomed_input
from clopa_annotator.types import (
    BoxPrompt,
    LassoPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    PromptKind,
    ScribblePrompt,
)

_PREVIOUS = 0
_CHANNELS = {PromptKind.BOX: 1, PromptKind.LASSO: 1, PromptKind.POINT: 3, PromptKind.SCRIBBLE: 5}
"""Where a positive prompt of a kind is drawn; a negative one lies one further."""
_FP16_MAX = float(torch.finfo(torch.float16).max)


@dataclass(frozen=True)
class EncodingRules:
    """How a model wants its prompts drawn; read from its ``inference_info.json``.

    Attributes:
        patch_kji: network patch in voxels.
        decay: factor on every older prompt with each new one, in (0, 1].
        point_radius: radius in voxels of the ball that marks a click.
    """

    patch_kji: Kji = (64, 64, 64)
    decay: float = 0.98
    point_radius: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise ConfigError(f"The decay of older prompts must be in (0, 1], but is {self.decay}.")
        if self.point_radius < 1 or any(n < 1 for n in self.patch_kji):
            raise ConfigError("Patch size and point radius must be at least one voxel.")


@lru_cache(maxsize=8)
def point_stamp(radius: int) -> Tensor:
    """The session's mark for a click: a ball's distance to its outside, scaled to at most 1 (float64)."""
    axis = np.arange(-radius, radius + 1)
    k, j, i = np.meshgrid(axis, axis, axis, indexing="ij")
    depth = distance_transform_edt(k**2 + j**2 + i**2 <= radius**2)
    return torch.from_numpy(depth / depth.max())


class PromptCanvas:
    """The prompts on one image, and the network's input that follows from them.

    Attributes:
        image: (k, j, i) float32, normalised (see `normalise`); may be smaller or larger than the patch.
        others: (k, j, i) bool, voxels of other targets, drawn into every input that has a prompt as the
            session draws them (`session.background`); None for none.
        centre_kji: voxel around which the next patch lies: the newest prompt's.
        zoom: sides of the next patch in network patches; a prompt sets it to 1.
    """

    def __init__(self, image: Tensor, rules: EncodingRules, others: Tensor | None = None) -> None:
        if image.ndim != 3:
            raise ImageError(f"Training needs a 3D image, but this one has {image.ndim} axes.")
        self.image, self.others = image, others
        self.rules = rules
        k, j, i = image.shape
        self.centre_kji: Kji = (k // 2, j // 2, i // 2)
        self.zoom = 1.0
        self._channels = torch.zeros((CHANNELS - 1, k, j, i), dtype=torch.float16, device=image.device)
        self._intensity = 1.0
        self._used: set[int] = set()

    @property
    def previous(self) -> Tensor:
        """(k, j, i) bool: the current segmentation of the whole image."""
        return self._channels[_PREVIOUS] > 0.5

    @property
    def bounds(self) -> BoundsKji:
        """Box of the next patch; it may leave the image."""
        return self.look.bounds(self.rules.patch_kji)

    @property
    def look(self) -> Look:
        """The next patch."""
        return Look(self.centre_kji, self.zoom)

    def look_around(self) -> bool:
        """Look at the whole image first, without a prompt; whether a close look has to follow."""
        k, j, i = self.image.shape
        self.centre_kji = (k // 2, j // 2, i // 2)
        self.zoom = overview_zoom(tuple(self.image.shape), self.rules.patch_kji)
        return self.zoom > 1

    def look_closer(self, centre_kji: Kji) -> None:
        """Look at one patch without a prompt, with the mask that the first look gave."""
        self.centre_kji, self.zoom = centre_kji, 1.0

    def look_at_a_find(self, target: Region, rng: np.random.Generator) -> None:
        """`look_closer` at a voxel that the first look found, or should have; (k, j, i) bool ``target``."""
        k, j, i = self.image.shape
        place = uniform_voxel(self.previous.cpu().numpy() | target, rng)
        self.look_closer(place or (k // 2, j // 2, i // 2))

    def add(self, prompt: Prompt) -> None:
        """Draw one prompt; it becomes the centre of the next patch.

        Raises:
            PromptError: a point outside the image, or a mask of another shape.
        """
        self.zoom = 1.0
        if isinstance(prompt, MaskPrompt):
            self._start_from(prompt)
            return
        self._grow_intensity()
        channel = _CHANNELS[prompt.kind] + (0 if prompt.positive else 1)
        if isinstance(prompt, PointPrompt):
            self._stamp_point(prompt.position_kji, channel)
        elif isinstance(prompt, BoxPrompt):
            self._fill_box(prompt.bounds_kji, channel)
        else:
            self._draw(prompt, channel)

    def network_input(self) -> Tensor:
        """The (8, *patch) float32 input for the patch around `centre_kji`."""
        seen = self._input_of_prompts()
        if self.others is None or not self._prompted:
            return seen
        return with_others(seen, self.others, self.centre_kji, self.zoom, self.rules.patch_kji)

    def _input_of_prompts(self) -> Tensor:
        if self.zoom > 1 and not self._prompted:
            return look_input(self.image, None, self.look, self.rules.patch_kji)
        if self.zoom > 1:
            return zoomed_input(
                self.image,
                self._channels,
                self._used,
                self._intensity,
                self.centre_kji,
                self.zoom,
                self.rules.patch_kji,
            )
        in_image, in_box = overlap(self.bounds, tuple(self.image.shape))
        out = self.image.new_zeros((CHANNELS, *self.rules.patch_kji))
        out[0][in_box] = self.image[in_image]
        for channel in self._used:
            part = self._channels[channel][in_image]
            if channel != _PREVIOUS and self._intensity != 1:
                part = part / self._intensity
            out[channel + 1][in_box] = part.float()
        return out

    def paste(self, prediction: Tensor) -> None:
        """Write a (k, j, i) patch-sized prediction into the segmentation, at the current patch."""
        prediction = at_full_size(prediction, self.look, self.rules.patch_kji)
        in_image, in_box = overlap(self.bounds, tuple(self.image.shape))
        self._used.add(_PREVIOUS)
        self._channels[_PREVIOUS][in_image] = prediction[in_box].to(torch.float16)

    def crop(self, volume: Tensor) -> Tensor:
        """The current patch of a mask on the image's grid, zero outside."""
        if self.zoom > 1 and not self._prompted:
            return as_seen(volume, self.look, self.rules.patch_kji).to(volume.dtype)
        return self.seen(volume, self.zoom).to(volume.dtype)

    def seen(self, mask: Tensor, zoom: float) -> Tensor:
        """What a look around `centre_kji` should answer: (*patch), where the mask fills half of a voxel."""
        if zoom == 1:
            return crop_padded(mask, patch_bounds(self.centre_kji, self.rules.patch_kji))
        return mask_as_seen(mask, self.centre_kji, zoom, self.rules.patch_kji)

    @property
    def _prompted(self) -> bool:
        return bool(self._used - {_PREVIOUS})

    def _grow_intensity(self) -> None:
        # Instead of scaling all older prompts down, the session stamps each new one higher and divides at
        # the end; the fp16 rounding depends on that order, so it is kept, with its rare renormalisation.
        if self.rules.decay == 1:
            return
        self._intensity *= 1 / self.rules.decay
        if self._intensity > _FP16_MAX:
            target = _FP16_MAX / 10
            self._channels[1:] *= target / self._intensity
            self._intensity = target

    def _stamp_point(self, position_kji: Kji, channel: int) -> None:
        shape = tuple(self.image.shape)
        if any(not 0 <= p < n for p, n in zip(position_kji, shape, strict=True)):
            raise PromptError(f"The click at voxel {position_kji} lies outside the image of shape {shape}.")
        stamp = point_stamp(self.rules.point_radius)
        bounds = patch_bounds(position_kji, (stamp.shape[0],) * 3)
        in_image, in_box = overlap(bounds, shape)
        self._raise_to(channel, in_image, (stamp * self._intensity)[in_box])
        self.centre_kji = position_kji

    def _fill_box(self, bounds: BoundsKji, channel: int) -> None:
        self._channels[channel][box_slices(bounds)] = self._intensity
        self._used.add(channel)
        self.centre_kji = _middle(bounds)

    def _draw(self, prompt: ScribblePrompt | LassoPrompt, channel: int) -> None:
        drawn = bounding_box(prompt.mask)
        if drawn is None:
            return
        values = torch.from_numpy(np.ascontiguousarray(prompt.mask).astype(np.float16))
        if self._intensity != 1:
            values *= self._intensity
        self._raise_to(channel, box_slices(prompt.bounds_kji), values)
        (a, b, c) = ((lo + o[0], hi + o[0]) for (lo, hi), o in zip(drawn, prompt.bounds_kji, strict=True))
        self.centre_kji = _middle((a, b, c))

    def _raise_to(self, channel: int, where: tuple[slice, ...], values: Tensor) -> None:
        view = self._channels[channel][where]
        # The type first: Apple's GPUs know no float64.
        torch.maximum(view, hand_over(values.to(view.dtype), view.device), out=view)
        self._used.add(channel)

    def _start_from(self, prompt: MaskPrompt) -> None:
        if prompt.mask.shape != tuple(self.image.shape):
            raise PromptError(f"The mask has shape {prompt.mask.shape}, the image {tuple(self.image.shape)}.")
        self._channels.zero_()
        self._intensity = 1.0
        self._used = {_PREVIOUS}
        self._channels[_PREVIOUS] = torch.from_numpy(prompt.mask.astype(np.float16)).to(self.image.device)
        bounds = bounding_box(prompt.mask)
        if bounds is not None:
            self.centre_kji = _middle(bounds)


def _middle(bounds: BoundsKji) -> Kji:
    # Python's round (half to even), as the session rounds.
    (k, j, i) = (round((lo + hi) / 2) for lo, hi in bounds)
    return (k, j, i)
