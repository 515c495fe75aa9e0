"""Delivering confirmations: written to the annotator's own disk first, forgotten once the engine has them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from clopa_annotator.client.transport import Transport
from clopa_annotator.client.undelivered import (
    UndeliveredConfirmation,
    UndeliveredConfirmations,
    confirmation_message,
    put_aside,
)
from clopa_annotator.errors import (
    AcceptedCase,
    ClopaError,
    ConfirmationConflict,
    EngineUnreachable,
    InputError,
    UnknownCase,
    VersionMismatch,
)
from clopa_annotator.types import CaseRef, Confirmation, Event
from clopa_annotator.wire import codec

logger = logging.getLogger(__name__)

FOR_GOOD = (InputError, UnknownCase, ConfirmationConflict, AcceptedCase)
"""Answers to a confirmation that no repetition will change."""
KEPT = (
    "The engine does not answer. The confirmation is kept on this computer and will be delivered, once, when "
    "the engine is back."
)


class Deliveries:
    """The confirmations of one annotator on their way to one engine."""

    def __init__(self, transport: Transport, kept_folder: Path, campaign_id: Callable[[], str]) -> None:
        """Nothing is sent yet; ``campaign_id`` asks the engine which campaign it has."""
        self._transport, self._folder, self._campaign_id = transport, kept_folder, campaign_id
        self.owes = False
        """Whether a kept confirmation waits for delivery, as far as is known."""

    def confirm(self, confirmation: Confirmation, based_on: int | None) -> CaseRef:
        """Keep on disk, deliver, forget.

        Raises:
            EngineUnreachable: kept; it will be delivered later.
        """
        undelivered = UndeliveredConfirmations(self._folder, self._campaign_id())
        message = confirmation_message(confirmation, based_on)
        path = undelivered.put(confirmation.confirmation_id, message)
        try:
            ref = self._send(message)
        except (EngineUnreachable, VersionMismatch) as error:
            # Nobody answers, or no engine does: it has not been looked at.
            self.owes = True
            raise EngineUnreachable(KEPT) from error
        except ClopaError:
            # The engine has looked at it and refused: the person is told and decides.
            undelivered.remove(path)
            raise
        undelivered.remove(path)
        return ref

    def deliver_kept(self) -> list[Event]:
        """Deliver what was kept; what the engine refuses for good is put aside with its reason logged.

        A full disk, a changed token or an engine that is busy is not for good: then all of it waits on.
        """
        told: list[Event] = []
        undelivered = UndeliveredConfirmations(self._folder, self._campaign_id())
        self.owes = False
        for kept in undelivered.waiting():
            try:
                self._send(kept.body())
            except FOR_GOOD as error:
                told.append(self._refused(kept, error))
                continue
            except ClopaError as error:
                self.owes = True
                logger.info("A kept confirmation waits on: %s", error)
                break
            undelivered.remove(kept.path)
            logger.info("A kept confirmation was delivered")
        return told

    def _refused(self, kept: UndeliveredConfirmation, error: ClopaError) -> Event:
        logger.error("A kept confirmation was refused and is put aside: %s", error)
        put_aside(kept.path, ".refused")
        return Event(0, "confirmation_refused", {"case_id": kept.case_id, "reason": str(error)})

    def _send(self, message: bytes) -> CaseRef:
        row, _ = self._transport.send("confirm", message, "application/octet-stream")
        return codec.ref_from_wire(row["ref"])
