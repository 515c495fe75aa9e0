"""Listening to an engine's events, and keeping the open case while the line is up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from clopa_annotator.client.remote_session import RemoteSession
from clopa_annotator.client.transport import Transport
from clopa_annotator.errors import ClopaError, EngineUnreachable
from clopa_annotator.types import Event, Slot
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.codec import slot_to_wire

logger = logging.getLogger(__name__)

RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
REMIND_S = 5.0


class OnEvent(Protocol):
    """Whoever is told."""

    def __call__(self, event: Event) -> None:
        """An event arrived."""
        ...


class EventFollower:
    """A thread that follows the event stream, rejoins it, and says when the line is up or down."""

    def __init__(
        self,
        transport: Transport,
        on_event: OnEvent,
        on_back: Callable[[], None],
        owes: Callable[[], bool] = lambda: False,
    ) -> None:
        """The callbacks run in the watcher's thread.

        Args:
            transport: the line.
            on_event: told every event.
            on_back: called when the line is up again, and every few seconds while something is owed: the line
                of one upload may break while this one holds.
            owes: whether something waits for delivery.
        """
        self._transport, self._on_event, self._on_back, self._owes = transport, on_event, on_back, owes
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._up = True
        self._next_try = 0.0

    @property
    def started(self) -> bool:
        """Whether it listens."""
        return self._thread is not None

    def start(self, after: int) -> None:
        """Listen to events after a sequence number; nothing happens if it listens already."""
        if self._thread is None and not self._closing.is_set():
            self._thread = threading.Thread(
                target=self._follow, args=(after,), name="engine-events", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Stop; does not wait."""
        self._closing.set()

    def _follow(self, after: int) -> None:
        attempt = 0
        while not self._closing.is_set():
            try:
                for event in self._transport.events(after):
                    if self._closing.is_set():
                        return
                    attempt = 0
                    self._line(True, "")
                    self._remind()
                    if event is not None:
                        after = int(event.data["last"] or 0) if event.name == "gap" else event.sequence
                        self._on_event(event)
            except EngineUnreachable as error:
                self._line(False, str(error))
            except ClopaError as error:
                logger.warning("The engine's events cannot be heard: %s", error)
                self._line(False, str(error))
            self._closing.wait(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    def _remind(self) -> None:
        if self._owes() and time.monotonic() >= self._next_try:
            self._next_try = time.monotonic() + REMIND_S
            self._on_back()

    def _line(self, up: bool, sentence: str) -> None:
        if up == self._up or self._closing.is_set():
            return
        self._up = up
        text = "The engine is there again." if up else sentence
        self._on_event(Event(0, "connection", {"up": up, "sentence": text}))
        if up:
            self._on_back()


class Heartbeat:
    """Keeps a case's lease and its session while nobody clicks."""

    PERIOD_S = 30.0

    def __init__(
        self, transport: Transport, session: RemoteSession | None, case_id: str, slot: Slot = FIRST
    ) -> None:
        """Begin at once."""
        self._transport, self._session = transport, session
        self._place = {"case_id": case_id, "slot": slot_to_wire(slot)}
        self._stopped = threading.Event()
        threading.Thread(target=self._beat, name="engine-heartbeat", daemon=True).start()

    def stop(self) -> None:
        """Let the lease run out."""
        self._stopped.set()

    def _beat(self) -> None:
        while not self._stopped.wait(self.PERIOD_S):
            try:
                self._transport.exchange("cases/take", {**self._place, "brief": True})
                if self._session is not None:
                    self._session.beat()
            except ClopaError as error:
                logger.info("The case could not be kept for the moment: %s", error)
