"""Suggestions without a network: what is bright belongs to the target. Deterministic, fast, and public."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import PredictionFailed, SuggestionStopped
from clopa_annotator.session.checks import usable_voxels
from clopa_annotator.types import Image, WholeImageAnswer


class FakeSuggester:
    """Fulfils `session.suggesting.Suggester` with a threshold.

    Attributes:
        version: the weights version that the next pass pretends to use; a higher one has a lower threshold,
            so that "the model has learned" can be told from the mask.
        fail_next: when set, the next pass raises `PredictionFailed` with this text.
        agreement: what the mirror images pretend to agree by.
    """

    def __init__(self, *, version: int = 0, passes: int = 4, agreement: float = 0.9) -> None:
        self.version = version
        self.fail_next = ""
        self.agreement = agreement
        self._passes = passes

    def begin(self, image: Image) -> FakeSuggesting:
        """Start on an image; raises as a session does for one that it refuses."""
        return FakeSuggesting(self, np.array(usable_voxels(image), np.float32), self._passes)


class FakeSuggesting:
    """The pretended work on one image."""

    def __init__(self, owner: FakeSuggester, voxels: npt.NDArray[np.float32], passes: int) -> None:
        self._owner, self._voxels, self._passes = owner, voxels, passes
        self._done = 0
        self._version = owner.version

    @property
    def progress(self) -> tuple[int, int]:
        """Passes done, and how many there are."""
        return self._done, self._passes

    def step(self) -> bool:
        """Pretend one pass; True once there is an answer."""
        if self._done == self._passes:
            return True
        if self._owner.fail_next:
            message, self._owner.fail_next = self._owner.fail_next, ""
            raise PredictionFailed(message)
        if self._done == 0:
            self._version = self._owner.version
        if self._version != self._owner.version:
            raise SuggestionStopped("The weights changed while the image was looked at; begin again.")
        self._done += 1
        return self._done == self._passes

    def answer(self) -> WholeImageAnswer:
        """The mask: what is brighter than the mean by so many standard deviations."""
        if self._done < self._passes:
            raise SuggestionStopped("The image was not looked at to the end; take the other steps first.")
        above = (self._voxels - self._voxels.mean()) / self._voxels.std() - 1.5 / (1 + 0.1 * self._version)
        foreground = np.clip(128 + 127 * above, 0, 255).astype(np.uint8)
        mask = (foreground > 127).astype(np.uint8)
        mask.flags.writeable = False
        return WholeImageAnswer(mask, foreground, self._owner.agreement, self._version, self._passes, 0.0)
