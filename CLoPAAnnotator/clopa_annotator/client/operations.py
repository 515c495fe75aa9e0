"""What a client's calls do, in order: one open case, one session, confirmations kept until delivered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from clopa_annotator.cache.format.images import prepare
from clopa_annotator.case_order import CaseSettings
from clopa_annotator.client.deliveries import Deliveries
from clopa_annotator.client.event_follower import Heartbeat
from clopa_annotator.client.remote_session import RemoteSession
from clopa_annotator.client.transport import Transport
from clopa_annotator.errors import (
    ClopaError,
    GeometryError,
    NoImage,
    NotAnEngine,
    UnknownCase,
    VersionMismatch,
)
from clopa_annotator.geometry import BoundsKji, bounding_box, union_box
from clopa_annotator.session.checks import usable_voxels
from clopa_annotator.types import (
    CaseRef,
    Confirmation,
    Image,
    Mask,
    MaskPrompt,
    Prompt,
    PromptKind,
    Proposal,
    Slot,
    Targets,
)
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire import codec
from clopa_annotator.wire.learning_messages import LearningState
from clopa_annotator.wire.messages import API_VERSION, Answer, CaseRow, Draft, EngineInfo, OpenedCase
from clopa_annotator.wire.review_messages import review_row_from_wire
from clopa_annotator.wire.session_messages import geometry_to_wire
from clopa_annotator.wire.suggestion_messages import SuggestionState, state_from_wire, suggested_from_wire

logger = logging.getLogger(__name__)

T = TypeVar("T")


class ClientOperations:
    """Synchronous; used from one thread, except `table` and `steer`, which only read."""

    def __init__(self, transport: Transport, kept_folder: Path) -> None:
        """Nothing is sent yet."""
        self._transport = transport
        self.deliveries = Deliveries(transport, kept_folder, lambda: self._known().campaign_id)
        self._info: EngineInfo | None = None
        self._session: RemoteSession | None = None
        self._case: str | None = None
        self._slot = FIRST
        self._based_on: dict[tuple[str, Slot], int] = {}
        self._missed: BoundsKji | None = None
        self._beat: Heartbeat | None = None
        self.last_event = 0

    # -- greeting ------------------------------------------------------------------------------------------

    def hello(self) -> EngineInfo:
        """Ask who answers.

        Raises:
            VersionMismatch: engine and client do not understand each other.
        """
        row, _ = self._transport.exchange("hello", {})
        info = codec.info_from_wire(row["engine"])
        if info.api_version != API_VERSION:
            raise VersionMismatch(
                f"The engine speaks version {info.api_version} of the interface, this client {API_VERSION}; "
                "update the older one of the two."
            )
        self.last_event = int(row.get("last_event", 0))
        self._info = info
        return info

    def set_targets(self, targets: Targets) -> EngineInfo:
        """Say what the campaign segments."""
        self._transport.exchange("targets/set", {"targets": codec.targets_to_wire(targets)})
        return self.hello()

    def set_case_settings(self, settings: CaseSettings) -> EngineInfo:
        """Say how cases come to annotators."""
        self._transport.exchange("cases/settings", {"settings": asdict(settings)})
        return self.hello()

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

    def open(self, case_id: str, image: Image, source: str, slot: Slot | None = None) -> OpenedCase:
        """Take a target of a case, open a session on its image, restore what was there."""
        usable_voxels(image)
        if slot is not None:
            Targets(self._known().targets).of(slot)
        if self._case is not None and self._case != case_id:
            self._give_back(self._case, self._slot)
        before, self._case = self._case, None
        taken, arrays = self._take(case_id, image, source, slot)
        chosen = codec.slot_from_wire(taken.get("slot"))
        if before == case_id and chosen != self._slot:
            self._give_back(case_id, self._slot)
        if self._session is None:
            self._session = RemoteSession(self._transport)
        self._session.open_case(case_id, image.geometry.shape_kji, chosen)
        self._case, self._slot = case_id, chosen
        return self._opened_case(taken, arrays, kept=False)

    def choose(self, slot: Slot) -> OpenedCase:
        """Go on with another target of the open case."""
        session, case_id, before = self._opened(), str(self._case), self._slot
        taken, arrays = self._exchange_take({"case_id": case_id, "slot": codec.slot_to_wire(slot)})
        try:
            kept = session.choose(slot)
        except BaseException:
            if slot != before:
                self._give_back(case_id, slot)
            raise
        self._slot = slot
        if slot != before:
            self._give_back(case_id, before)
        return self._opened_case(taken, arrays, kept)

    def _opened_case(self, taken: Mapping[str, Any], arrays: Mapping[str, Any], kept: bool) -> OpenedCase:
        """What is known of the chosen target, with its work restored unless the session has ``kept`` it."""
        session, case_id = self._opened(), str(self._case)
        self._keep_alive(case_id)
        draft = codec.draft_from_wire(taken["draft"], arrays) if taken.get("draft") else None
        confirmed = codec.ref_from_wire(taken["confirmed"]) if taken.get("confirmed") else None
        returned = review_row_from_wire(taken["returned"]) if taken.get("returned") else None
        start = confirmed or returned
        self._based_on[case_id, self._slot] = start.case_version if start else 0
        before = arrays.get("confirmed", arrays.get("returned"))
        proposal = session.proposal if kept else self._restore(session, draft, before)
        self._missed = None
        shown = replace(proposal, changed_kji=bounding_box(proposal.mask))
        return OpenedCase(
            codec.case_row_from_wire(taken["case"]),
            self._answer(session, shown),
            draft,
            confirmed,
            self._slot,
            codec.others_from_wire(taken.get("others"), arrays),
            suggested_from_wire(taken.get("suggestion"), arrays),
            returned,
            taken.get("is_withheld") is True,
        )

    def _take(
        self, case_id: str, image: Image, source: str, slot: Slot | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        meta: dict[str, Any] = {"case_id": case_id, "image_hash": prepare(image)[1]}
        meta["slot"] = None if slot is None else codec.slot_to_wire(slot)
        try:
            return self._exchange_take(meta)
        except UnknownCase:
            self.add(case_id, image, source)
            return self._exchange_take(meta)
        except GeometryError:
            # Another hash may be another reader's rounding of the same grid: the engine compares the images.
            self.add(case_id, image, source)
            return self._exchange_take({"case_id": case_id, "slot": meta["slot"]})

    def _exchange_take(self, meta: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return self._transport.exchange("cases/take", meta)

    def _restore(self, session: RemoteSession, draft: Draft | None, confirmed: Mask | None) -> Proposal:
        mask = draft.mask if draft is not None else confirmed
        if mask is None or not mask.any() or PromptKind.MASK not in session.supported:
            return session.proposal
        return session.add_prompt(MaskPrompt(mask))

    def leave(self) -> None:
        """Give the open case back."""
        if self._beat is not None:
            self._beat.stop()
            self._beat = None
        if self._session is not None:
            self._session.close()
        case, self._case = self._case, None
        if case is not None:
            self._give_back(case, self._slot)

    def leave_quietly(self) -> None:
        """Give the open case back, if the engine can be reached."""
        try:
            self.leave()
        except ClopaError as error:
            logger.info("The case could not be given back; its lease will run out: %s", error)

    def _give_back(self, case_id: str, slot: Slot) -> None:
        self._transport.exchange("cases/leave", {"case_id": case_id, "slot": codec.slot_to_wire(slot)})

    def _keep_alive(self, case_id: str) -> None:
        if self._beat is not None:
            self._beat.stop()
        self._beat = Heartbeat(self._transport, self._session, case_id, self._slot)

    def mark(self, action: str, case_id: str, reason: str, slot: Slot = FIRST) -> CaseRow:
        """Skip, reopen, withdraw or flag."""
        meta = {"case_id": case_id, "reason": reason, "slot": codec.slot_to_wire(slot)}
        row, _ = self._transport.exchange(f"cases/{action}", meta)
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

    def save_draft(self, draft: Draft, slot: Slot | None = None) -> None:
        """Keep unconfirmed work on a target, the chosen one if None."""
        if self._case is None:
            raise NoImage("Open a case first; there is nothing to keep a draft of.")
        meta, arrays = codec.draft_to_wire(draft)
        place = {"case_id": self._case, "slot": codec.slot_to_wire(self._slot if slot is None else slot)}
        self._transport.exchange("drafts/save", {**meta, **place}, arrays)

    # -- confirming ----------------------------------------------------------------------------------------

    def confirm(self, confirmation: Confirmation) -> CaseRef:
        """Keep on disk, deliver, forget; see `Deliveries.confirm`."""
        place = (confirmation.case_id, confirmation.slot)
        ref = self.deliveries.confirm(confirmation, self._based_on.get(place))
        self._based_on[place] = ref.case_version
        return ref

    # -- everything else -----------------------------------------------------------------------------------

    def ask(self, path: str, meta: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """A message, and the answer's values and arrays."""
        return self._transport.exchange(path, meta)

    def table(self, path: str, key: str, read: Callable[[Any], T], target: str = "") -> tuple[T, ...]:
        """A list that the engine keeps."""
        row, _ = self._transport.exchange(path, {"target": target})
        if not isinstance(row[key], list):
            raise NotAnEngine(f"The answer's {key!r} is no list: is it a CLoPA engine that answers there?")
        return tuple(read(item) for item in row[key])

    def steer(self, path: str, meta: Mapping[str, Any], target: str = "") -> LearningState:
        """Something about a target's learning; answered with its state."""
        row, _ = self._transport.exchange(path, {**meta, "target": target})
        return codec.learning_from_wire(row["learning"])

    def suggestions(self, path: str, meta: Mapping[str, Any]) -> SuggestionState:
        """Something about suggestions; answered with their state."""
        row, _ = self._transport.exchange(f"suggestions/{path}", meta)
        return state_from_wire(row.get("suggestions"))
