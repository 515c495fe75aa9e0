"""Declaring the open case right: what is sent, and what may be said when."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import ClopaError, EngineUnreachable, SessionExpired
from clopa_annotator.types import CaseRef, Confirmation, Mask
from CLoPAAnnotatorLib.annotation.PromptHistory import diceOf
from CLoPAAnnotatorLib.Texts import tr

if TYPE_CHECKING:
    from CLoPAAnnotatorLib.annotation.AnnotationSession import AnnotationSession


class Decision:
    """One case's confirmation. "Confirmed" holds only once the engine has answered with the record's hash.

    Attributes:
        isUnderWay: whether it was sent and not answered.
        isConfirmed: whether what is on the screen is stored as it is.
    """

    def __init__(self, session: AnnotationSession) -> None:
        self._session = session
        self.isUnderWay = self.isConfirmed = False
        self._wasMade = self._isEmptyTold = False

    def revoke(self) -> None:
        """What is on the screen has changed."""
        self.isConfirmed = self._wasMade = self._isEmptyTold = False

    def resumed(self, isStored: bool) -> None:
        """The engine is back; ``isStored`` says whether it holds what is on the screen as a record."""
        self.isUnderWay = False
        self.isConfirmed = self._wasMade and isStored

    def confirm(
        self, client: EngineClient, annotator: str, note: str, done: Callable[[CaseRef], None] | None
    ) -> None:
        """Send what is on the screen; an empty mask is asked about first."""
        session = self._session
        mask = session.view.currentMask()
        if not self._isEmptyTold and not np.count_nonzero(mask):
            self._isEmptyTold = True
            session.view.say(tr("Nothing is marked. Confirm again if this image holds no target."), "warning")
            return
        self.isUnderWay = self._wasMade = True
        session.drafts.forget()

        def confirmed(ref: CaseRef) -> None:
            self.isUnderWay, self.isConfirmed = False, True
            session.view.caseConfirmed(ref)
            session.view.showBusy()
            if done is not None:
                done(ref)

        def failed(error: ClopaError) -> None:
            self.isUnderWay = False
            if not isinstance(error, EngineUnreachable | SessionExpired):
                session.drafts.now()  # an engine that went away is given it when it is back
            session.failed(error)

        confirmation = self._confirmation(mask, annotator, note)
        client.confirm(confirmation).then(session.whileOpen(confirmed), session.whileOpen(failed))
        session.view.showBusy()

    def _confirmation(self, mask: Mask, annotator: str, note: str) -> Confirmation:
        session = self._session
        first = None if session.firstShown is None else diceOf(session.firstShown, mask)
        prompts = tuple(given.timed for given in session.answered)
        return Confirmation(
            uuid.uuid4().hex, session.caseId, mask, prompts, annotator, round(session.clock.seconds, 3),
            session.weightsVersion, first, note,
        )  # fmt: skip
