"""A session whose network runs in an engine elsewhere; torch-free.

It keeps what is needed to begin again: the image (or the case's name) and the steps behind the current state.
When the engine has given the session's place back, or was restarted, a new one is opened with the same
weights version and the steps are replayed, once per lost session, before the failed step is tried again.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import NoImage, SessionExpired, UnknownVersion
from clopa_annotator.geometry import BoundsKji, Kji, bounding_box, box_slices
from clopa_annotator.session.checks import check_prompts, usable_voxels
from clopa_annotator.types import Image, Mask, Prompt, PromptKind, Proposal, Slot
from clopa_annotator.types.prompts import counting_after
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.codec import slot_to_wire
from clopa_annotator.wire.session_messages import (
    Arrays,
    Row,
    bounds_from_wire,
    geometry_to_wire,
    prompts_to_wire,
)

logger = logging.getLogger(__name__)

_NO_IMAGE = "No image is open in this session. Open a case first."


class Line(Protocol):
    """The way to the engine, as a session needs it; `engine.transport.Transport` fulfils it."""

    def exchange(
        self, path: str, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]] | None = None
    ) -> tuple[Row, Arrays]:
        """Send a message to an engine's route and wait for the answer.

        Raises:
            ClopaError: what the engine answered, or `EngineUnreachable`.
        """
        ...


_Steps = list[tuple[Prompt, ...]]


class RemoteSession:
    """Interactive segmentation over a `Line`; fulfils `Session`. One thread at a time."""

    def __init__(self, line: Line) -> None:
        """Make a session without an image.

        Raises:
            EngineError: the engine cannot be reached, or refuses.
        """
        self._line = line
        about, _ = line.exchange("session/model", {})
        self._supported = frozenset(PromptKind(kind) for kind in about["supported"])
        self._licence = str(about["licence"])
        self._next_version = int(about["version"])
        self._takes_3d_boxes = bool(about["takes_3d_boxes"])
        self._key = ""
        self._source: tuple[Row, Arrays] | None = None
        self._shape: Kji = (0, 0, 0)
        self._steps: _Steps = []
        self._undone: _Steps = []
        self._slot = FIRST
        self._aside: dict[Slot, tuple[_Steps, _Steps]] = {}
        self._answer: Row = {}
        self._mask: Mask | None = None
        self._proposal: Proposal | None = None
        self._revision = 0

    @property
    def supported(self) -> frozenset[PromptKind]:
        """The kinds of prompt that the loaded model takes."""
        return self._supported

    @property
    def licence(self) -> str:
        """First line of the loaded model's licence."""
        return self._licence

    @property
    def weights_version(self) -> int:
        """Version that the next prediction will use."""
        return self._next_version

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts behind the current proposal, oldest first."""
        prompts: tuple[Prompt, ...] = ()
        for step in self._steps:
            # An empty step is a reset.
            prompts = counting_after(prompts, step) if step else ()
        return prompts

    @property
    def proposal(self) -> Proposal:
        """The current proposal; an empty mask before the first prompt.

        Raises:
            NoImage: no image is set.
        """
        if self._proposal is None:
            raise NoImage(_NO_IMAGE)
        return self._proposal

    @property
    def can_undo(self) -> bool:
        """Whether `undo` has an earlier state to go to."""
        return bool(self._answer.get("can_undo", False))

    @property
    def can_redo(self) -> bool:
        """Whether `redo` has an undone state to go to."""
        return bool(self._answer.get("can_redo", False))

    def set_image(self, image: Image) -> None:
        """Upload an image; prompts, proposal and undo history start anew.

        Raises:
            ImageError: as every session does; the engine checks.
            GeometryError: the grid's shape is not the array's.
        """
        voxels = usable_voxels(image)
        meta = {"geometry": geometry_to_wire(image.geometry)}
        self._start(meta, {"image": voxels}, image.geometry.shape_kji)

    def open_case(self, case_id: str, shape_kji: Kji, slot: Slot = FIRST) -> None:
        """Work on a target in an image that the engine has already; nothing is uploaded.

        Raises:
            UnknownCase: the campaign has no such case.
        """
        self._start({"case_id": case_id, "slot": slot_to_wire(slot)}, {}, shape_kji)
        self._slot = slot

    def choose(self, slot: Slot) -> bool:
        """Go on with another target of the open case.

        Returns:
            Whether its earlier steps are there again; if not, it begins with an empty proposal.

        Raises:
            NoImage: no case is open.
            ConfigError: the campaign has no such target.
        """
        if self._source is None:
            raise NoImage(_NO_IMAGE)
        source = {**self._source[0], "slot": slot_to_wire(slot)}
        request = {"session": self._key, "slot": slot_to_wire(slot)}
        try:
            answer, arrays = self._line.exchange("session/choose", request)
        except SessionExpired:
            logger.warning("The engine lost the session; it begins anew")
            answer, arrays = self._line.exchange("session/open", {**source, "version": None}, {})
            self._key, self._aside = str(answer["session"]), {}
        kept = bool(answer.get("kept", False))
        self._aside[self._slot] = (self._steps, self._undone)
        mine = self._aside.pop(slot, None)
        self._steps, self._undone = mine if kept and mine is not None else ([], [])
        self._source, self._slot = (source, {}), slot
        self._mask = np.zeros(self._shape, np.uint8)
        self._take(answer, arrays)
        return kept

    def add_prompt(self, prompt: Prompt) -> Proposal:
        """Add one prompt and predict: ``add_prompts((prompt,))``."""
        return self.add_prompts((prompt,))

    def add_prompts(self, prompts: Sequence[Prompt]) -> Proposal:
        """Add prompts in order and predict once, after the last; one step of undo."""
        if self._source is None:
            raise NoImage(_NO_IMAGE)
        step = check_prompts(prompts, self._shape, self._supported, self._takes_3d_boxes)
        rows, arrays = prompts_to_wire(step)
        proposal = self._do("session/prompts", {"prompts": rows}, arrays)
        self._steps.append(step)
        self._undone.clear()
        return proposal

    def undo(self) -> Proposal:
        """Go back one step, to exactly the state before."""
        proposal = self._do("session/undo", {}, {})
        self._undone.append(self._steps.pop())
        return proposal

    def redo(self) -> Proposal:
        """Take the last `undo` back, to exactly the state after."""
        proposal = self._do("session/redo", {}, {})
        self._steps.append(self._undone.pop())
        return proposal

    def reset(self) -> Proposal:
        """Forget all prompts; can be undone."""
        proposal = self._do("session/reset", {}, {})
        self._steps.append(())
        self._undone.clear()
        return proposal

    def beat(self) -> None:
        """Tell the engine that somebody is still here; a lost session is noticed at the next step."""
        if self._key:
            self._line.exchange("session/beat", {"session": self._key})

    def close(self) -> None:
        """Give the session's place back; the session can be given another image."""
        key, self._key = self._key, ""
        self._source = self._proposal = self._mask = None
        self._steps, self._undone, self._answer, self._aside = [], [], {}, {}
        if key:
            self._line.exchange("session/close", {"session": key})

    def _start(self, source: Row, arrays: Arrays, shape: Kji) -> None:
        answer, _ = self._line.exchange("session/open", {**source, "replaces": self._key}, arrays)
        self._key, self._source, self._shape = str(answer["session"]), (source, arrays), shape
        self._steps, self._undone, self._aside = [], [], {}
        self._mask, self._proposal = np.zeros(shape, np.uint8), None
        self._take(answer, {})

    def _do(self, path: str, meta: Row, arrays: Arrays) -> Proposal:
        if self._source is None:
            raise NoImage(_NO_IMAGE)
        # The engine answers a repeated request from memory, so a retry cannot click twice.
        meta = {**meta, "request": uuid.uuid4().hex}
        shown = self._mask
        try:
            return self._ask(path, meta, arrays)
        except SessionExpired:
            logger.warning("The engine lost the session; image and %d steps are replayed", len(self._steps))
            self._replay()
            self._ask(path, meta, arrays)
        # The replay began with an empty mask; the caller knows the one from before.
        if self._mask is not None and shown is not None:
            self._proposal = replace(self.proposal, changed_kji=bounding_box(self._mask != shown))
        return self.proposal

    def _ask(self, path: str, meta: Row, arrays: Arrays) -> Proposal:
        have = int(self._answer.get("revision", 0))
        answer, returned = self._line.exchange(path, {**meta, "session": self._key, "have": have}, arrays)
        return self._take(answer, returned)

    def _replay(self) -> None:
        if self._source is None:
            raise NoImage(_NO_IMAGE)
        source, arrays = self._source
        try:
            answer, _ = self._line.exchange("session/open", {**source, "version": self._next_version}, arrays)
        except UnknownVersion:
            answer, _ = self._line.exchange("session/open", source, arrays)
        self._key, self._answer, self._aside = str(answer["session"]), answer, {}
        self._mask = np.zeros(self._shape, np.uint8)
        undone = self._undone[::-1]
        for step in [*self._steps, *undone]:
            rows, regions = prompts_to_wire(step)
            path = "session/prompts" if step else "session/reset"
            self._ask(path, {"prompts": rows, "request": uuid.uuid4().hex}, regions)
        for _ in undone:
            self._ask("session/undo", {"request": uuid.uuid4().hex}, {})

    def _take(self, answer: Row, arrays: Arrays) -> Proposal:
        box: BoundsKji | None = None
        mask = self._mask if self._mask is not None else np.zeros(self._shape, np.uint8)
        if "mask" in arrays:
            box = bounds_from_wire(answer["changed_kji"])
            mask = mask.copy()
            mask[box_slices(box)] = arrays["mask"]
        self._mask, self._answer = mask, answer
        self._next_version = int(answer["next_version"])
        self._revision += 1
        shown = mask.view()
        shown.flags.writeable = False
        proposal = Proposal(
            shown, box, int(answer["weights_version"]), self._revision, float(answer["seconds"])
        )
        self._proposal = proposal
        return proposal
