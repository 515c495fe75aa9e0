"""What a client's calls do on its ordered lane: one open case, one remote session, one spool."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from clopa_annotator.cache.format.images import prepare
from clopa_annotator.client.event_follower import Heartbeat
from clopa_annotator.client.remote_session import RemoteSession
from clopa_annotator.client.transport import Transport
from clopa_annotator.client.undelivered import (
    UndeliveredConfirmation,
    UndeliveredConfirmations,
    confirmation_message,
)
from clopa_annotator.errors import (
    ClopaError,
    ConfirmationConflict,
    EngineError,
    EngineUnreachable,
    InputError,
    NoImage,
    UnknownCase,
    VersionMismatch,
)
from clopa_annotator.geometry import BoundsKji, bounding_box, union_box
from clopa_annotator.session.checks import usable_voxels
from clopa_annotator.types import (
    CaseRef,
    Confirmation,
    Event,
    Image,
    Mask,
    MaskPrompt,
    Prompt,
    PromptKind,
    Proposal,
)
from clopa_annotator.wire import codec
from clopa_annotator.wire.messages import (
    API_VERSION,
    Answer,
    CaseRow,
    Draft,
    EngineInfo,
    LearningState,
    OpenedCase,
)
from clopa_annotator.wire.session_messages import geometry_to_wire

logger = logging.getLogger(__name__)

T = TypeVar("T")

FOR_GOOD = (InputError, UnknownCase, ConfirmationConflict)
"""Answers to a confirmation that no repetition will change."""
KEPT = (
    "The engine does not answer. The confirmation is kept on this computer and will be delivered, once, when "
    "the engine is back."
)


class ClientOperations:
    """Synchronous; used from one thread, except `table` and `steer`, which only read."""

    def __init__(self, transport: Transport, spool_folder: Path) -> None:
        """Nothing is sent yet."""
        self._transport, self._spool_folder = transport, spool_folder
        self._info: EngineInfo | None = None
        self._session: RemoteSession | None = None
        self._case: str | None = None
        self._based_on: dict[str, int] = {}
        self._missed: BoundsKji | None = None
        self._beat: Heartbeat | None = None
        self.last_event = 0
        self.owes = False
        """Whether a kept confirmation waits for delivery, as far as is known."""

    # -- greeting ------------------------------------------------------------------------------------------

    def hello(self) -> EngineInfo:
        """Ask who answers.

        Raises:
            VersionMismatch: engine and client do not understand each other.
        """
        row, _ = self._transport.exchange("hello", {})
        info = codec.info_from_wire(row.get("engine"))
        if info.api_version != API_VERSION:
            raise VersionMismatch(
                f"The engine speaks version {info.api_version} of the interface, this client {API_VERSION}; "
                "update the older one of the two."
            )
        self.last_event = int(row.get("last_event", 0))
        self._info = info
        return info

    def _known(self) -> EngineInfo:
        return self._info or self.hello()

    # -- cases ---------------------------------------------------------------------------------------------

    def add(self, case_id: str, image: Image, source: str) -> CaseRow:
        """Upload a case's image, unless the campaign has it."""
        usable_voxels(image)
        voxels, _ = prepare(image)
        meta = {"case_id": case_id, "geometry": geometry_to_wire(image.geometry), "source": source}
        row, _ = self._transport.exchange("cases/add", meta, {"image": voxels})
        return codec.case_row_from_wire(row["case"])

    def open(self, case_id: str, image: Image, source: str) -> OpenedCase:
        """Take a case, open a session on its image, restore what was there."""
        usable_voxels(image)
        if self._case is not None and self._case != case_id:
            self._give_back(self._case)
        self._case = None
        taken, arrays = self._take(case_id, image, source)
        if self._session is None:
            self._session = RemoteSession(self._transport)
        session = self._session
        session.open_case(case_id, image.geometry.shape_kji)
        self._case = case_id
        self._keep_alive(case_id)
        draft = codec.draft_from_wire(taken["draft"], arrays) if taken.get("draft") else None
        confirmed = codec.ref_from_wire(taken["confirmed"]) if taken.get("confirmed") else None
        self._based_on[case_id] = confirmed.case_version if confirmed else 0
        proposal = self._restore(session, draft, arrays.get("confirmed"))
        self._missed = None
        return OpenedCase(
            codec.case_row_from_wire(taken["case"]), self._answer(session, proposal), draft, confirmed
        )

    def _take(self, case_id: str, image: Image, source: str) -> tuple[dict[str, Any], dict[str, Any]]:
        meta = {"case_id": case_id, "image_hash": prepare(image)[1]}
        try:
            return self._transport.exchange("cases/take", meta)
        except UnknownCase:
            self.add(case_id, image, source)
            return self._transport.exchange("cases/take", meta)

    def _restore(self, session: RemoteSession, draft: Draft | None, confirmed: Mask | None) -> Proposal:
        mask = draft.mask if draft is not None else confirmed
        if mask is None or not mask.any() or PromptKind.MASK not in session.supported:
            return session.proposal
        proposal = session.add_prompt(MaskPrompt(mask))
        return replace(proposal, changed_kji=bounding_box(proposal.mask))

    def leave(self) -> None:
        """Give the open case back."""
        if self._beat is not None:
            self._beat.stop()
            self._beat = None
        if self._session is not None:
            self._session.close()
        case, self._case = self._case, None
        if case is not None:
            self._transport.exchange("cases/leave", {"case_id": case})

    def leave_quietly(self) -> None:
        """Give the open case back, if the engine can be reached."""
        try:
            self.leave()
        except ClopaError as error:
            logger.info("The case could not be given back; its lease will run out: %s", error)

    def _give_back(self, case_id: str) -> None:
        self._transport.exchange("cases/leave", {"case_id": case_id})

    def _keep_alive(self, case_id: str) -> None:
        if self._beat is not None:
            self._beat.stop()
        self._beat = Heartbeat(self._transport, self._session, case_id)

    def mark(self, action: str, case_id: str, reason: str) -> CaseRow:
        """Skip, reopen, withdraw or flag."""
        row, _ = self._transport.exchange(f"cases/{action}", {"case_id": case_id, "reason": reason})
        return codec.case_row_from_wire(row["case"])

    # -- the open case -------------------------------------------------------------------------------------

    def _opened(self) -> RemoteSession:
        if self._session is None or self._case is None:
            raise NoImage("Open a case first; there is no image to segment.")
        return self._session

    def add_prompts(self, prompts: tuple[Prompt, ...]) -> Answer:
        """Predict."""
        return self._stepped(lambda session: session.add_prompts(prompts))

    def undo(self) -> Answer:
        """Go back."""
        return self._stepped(lambda session: session.undo())

    def redo(self) -> Answer:
        """Go forth."""
        return self._stepped(lambda session: session.redo())

    def reset(self) -> Answer:
        """Forget all prompts."""
        return self._stepped(lambda session: session.reset())

    def _stepped(self, step: Callable[[RemoteSession], Proposal]) -> Answer:
        session = self._opened()
        proposal = step(session)
        wider = replace(proposal, changed_kji=union_box(self._missed, proposal.changed_kji))
        return self._answer(session, wider)

    def delivered(self, reached: bool, answer: Answer) -> None:
        """Whether an answer reached whoever asked; if not, the next one tells its changes too."""
        self._missed = None if reached else answer.proposal.changed_kji

    def _answer(self, session: RemoteSession, proposal: Proposal) -> Answer:
        return Answer(proposal, session.can_undo, session.can_redo, len(session.prompts))

    def save_draft(self, draft: Draft) -> None:
        """Keep unconfirmed work."""
        if self._case is None:
            raise NoImage("Open a case first; there is nothing to keep a draft of.")
        meta, arrays = codec.draft_to_wire(draft)
        self._transport.exchange("drafts/save", {**meta, "case_id": self._case}, arrays)

    # -- confirming ----------------------------------------------------------------------------------------

    def confirm(self, confirmation: Confirmation) -> CaseRef:
        """UndeliveredConfirmations, deliver, forget.

        Raises:
            EngineUnreachable: kept; it will be delivered later.
        """
        spool = UndeliveredConfirmations(self._spool_folder, self._known().campaign_id)
        based_on = self._based_on.get(confirmation.case_id)
        message = confirmation_message(confirmation, based_on)
        path = spool.put(confirmation.confirmation_id, message)
        try:
            ref = self._send(message)
        except EngineUnreachable as error:
            self.owes = True
            raise EngineUnreachable(KEPT) from error
        except ClopaError:
            # The engine has looked at it and refused: the person is told and decides.
            spool.remove(path)
            raise
        spool.remove(path)
        self._based_on[confirmation.case_id] = ref.case_version
        return ref

    def deliver_spooled(self) -> list[Event]:
        """Deliver what was kept; what the engine refuses for good is put aside with its reason logged.

        A full disk, a changed token or an engine that is busy is not for good: then all of it waits on.
        """
        told: list[Event] = []
        spool = UndeliveredConfirmations(self._spool_folder, self._known().campaign_id)
        self.owes = False
        for kept in spool.waiting():
            try:
                self._send(kept.body())
            except FOR_GOOD as error:
                told.append(self._refused(kept, error))
                continue
            except ClopaError as error:
                self.owes = True
                logger.info("A kept confirmation waits on: %s", error)
                break
            spool.remove(kept.path)
            logger.info("A kept confirmation was delivered")
        return told

    def _refused(self, kept: UndeliveredConfirmation, error: ClopaError) -> Event:
        logger.error("A kept confirmation was refused and is put aside: %s", error)
        kept.path.replace(kept.path.with_suffix(".refused"))
        return Event(0, "confirmation_refused", {"case_id": kept.case_id, "reason": str(error)})

    def _send(self, message: bytes) -> CaseRef:
        row, _ = self._transport.send("confirm", message, "application/octet-stream")
        return codec.ref_from_wire(row["ref"])

    # -- reading -------------------------------------------------------------------------------------------

    def table(self, path: str, key: str, read: Callable[[Any], T]) -> tuple[T, ...]:
        """A list that the engine keeps."""
        row, _ = self._transport.exchange(path, {})
        if not isinstance(row.get(key), list):
            raise EngineError("The engine's answer cannot be understood; update the older of the two.")
        return tuple(read(item) for item in row[key])

    def steer(self, path: str, meta: Mapping[str, Any]) -> LearningState:
        """Something about learning; answered with its state."""
        row, _ = self._transport.exchange(path, meta)
        return codec.learning_from_wire(row["learning"])

    def export(self, format: str, folder: str) -> str:
        """The folder written."""
        row, _ = self._transport.exchange("export", {"format": format, "folder": folder})
        return str(row["folder"])
