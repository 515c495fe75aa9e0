"""Declaring one target of the open case right: what is sent, and what may be said when."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import numpy as np

from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import AcceptedCase, ClopaError, EngineUnreachable, SessionExpired
from clopa_annotator.types import CaseRef, Confirmation, Mask
from CLoPAAnnotatorLib.annotation.OpenCase import OpenCase, Work
from CLoPAAnnotatorLib.annotation.PromptHistory import diceOf
from CLoPAAnnotatorLib.Texts import tr

Done = Callable[[CaseRef], None]


class Decision:
    """One slot's confirmation. "Confirmed" holds only once the engine has answered with the record's hash.

    Attributes:
        isUnderWay: whether it was sent and not answered.
        isConfirmed: whether what is on the screen is stored as it is.
    """

    def __init__(self, session: OpenCase, work: Work) -> None:
        self._session, self._work = session, work
        self.isUnderWay = self.isConfirmed = False
        self._wasMade = self._isEmptyTold = self._isAcceptedTold = False

    def revoke(self) -> None:
        """What is on the screen has changed."""
        self.isConfirmed = self._wasMade = self._isEmptyTold = False

    def resumed(self, isStored: bool) -> None:
        """The engine is back; ``isStored`` says whether it holds what is on the screen as a record."""
        self.isUnderWay = False
        self.isConfirmed = self._wasMade and isStored

    def confirm(
        self, client: EngineClient, annotator: str, note: str, done: Done | None, *, isAbsent: bool = False
    ) -> None:
        """Send what is on the screen; an empty mask is asked about first, unless ``isAbsent`` says it all."""
        session, slot = self._session, self._work.slot
        mask = session.view.currentMask(slot)
        if not isAbsent and not self._isEmptyTold and not np.count_nonzero(mask):
            self._isEmptyTold = True
            session.view.say(tr("Nothing is marked. Confirm again if this image holds no target."), "warning")
            return
        self.isUnderWay = self._wasMade = True
        session.drafts.forget(slot)

        def confirmed(ref: CaseRef) -> None:
            self.isUnderWay, self.isConfirmed, self._isAcceptedTold = False, True, False
            session.view.caseConfirmed(ref, isAbsent=not np.count_nonzero(mask))
            session.view.showBusy()
            if done is not None:
                done(ref)

        def failed(error: ClopaError) -> None:
            self.isUnderWay = False
            # Whoever confirms once more, having been told, replaces what a reviewer has accepted.
            self._isAcceptedTold = isinstance(error, AcceptedCase)
            if not isinstance(error, EngineUnreachable | SessionExpired):
                session.drafts.now(slot)  # an engine that went away is given it when it is back
            session.failed(error)

        confirmation = self._confirmation(mask, annotator, note)
        client.confirm(confirmation).then(session.whileOpen(confirmed), session.whileOpen(failed))
        session.view.showBusy()

    def _confirmation(self, mask: Mask, annotator: str, note: str) -> Confirmation:
        session, work = self._session, self._work
        first = None if work.firstShown is None else diceOf(work.firstShown, mask)
        prompts = tuple(given.timed for given in work.history.prompts)
        seconds = round(session.secondsOf(work.slot), 3)
        return Confirmation(
            uuid.uuid4().hex, session.caseId, mask, prompts, annotator, seconds,
            work.weightsVersion, first, note, slot=work.slot, suggestion=work.useOf(mask),
            replaces_accepted=self._isAcceptedTold,
        )  # fmt: skip
