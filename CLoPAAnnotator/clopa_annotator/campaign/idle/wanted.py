"""Which suggestions were asked for, how far that is, and what was passed over."""

from __future__ import annotations

import threading

from clopa_annotator.campaign.idle.coming import ComingSlot
from clopa_annotator.types import Subject
from clopa_annotator.wire.suggestion_messages import SuggestionPhase, SuggestionState

_MOST_TOLD = 50


class WantedSuggestions:
    """A person's wish for all suggestions, and the cases that none could be made for; thread-safe."""

    def __init__(self) -> None:
        """Only the next cases' are wanted."""
        self._mutex = threading.Lock()
        self._all, self._total, self._left = False, 0, 0
        self._passed_over: dict[tuple[Subject, int, str], str] = {}

    @property
    def is_all(self) -> bool:
        """Whether all open cases are to have one."""
        return self._all

    def all(self) -> None:
        """All are wanted from now on; what was passed over is tried again."""
        with self._mutex:
            self._passed_over.clear()
            self._all, self._total, self._left = True, 0, -1

    def cancel(self) -> None:
        """No longer."""
        with self._mutex:
            self._all = False

    def left(self, count: int) -> bool:
        """So many are still to be made; whether that is news for somebody who waits for all."""
        with self._mutex:
            if not self._all:
                return False
            news = count != self._left
            self._left, self._total = count, max(self._total, count)
            if count == 0:
                self._all, news = False, True
            return news

    def pass_over(self, coming: ComingSlot, version: int, reason: str) -> None:
        """None could be made with this version; tried again with another one, or with another image."""
        with self._mutex:
            self._passed_over[coming.subject, version, coming.image_hash] = reason

    def is_passed_over(self, coming: ComingSlot, version: int) -> bool:
        """Whether it was."""
        return (coming.subject, version, coming.image_hash) in self._passed_over

    def again(self, case_id: str) -> None:
        """A case's image was sent again: it may be whole now."""
        with self._mutex:
            self._passed_over = {k: v for k, v in self._passed_over.items() if k[0].case_id != case_id}

    def state(
        self, ready: int, waiting: int, *, off: str, full: str, working: str, is_held: bool
    ) -> SuggestionState:
        """What is being done.

        Args:
            ready: targets that have a suggestion to show.
            waiting: targets that have none.
            off: why none are made, in words; empty if they are.
            full: why the disk takes none; empty if it does.
            working: the case that is being looked at; empty for none.
            is_held: somebody clicks, or an episode trains.
        """
        with self._mutex:
            over = {subject.case_id: reason for (subject, _, _), reason in self._passed_over.items()}
            wanted, total, left = self._all, self._total, max(self._left, 0)
        phase, sentence = _in_words(off, full, working, is_held and (wanted or bool(working)))
        if wanted and phase in ("working", "waiting", "at rest"):
            sentence = f"{total - left} of {total} done. {sentence}"
        return SuggestionState(
            phase, sentence, ready, waiting, wanted, total - left, total,
            tuple(sorted(over.items()))[:_MOST_TOLD], not off,
        )  # fmt: skip


def _in_words(off: str, full: str, working: str, is_held: bool) -> tuple[SuggestionPhase, str]:
    if off:
        return "off", off
    if full:
        return "stopped", f"Suggestions stop until there is room; confirming goes on. {full}"
    if is_held:
        return "waiting", "Suggestions wait while somebody clicks or an episode trains."
    if working:
        return "working", f"Looking at {working}."
    return "at rest", "Suggestions are made while nobody clicks."
