"""Which suggestions are ready, without their masks, and how good each is expected to be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from clopa_annotator.suggestions.calibration import Calibration
from clopa_annotator.suggestions.campaign_past import may_be_shown
from clopa_annotator.suggestions.scores import certainty
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import Expectation, Subject, SuggestionHead


class ReadySuggestions:
    """What lies in the folder; thread-safe."""

    def __init__(self, folder: SuggestionFolder, calibration: Callable[[str], Calibration]) -> None:
        """Nothing is read before it is asked for.

        Args:
            folder: the campaign's.
            calibration: of a target, by its key; reads what confirmed cases told.
        """
        self._folder, self._read = folder, calibration
        self._mutex = threading.RLock()
        self._known: dict[Subject, SuggestionHead] | None = None
        self._calibrations: dict[str, Calibration] = {}
        self._expected: dict[Subject, Expectation] = {}
        self._told: dict[str, dict[int, float]] = {}

    def get(self, subject: Subject) -> SuggestionHead | None:
        """What is kept about a subject, by whatever version."""
        with self._mutex:
            return self._table().get(subject)

    def shown(self, subject: Subject, version_in_use: int) -> tuple[SuggestionHead, Expectation] | None:
        """A suggestion that may be shown, with how good it is expected to be.

        None if there is none, if another version has made it (a rolled back or an older one), or if the base
        model made it and confirmed cases have not proved that able.
        """
        with self._mutex:
            kept = self._table().get(subject)
            if kept is None or kept.weights_version != version_in_use:
                return None
            expected = self._expectation(kept)
            return (kept, expected) if may_be_shown(kept.weights_version, expected) else None

    def note(self, kept: SuggestionHead) -> None:
        """A suggestion was kept."""
        with self._mutex:
            self._table()[kept.subject] = kept
            self._expected.pop(kept.subject, None)

    def gone(self, subject: Subject) -> None:
        """A suggestion is not there any more: it was damaged, say."""
        with self._mutex:
            self._table().pop(subject, None)
            self._expected.pop(subject, None)

    def learned(self) -> None:
        """What confirmed cases tell has changed."""
        with self._mutex:
            self._calibrations.clear()
            self._told.clear()
            self._expected.clear()

    def told(self, target: str) -> Mapping[int, float]:
        """Dice of the suggestions of confirmed cases, by the number of the confirmation."""
        with self._mutex:
            if target not in self._told:
                self._told[target] = {o.sequence: o.dice for o in self._folder.outcomes(target)}
            return self._told[target]

    def _table(self) -> dict[Subject, SuggestionHead]:
        if self._known is None:
            self._known = {kept.subject: kept for kept in self._folder.heads()}
        return self._known

    def _expectation(self, kept: SuggestionHead) -> Expectation:
        if kept.subject not in self._expected:
            target = kept.subject.target
            if target not in self._calibrations:
                self._calibrations[target] = self._read(target)
            expected = self._calibrations[target].expect(certainty(kept.scores), kept.weights_version)
            self._expected[kept.subject] = expected
        return self._expected[kept.subject]
