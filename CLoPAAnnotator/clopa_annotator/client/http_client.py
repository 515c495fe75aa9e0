"""The client of an engine process: asynchronous, patient, without torch and Qt.

Two worker threads carry the calls out (one for everything that has to keep its order, one for questions that
must not wait behind a prediction), a third listens to the engine's events. Answers, errors and events reach
the caller in `HttpEngineClient.poll`, in the caller's own thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from clopa_annotator.case_order import CaseSettings
from clopa_annotator.client.call_workers import CallWorker
from clopa_annotator.client.calls import Call, CallQueue
from clopa_annotator.client.engine_client import EventListener
from clopa_annotator.client.event_follower import EventFollower
from clopa_annotator.client.learning_calls import LearningCalls
from clopa_annotator.client.operations import ClientOperations
from clopa_annotator.client.review_calls import ReviewCalls
from clopa_annotator.client.transfers import Transfers
from clopa_annotator.client.transport import Transport, TransportSettings
from clopa_annotator.types import CaseRef, Confirmation, Event, Image, Prompt, Slot, Targets
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire import codec
from clopa_annotator.wire.messages import Answer, CaseRow, Draft, EngineInfo, OpenedCase

logger = logging.getLogger(__name__)

T = TypeVar("T")


_DraftPlace = tuple[int, Slot | None]
"""Which target a draft is of: a slot, or the one that is chosen after so many choices."""


class HttpEngineClient(LearningCalls, ReviewCalls):
    """Fulfils `engine_client.EngineClient` over HTTP."""

    def __init__(
        self,
        url: str,
        token: str,
        kept_folder: Path,
        settings: TransportSettings | None = None,
        person: str = "",
    ) -> None:
        """Nothing is sent before the first call.

        Args:
            url: as the engine says when it is ready, or as its owner gives it.
            token: from the engine's token file.
            kept_folder: for confirmations that could not be delivered; may be the same for all engines.
            settings: how patient to be.
            person: who sits here; an engine on a server goes by the token instead.
        """
        self._transport = Transport(url, token, settings, person)
        self._calls = CallQueue()
        self._ordered = CallWorker("engine", self._calls)
        self._quick = CallWorker("engine-quick", self._calls)
        self._engine = ClientOperations(self._transport, kept_folder)
        self._transfers = Transfers(self._transport, self._calls)
        self._listeners: list[EventListener] = []
        self._watcher = EventFollower(
            self._transport, self._tell, self._back, lambda: self._engine.deliveries.owes
        )
        self._draft_mutex = threading.Lock()
        self._waiting_drafts: dict[_DraftPlace, tuple[Draft, list[Call[None]]]] = {}
        self._choices = 0
        self._closed = False

    @property
    def pending(self) -> int:
        """Calls not yet answered and delivered."""
        return self._calls.pending

    def poll(self, wait_s: float = 0.0) -> int:
        """Deliver answers and events to their callbacks, in this thread."""
        return self._calls.poll(wait_s)

    def listen(self, listener: EventListener) -> Callable[[], None]:
        """Have ``listener`` told every event from now on; the returned function ends that."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def close(self) -> None:
        """Give the open case back, cancel every call, stop; does not wait for the network."""
        if self._closed:
            return
        self._closed = True
        self._calls.cancel_all()
        self._watcher.close()
        self._transfers.close()
        self._ordered.put(self._engine.leave_quietly)
        self._ordered.put(self._transport.close)
        self._ordered.close()
        self._quick.close()

    def connect(self) -> Call[EngineInfo]:
        """Say hello, deliver what was kept, and start listening."""

        def work() -> EngineInfo:
            info = self._engine.hello()
            self._watcher.start(self._engine.last_event)
            self._deliver_kept()
            return info

        return self._ordered.do("connect", work)

    def set_targets(self, targets: Targets) -> Call[EngineInfo]:
        """Say what the campaign segments."""
        return self._do("change the targets", lambda: self._engine.set_targets(targets))

    def set_case_settings(self, settings: CaseSettings) -> Call[EngineInfo]:
        """Say in which order cases come, and how many of them without a suggestion."""
        return self._do("change how cases come", lambda: self._engine.set_case_settings(settings))

    # -- cases ---------------------------------------------------------------------------------------------

    def cases(self) -> Call[tuple[CaseRow, ...]]:
        """Every case that the campaign knows."""
        return self._ask("list the cases", "cases", codec.case_row_from_wire)

    def prefetch_case(self, case_id: str, image: Image, source: str = "") -> Call[CaseRow]:
        """Add a case without opening it."""
        return self._do("prepare the case", lambda: self._engine.add(case_id, image, source))

    def open_case(
        self, case_id: str, image: Image, source: str = "", slot: Slot | None = None
    ) -> Call[OpenedCase]:
        """Take the case, add it if it is new, give its image to the session, restore the draft."""
        self._choices += 1
        return self._do("open the case", lambda: self._engine.open(case_id, image, source, slot))

    def choose(self, slot: Slot) -> Call[OpenedCase]:
        """Have prompts and drafts of the open case go to this target from now on."""
        self._choices += 1
        return self._do("choose the target", lambda: self._engine.choose(slot))

    def leave_case(self) -> Call[None]:
        """Give the open case back; its draft stays."""
        return self._do("leave the case", self._engine.leave)

    def skip(self, case_id: str, reason: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Mark a target of a case as skipped."""
        return self._do("skip the case", lambda: self._engine.mark("skip", case_id, reason, slot))

    def reopen(self, case_id: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Put a confirmed or skipped target back to work."""
        return self._do("reopen the case", lambda: self._engine.mark("reopen", case_id, "", slot))

    def withdraw(self, case_id: str, reason: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Mark the newest confirmed version as withdrawn."""
        return self._do("withdraw the case", lambda: self._engine.mark("withdraw", case_id, reason, slot))

    def flag(self, case_id: str, reason: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Mark a target of a case as needing another look."""
        return self._do("flag the case", lambda: self._engine.mark("flag", case_id, reason, slot))

    # -- the open case -------------------------------------------------------------------------------------

    def add_prompts(self, prompts: Sequence[Prompt]) -> Call[Answer]:
        """Add prompts, predict once; one step of undo."""
        given = tuple(prompts)
        return self._step("predict", lambda: self._engine.add_prompts(given))

    def undo(self) -> Call[Answer]:
        """Go back one step."""
        return self._step("undo", self._engine.undo)

    def redo(self) -> Call[Answer]:
        """Take an undo back."""
        return self._step("redo", self._engine.redo)

    def reset(self) -> Call[Answer]:
        """Forget all prompts; can be undone."""
        return self._step("reset", self._engine.reset)

    def save_draft(self, draft: Draft, slot: Slot | None = None) -> Call[None]:
        """Keep the open case's unconfirmed work; a newer draft replaces one still waiting to be sent."""
        kept = replace(draft, mask=codec.own_mask(draft.mask))
        call: Call[None] = self._calls.start("keep the draft")
        with self._draft_mutex:
            place = (self._choices, slot)
            waiting = self._waiting_drafts.get(place)
            self._waiting_drafts[place] = (kept, [*(waiting[1] if waiting else []), call])
        if waiting is None:
            self._begin()
            self._ordered.put(lambda: self._send_draft(place))
        return call

    def confirm(self, confirmation: Confirmation) -> Call[CaseRef]:
        """Store a decision; answered only after the record is durable, with its hash."""
        kept = replace(confirmation, mask=codec.own_mask(confirmation.mask))
        return self._do("confirm the case", lambda: self._engine.confirm(kept))

    def _begin(self) -> None:
        """Say hello before anything else, once, so that events are heard from the first call on."""
        if self._watcher.started:
            return

        def work() -> None:
            if not self._watcher.started:
                self._engine.hello()
                self._watcher.start(self._engine.last_event)

        self._ordered.put(lambda: self._try(work))

    def _do(self, name: str, work: Callable[[], T]) -> Call[T]:
        self._begin()
        return self._ordered.do(name, work)

    def _step(self, name: str, work: Callable[[], Answer]) -> Call[Answer]:
        """A step is carried out even if its call was cancelled: only its answer is dropped."""
        self._begin()
        call: Call[Answer] = self._calls.start(name)

        def carry_out() -> None:
            try:
                answer = work()
            except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
                call.fail(error)
                return
            self._engine.delivered(call.answer(answer), answer)

        self._ordered.put(carry_out)
        return call

    def _send_draft(self, place: _DraftPlace) -> None:
        with self._draft_mutex:
            draft, calls = self._waiting_drafts.pop(place)
        try:
            self._engine.save_draft(draft, place[1])
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
            for call in calls:
                call.fail(error)
            return
        for call in calls:
            call.answer(None)

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
            # The call that comes next meets the same trouble and reports it to whoever asked.
            logger.info("The engine could not be greeted: %s", error)

    def _deliver_kept(self) -> None:
        for event in self._engine.deliveries.deliver_kept():
            self._tell(event)

    def _back(self) -> None:
        """The watcher has found the engine again."""
        self._ordered.put(lambda: self._try(self._deliver_kept))

    def _tell(self, event: Event) -> None:
        def deliver() -> None:
            for listener in tuple(self._listeners):
                listener(event)

        if not self._closed:
            self._calls.post(deliver)
