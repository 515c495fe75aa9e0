"""A session without a network: deterministic, fast, and public, for tests and for trying out what uses one.

A positive click takes the voxels of similar intensity that are connected to it within a ball; a negative one
gives them back. Boxes do the same with their middle intensity, drawings take exactly what is drawn. A higher
weights version has a larger ball, so that "the model has learned" can be told from the mask.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from clopa_annotator.errors import ConfigError, NoImage, NothingToRedo, NothingToUndo, PredictionFailed
from clopa_annotator.geometry import BoundsKji, bounding_box, box_slices
from clopa_annotator.session.checks import binary_mask, check_prompts, last_mask_onwards, usable_voxels
from clopa_annotator.types import (
    BoxPrompt,
    Image,
    Mask,
    MaskPrompt,
    PointPrompt,
    Prompt,
    PromptKind,
    Proposal,
)


@dataclass(frozen=True, eq=False)
class _State:
    prompts: tuple[Prompt, ...]
    mask: Mask
    version: int


class FakeSession:
    """Fulfils `Session` with region growing instead of a network.

    Attributes:
        version: the weights version that the next prediction pretends to use; set it to pretend a swap.
        fail_next: when set, the next prediction raises `PredictionFailed` with this text.
    """

    def __init__(
        self,
        *,
        radius: int = 6,
        tolerance: float = 0.5,
        version: int = 0,
        supported: frozenset[PromptKind] = frozenset(PromptKind),
        takes_3d_boxes: bool = False,
        licence: str = "CC0-1.0",
    ) -> None:
        """Make a session without an image.

        Args:
            radius: of a click's ball in voxels at version 0; every version adds one.
            tolerance: how far from the click's intensity a voxel may be, in standard deviations of the image.
            version: to begin with.
            supported: kinds of prompt that are taken; others are refused.
            takes_3d_boxes: whether a box may have depth along all axes.
            licence: what `licence` says.

        Raises:
            ConfigError: a radius below one voxel, or a negative tolerance.
        """
        if radius < 1 or tolerance < 0:
            raise ConfigError(
                f"A fake session needs a radius of at least 1 and a tolerance of at least 0, not {radius} and"
                f" {tolerance}."
            )
        self.version = version
        self.fail_next = ""
        self._radius = radius
        self._tolerance = tolerance
        self._supported = supported
        self._takes_3d_boxes = takes_3d_boxes
        self._licence = licence
        self._voxels: npt.NDArray[np.float32] | None = None
        self._states: list[_State] = []
        self._current = 0
        self._revision = 0
        self._proposal: Proposal | None = None

    @property
    def supported(self) -> frozenset[PromptKind]:
        """The kinds of prompt that this session takes."""
        return self._supported

    @property
    def takes_3d_boxes(self) -> bool:
        """Whether boxes may extend along all three axes."""
        return self._takes_3d_boxes

    @property
    def licence(self) -> str:
        """What was given at construction."""
        return self._licence

    @property
    def weights_version(self) -> int:
        """Version that the next prediction will pretend to use."""
        return self.version

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts behind the current proposal, oldest first."""
        return self._states[self._current].prompts if self._states else ()

    @property
    def proposal(self) -> Proposal:
        """The current proposal; an empty mask before the first prompt.

        Raises:
            NoImage: no image is set.
        """
        if self._proposal is None:
            raise NoImage("No image is open in this session. Open a case first.")
        return self._proposal

    @property
    def can_undo(self) -> bool:
        """Whether `undo` has an earlier state to go to."""
        return self._current > 0

    @property
    def can_redo(self) -> bool:
        """Whether `redo` has an undone state to go to."""
        return self._current + 1 < len(self._states)

    def set_image(self, image: Image) -> None:
        """Replace the image; prompts, proposal and undo history start anew.

        Raises:
            ImageError: not 3D, empty, constant, or with NaN or infinite voxels.
            GeometryError: the grid's shape is not the array's.
        """
        voxels = np.array(usable_voxels(image), np.float32)
        self.close()
        self._voxels = voxels
        self._states = [_State((), np.zeros(voxels.shape, np.uint8), self.version)]
        self._publish(np.zeros(voxels.shape, np.uint8), 0.0)

    def add_prompt(self, prompt: Prompt) -> Proposal:
        """Add one prompt and predict: ``add_prompts((prompt,))``."""
        return self.add_prompts((prompt,))

    def add_prompts(self, prompts: Sequence[Prompt]) -> Proposal:
        """Add prompts in order and predict once, after the last; one step of undo.

        Raises:
            NoImage: no image is set.
            PromptError: none given, outside the image, of another shape, or not binary.
            UnsupportedPrompt: a kind that this session was told not to take.
            PredictionFailed: `fail_next` was set.
        """
        before = self._state()
        started = time.perf_counter()
        given = check_prompts(prompts, before.mask.shape, self._supported, self._takes_3d_boxes)
        if self.fail_next:
            message, self.fail_next = self.fail_next, ""
            raise PredictionFailed(message)
        counting = last_mask_onwards(given)
        earlier = () if isinstance(counting[0], MaskPrompt) else before.prompts
        mask = before.mask.copy()
        for prompt in counting:
            self._apply(prompt, mask)
        return self._advance(_State((*earlier, *counting), mask, self.version), started)

    def reset(self) -> Proposal:
        """Forget all prompts; can be undone.

        Raises:
            NoImage: no image is set.
        """
        started = time.perf_counter()
        return self._advance(_State((), np.zeros_like(self._state().mask), self.version), started)

    def undo(self) -> Proposal:
        """Go back one step, to exactly the state before.

        Raises:
            NoImage: no image is set.
            NothingToUndo: the session is at its first state.
        """
        before = self._state()
        if not self.can_undo:
            raise NothingToUndo("There is no earlier step to go back to.")
        self._current -= 1
        return self._publish(before.mask, 0.0)

    def redo(self) -> Proposal:
        """Take the last `undo` back, to exactly the state after.

        Raises:
            NoImage: no image is set.
            NothingToRedo: nothing was undone since the last prompt.
        """
        before = self._state()
        if not self.can_redo:
            raise NothingToRedo("No step was undone since the last prompt.")
        self._current += 1
        return self._publish(before.mask, 0.0)

    def close(self) -> None:
        """Let go of the image; the session can be given another one."""
        self._voxels = None
        self._states = []
        self._current = 0
        self._proposal = None

    def _state(self) -> _State:
        if not self._states:
            raise NoImage("No image is open in this session. Open a case first.")
        return self._states[self._current]

    def _advance(self, state: _State, started: float) -> Proposal:
        before = self._state()
        self._states = [*self._states[: self._current + 1], state]
        self._current += 1
        return self._publish(before.mask, time.perf_counter() - started)

    def _publish(self, before: Mask, seconds: float) -> Proposal:
        state = self._state()
        mask = state.mask.view()
        mask.flags.writeable = False
        self._revision += 1
        changed: BoundsKji | None = bounding_box(before != mask)
        self._proposal = Proposal(mask, changed, state.version, self._revision, seconds)
        return self._proposal

    def _apply(self, prompt: Prompt, mask: Mask) -> None:
        """Change ``mask`` in place by what the prompt says."""
        if isinstance(prompt, MaskPrompt):
            mask[...] = binary_mask(prompt.mask)
        elif isinstance(prompt, PointPrompt):
            mask[self._grown(prompt.position_kji)] = prompt.positive
        elif isinstance(prompt, BoxPrompt):
            where = box_slices(prompt.bounds_kji)
            inside = self._opened()[where]
            mask[where][self._similar(inside, float(np.median(inside)))] = prompt.positive
        else:
            mask[box_slices(prompt.bounds_kji)][binary_mask(prompt.mask) == 1] = prompt.positive

    def _grown(self, seed_kji: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
        """The voxels similar to ``seed_kji`` and connected to it within its ball."""
        voxels = self._opened()
        radius = self._radius + self.version
        squares = ((np.arange(n) - x) ** 2 for n, x in zip(voxels.shape, seed_kji, strict=True))
        k, j, i = np.ix_(*squares)
        candidates = self._similar(voxels, float(voxels[tuple(seed_kji)])) & (k + j + i <= radius**2)
        parts, _ = ndimage.label(candidates)
        grown: npt.NDArray[np.bool_] = parts == parts[tuple(seed_kji)]
        return grown

    def _similar(self, voxels: npt.NDArray[np.float32], value: float) -> npt.NDArray[np.bool_]:
        near: npt.NDArray[np.bool_] = np.abs(voxels - value) <= self._tolerance * self._opened().std()
        return near

    def _opened(self) -> npt.NDArray[np.float32]:
        if self._voxels is None:
            raise NoImage("No image is open in this session. Open a case first.")
        return self._voxels
