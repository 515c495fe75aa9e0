"""Makes one suggestion, pass by pass, as long as it is wanted and nobody clicks."""

from __future__ import annotations

import threading
from collections.abc import Callable

from clopa_annotator.campaign.idle.coming import ComingSlot
from clopa_annotator.campaign.idle.surroundings import Surroundings
from clopa_annotator.campaign.prediction import LineVersion
from clopa_annotator.errors import CacheError
from clopa_annotator.session.suggesting import PassGivenUp, Suggesting
from clopa_annotator.suggestions.scores import scores_of
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import Image, Suggestion


class Abandoned(Exception):
    """What is being made is not wanted any more, or has to wait; nothing of it is kept."""


class SuggestionMaker:
    """Used from one thread; holds one image at a time."""

    def __init__(
        self,
        around: Surroundings,
        folder: SuggestionFolder,
        quiet_s: float,
        off: Callable[[], str],
        stop: threading.Event,
    ) -> None:
        """Nothing is made yet.

        Args:
            around: see `Surroundings`.
            folder: where suggestions are kept.
            quiet_s: seconds without a click before the next pass.
            off: why no suggestions are to be made any more; empty if they are.
            stop: set when the engine ends.
        """
        self._around, self._folder = around, folder
        self._quiet_s, self._off, self._stop = quiet_s, off, stop

    def make(self, coming: ComingSlot) -> Suggestion:
        """Look at a case and keep what is found.

        Raises:
            Abandoned: the case was begun, the version is not in use any more, an episode trains, or the
                engine ends.
            SuggestionStopped: the weights changed in between.
            InputError: a session would refuse the image.
            PredictionFailed: the network's answer cannot be used.
            CacheError: the image is gone or damaged, or the suggestion could not be kept (`StorageFull`).
        """
        weights = self._around.in_use(coming.slot.target)
        work = self._around.suggester().begin(self._image_of(coming))
        while not self._step(weights, work):
            self._require_wanted(coming, weights)
        answer = work.answer()
        self._require_wanted(coming, weights)
        made = Suggestion(
            coming.subject, answer.mask, answer.weights_version, scores_of(answer), answer.seconds
        )
        return self._folder.keep(made)

    def _image_of(self, coming: ComingSlot) -> Image:
        try:
            return self._around.store.read_image(coming.image_hash)
        except CacheError as error:
            raise CacheError(f"The image is not to be had any more: {error}") from error

    def _step(self, weights: LineVersion, work: Suggesting) -> bool:
        """One pass, once nobody has clicked for a moment."""
        while (left := self._quiet_s - self._around.quiet_s) > 0:
            self._require_time()
            self._stop.wait(max(left, 0.01))
        self._require_time()
        try:
            return self._around.spare(weights, work.step)
        except PassGivenUp:
            return False

    def _require_time(self) -> None:
        if self._stop.is_set() or self._around.is_training or self._off():
            raise Abandoned("there is something else to do")

    def _require_wanted(self, coming: ComingSlot, weights: LineVersion) -> None:
        self._require_time()
        around = self._around
        if around.in_use(coming.slot.target) != weights:
            raise Abandoned("another version is in use")
        row = around.store.case(coming.case_id).slot(coming.slot)
        held = around.leases.holder(coming.case_id, coming.slot) is not None
        if held or row.is_decided or row.has_draft or row.versions:
            raise Abandoned("somebody has begun")
