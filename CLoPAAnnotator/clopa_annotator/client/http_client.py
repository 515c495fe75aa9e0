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

from clopa_annotator.client.call_workers import CallWorker
from clopa_annotator.client.calls import Call, CallQueue
from clopa_annotator.client.engine_client import EventListener
from clopa_annotator.client.event_follower import EventFollower
from clopa_annotator.client.operations import ClientOperations
from clopa_annotator.client.transport import Transport, TransportSettings
from clopa_annotator.types import CaseRef, Confirmation, Event, Image, Prompt, WeightsVersion
from clopa_annotator.wire import codec
from clopa_annotator.wire.messages import (
    Answer,
    CaseRow,
    CaseStatistics,
    Draft,
    EngineInfo,
    EpisodeRow,
    ExportFormat,
    LearningState,
    OpenedCase,
    SwapPolicy,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")


class HttpEngineClient:
    """Fulfils `protocol.EngineClient` over HTTP."""

    def __init__(
        self, url: str, token: str, spool_folder: Path, settings: TransportSettings | None = None
    ) -> None:
        """Nothing is sent before the first call.

        Args:
            url: as the engine says when it is ready, or as its owner gives it.
            token: from the engine's token file.
            spool_folder: for confirmations that could not be delivered; may be the same for all engines.
            settings: how patient to be.
        """
        self._transport = Transport(url, token, settings)
        self._calls = CallQueue()
        self._ordered, self._quick = (
            CallWorker("engine", self._calls),
            CallWorker("engine-quick", self._calls),
        )
        self._bench = ClientOperations(self._transport, spool_folder)
        self._listeners: list[EventListener] = []
        self._watcher = EventFollower(self._transport, self._tell, self._back, lambda: self._bench.owes)
        self._draft_mutex = threading.Lock()
        self._waiting_draft: tuple[Draft, list[Call[None]]] | None = None
        self._closed = False

    # -- life ----------------------------------------------------------------------------------------------

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
        self._ordered.put(self._bench.leave_quietly)
        self._ordered.put(self._transport.close)
        self._ordered.close()
        self._quick.close()

    def connect(self) -> Call[EngineInfo]:
        """Say hello, deliver what the spool kept, and start listening."""

        def work() -> EngineInfo:
            info = self._bench.hello()
            self._watcher.start(self._bench.last_event)
            self._deliver_spooled()
            return info

        return self._ordered.do("connect", work)

    # -- cases ---------------------------------------------------------------------------------------------

    def cases(self) -> Call[tuple[CaseRow, ...]]:
        """Every case that the campaign knows."""
        return self._ask("list the cases", "cases", "cases", codec.case_row_from_wire)

    def prefetch_case(self, case_id: str, image: Image, source: str = "") -> Call[CaseRow]:
        """Add a case without opening it."""
        return self._do("prepare the case", lambda: self._bench.add(case_id, image, source))

    def open_case(self, case_id: str, image: Image, source: str = "") -> Call[OpenedCase]:
        """Take the case, add it if it is new, give its image to the session, restore the draft."""
        return self._do("open the case", lambda: self._bench.open(case_id, image, source))

    def leave_case(self) -> Call[None]:
        """Give the open case back; its draft stays."""
        return self._do("leave the case", self._bench.leave)

    def skip(self, case_id: str, reason: str) -> Call[CaseRow]:
        """Mark a case as skipped."""
        return self._do("skip the case", lambda: self._bench.mark("skip", case_id, reason))

    def reopen(self, case_id: str) -> Call[CaseRow]:
        """Put a confirmed or skipped case back to work."""
        return self._do("reopen the case", lambda: self._bench.mark("reopen", case_id, ""))

    def withdraw(self, case_id: str, reason: str) -> Call[CaseRow]:
        """Mark the newest confirmed version as withdrawn."""
        return self._do("withdraw the case", lambda: self._bench.mark("withdraw", case_id, reason))

    def flag(self, case_id: str, reason: str) -> Call[CaseRow]:
        """Mark a case as needing another look."""
        return self._do("flag the case", lambda: self._bench.mark("flag", case_id, reason))

    # -- the open case -------------------------------------------------------------------------------------

    def add_prompts(self, prompts: Sequence[Prompt]) -> Call[Answer]:
        """Add prompts, predict once; one step of undo."""
        given = tuple(prompts)
        return self._step("predict", lambda: self._bench.add_prompts(given))

    def undo(self) -> Call[Answer]:
        """Go back one step."""
        return self._step("undo", self._bench.undo)

    def redo(self) -> Call[Answer]:
        """Take an undo back."""
        return self._step("redo", self._bench.redo)

    def reset(self) -> Call[Answer]:
        """Forget all prompts; can be undone."""
        return self._step("reset", self._bench.reset)

    def save_draft(self, draft: Draft) -> Call[None]:
        """Keep the open case's unconfirmed work; a newer draft replaces one still waiting to be sent."""
        kept = replace(draft, mask=codec.own_mask(draft.mask))
        call: Call[None] = self._calls.start("keep the draft")
        with self._draft_mutex:
            waiting = self._waiting_draft
            self._waiting_draft = (kept, [*(waiting[1] if waiting else []), call])
        if waiting is None:
            self._begin()
            self._ordered.put(self._send_draft)
        return call

    def confirm(self, confirmation: Confirmation) -> Call[CaseRef]:
        """Store a decision; answered only after the record is durable, with its hash."""
        kept = replace(confirmation, mask=codec.own_mask(confirmation.mask))
        return self._do("confirm the case", lambda: self._bench.confirm(kept))

    # -- learning ------------------------------------------------------------------------------------------

    def learning(self) -> Call[LearningState]:
        """What is being learned now."""
        return self._quick_do("say what is being learned", lambda: self._bench.steer("state", {}))

    def episodes(self) -> Call[tuple[EpisodeRow, ...]]:
        """Every episode, oldest first."""
        return self._ask("list the episodes", "episodes", "episodes", codec.episode_from_wire)

    def weights(self) -> Call[tuple[WeightsVersion, ...]]:
        """Every weights version, the base first."""
        return self._ask("list the weights", "weights", "weights", codec.version_from_wire)

    def statistics(self) -> Call[tuple[CaseStatistics, ...]]:
        """Every confirmation that is not withdrawn, in order of arrival."""
        return self._ask("list the statistics", "statistics", "statistics", codec.statistics_from_wire)

    def train_now(self) -> Call[LearningState]:
        """Start an episode with what is there."""
        return self._do("start an episode", lambda: self._bench.steer("episodes/start", {}))

    def pause(self, paused: bool) -> Call[LearningState]:
        """Start no episode by itself (True), or again (False)."""
        return self._do("pause learning", lambda: self._bench.steer("episodes/pause", {"paused": paused}))

    def cancel_episode(self) -> Call[LearningState]:
        """Stop the running episode; the weights stay."""
        return self._do("cancel the episode", lambda: self._bench.steer("episodes/cancel", {}))

    def roll_back(self, version: int) -> Call[LearningState]:
        """Use an earlier version from now on."""
        return self._do("roll back", lambda: self._bench.steer("weights/rollback", {"version": version}))

    def set_swap_policy(self, policy: SwapPolicy) -> Call[LearningState]:
        """Say when promoted weights come into use."""
        return self._do("change the setting", lambda: self._bench.steer("weights/policy", {"policy": policy}))

    def export(self, format: ExportFormat, folder: str) -> Call[str]:
        """Write confirmed cases (or the weights) on the engine's machine; answers the folder written."""
        return self._do("export", lambda: self._bench.export(format, folder))

    # -- how -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Say hello before anything else, once, so that events are heard from the first call on."""
        if self._watcher.started:
            return

        def work() -> None:
            if not self._watcher.started:
                self._bench.hello()
                self._watcher.start(self._bench.last_event)

        self._ordered.put(lambda: self._try(work))

    def _do(self, name: str, work: Callable[[], T]) -> Call[T]:
        self._begin()
        return self._ordered.do(name, work)

    def _quick_do(self, name: str, work: Callable[[], T]) -> Call[T]:
        return self._quick.do(name, work)

    def _ask(self, name: str, path: str, key: str, read: Callable[[object], T]) -> Call[tuple[T, ...]]:
        return self._quick.do(name, lambda: self._bench.table(path, key, read))

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
            self._bench.delivered(call.answer(answer), answer)

        self._ordered.put(carry_out)
        return call

    def _send_draft(self) -> None:
        with self._draft_mutex:
            waiting, self._waiting_draft = self._waiting_draft, None
        if waiting is None:
            return
        draft, calls = waiting
        try:
            self._bench.save_draft(draft)
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

    def _deliver_spooled(self) -> None:
        for event in self._bench.deliver_spooled():
            self._tell(event)

    def _back(self) -> None:
        """The watcher has found the engine again."""
        self._ordered.put(lambda: self._try(self._deliver_spooled))

    def _tell(self, event: Event) -> None:
        def deliver() -> None:
            for listener in tuple(self._listeners):
                listener(event)

        if not self._closed:
            self._calls.post(deliver)
