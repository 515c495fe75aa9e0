"""Keeping unconfirmed work with the engine, a moment after each change."""

from __future__ import annotations

from clopa_annotator.errors import ClopaError, EngineUnreachable, SessionExpired
from clopa_annotator.types import Slot
from clopa_annotator.wire.messages import Draft
from CLoPAAnnotatorLib.annotation.OpenCase import OpenCase

DRAFT_AFTER_S, RETRY_AFTER_S = 0.3, 5.0


class DraftKeeper:
    """Saves the drafts of the open case's slots when they are due and nothing stands in the way."""

    def __init__(self, session: OpenCase) -> None:
        self._session = session
        self._due: dict[Slot, float] = {}

    def changed(self, slot: Slot) -> None:
        """The screen has changed: save it soon, with what may follow at once."""
        self._due.setdefault(slot, self._session.clock.now() + DRAFT_AFTER_S)

    def now(self, slot: Slot) -> None:
        """Save it with the next tick."""
        self._due[slot] = self._session.clock.now()

    def forget(self, slot: Slot) -> None:
        """There is nothing to save any more."""
        self._due.pop(slot, None)

    def forgetAll(self) -> None:
        """The case was left."""
        self._due.clear()

    def tick(self) -> None:
        """To be called often: saves what is due."""
        now = self._session.clock.now()
        for slot in [slot for slot, due in self._due.items() if now >= due]:
            self._save(slot)

    def save(self) -> None:
        """Save what has changed and not been saved, without waiting for its moment."""
        for slot in tuple(self._due):
            self._save(slot)

    def _save(self, slot: Slot) -> None:
        session = self._session
        work = session.works.get(slot)
        if not session.isOpen or session.client is None or work is None or work.decision.isUnderWay:
            return
        if not work.isShown:
            return  # edited by hand before the engine was asked for its prompts
        del self._due[slot]
        prompts = tuple(given.timed for given in work.history.prompts)
        mask = session.view.currentMask(slot)
        draft = Draft(mask, prompts, round(session.secondsOf(slot), 3), suggestion=work.useOf(mask))
        case = session.caseId
        session.client.save_draft(draft, slot).then(on_error=lambda error: self._refused(case, slot, error))

    def _refused(self, case: str, slot: Slot, error: ClopaError) -> None:
        """Tell it, and try again: a disk that is full may have room soon. A lost engine is told when back."""
        session = self._session
        session.failed(error)
        isLost = isinstance(error, EngineUnreachable | SessionExpired)
        if slot not in self._due and session.caseId == case and not isLost:
            self._due[slot] = session.clock.now() + RETRY_AFTER_S
