"""Keeping unconfirmed work with the engine, a moment after each change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clopa_annotator.wire.messages import Draft

if TYPE_CHECKING:
    from CLoPAAnnotatorLib.annotation.AnnotationSession import AnnotationSession

DRAFT_AFTER_S = 0.3


class DraftKeeper:
    """Saves the open case's draft when it is due and nothing stands in the way."""

    def __init__(self, session: AnnotationSession) -> None:
        self._session = session
        self._due: float | None = None

    def changed(self) -> None:
        """The screen has changed: save it soon, with what may follow at once."""
        if self._due is None:
            self._due = self._session.clock.now() + DRAFT_AFTER_S

    def now(self) -> None:
        """Save it with the next tick."""
        self._due = self._session.clock.now()

    def forget(self) -> None:
        """There is nothing to save any more."""
        self._due = None

    def tick(self) -> None:
        """To be called often: saves what is due."""
        if self._due is not None and self._session.clock.now() >= self._due:
            self.save()

    def save(self) -> None:
        """Save what has changed and not been saved, without waiting for its moment."""
        session = self._session
        if self._due is None or not session.isOpen or session.isConfirming or session.client is None:
            return
        self._due = None
        prompts = tuple(given.timed for given in session.answered)
        draft = Draft(session.view.currentMask(), prompts, round(session.clock.seconds, 3))
        session.client.save_draft(draft).then(on_error=session.failed)
