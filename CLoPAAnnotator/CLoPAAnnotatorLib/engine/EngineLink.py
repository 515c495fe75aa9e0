"""Qt's side of the engine's client: answers are delivered on Qt's loop, nothing waits for them.

Slicer's main thread keeps the interpreter lock while Qt idles, so a client's worker thread would starve. A
timer therefore polls: while calls are under way it waits a few milliseconds per tick *inside* `poll`, which
lets the worker run; otherwise it looks in now and then for events.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import qt
from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.types import Event

logger = logging.getLogger(__name__)

BUSY_EVERY_MS, IDLE_EVERY_MS = 5, 50
WAIT_BUSY_S, WAIT_IDLE_S = 0.006, 0.001
FLUSH_S = 3.0


class EngineLink:
    """Polls a client; tells a listener every event and, on each tick, that time has passed."""

    def __init__(self, onEvent: Callable[[Event], None], onTick: Callable[[], None]) -> None:
        self.client: EngineClient | None = None
        self._onEvent, self._onTick = onEvent, onTick
        self._unlisten: Callable[[], None] = lambda: None
        self._timer = qt.QTimer()
        self._timer.setInterval(IDLE_EVERY_MS)
        self._timer.connect("timeout()", self._tick)

    def use(self, client: EngineClient) -> None:
        """Talk through this client from now on; an earlier one is closed."""
        self.drop()
        self.client = client
        self._unlisten = client.listen(self._onEvent)
        self._timer.start()

    def flush(self) -> None:
        """Let what was asked already be done: a draft on its way would be lost with the line."""
        end = time.monotonic() + FLUSH_S
        while self.client is not None and self.client.pending and time.monotonic() < end:
            self.client.poll(WAIT_BUSY_S)

    def drop(self) -> None:
        """Stop talking."""
        self._timer.stop()
        self._unlisten()
        self._unlisten = lambda: None
        client, self.client = self.client, None
        if client is not None:
            client.close()

    def _tick(self) -> None:
        client = self.client
        if client is None:
            return
        try:
            client.poll(WAIT_BUSY_S if client.pending else WAIT_IDLE_S)
        except Exception:
            logger.exception("A callback of the engine's client failed")
        if self.client is client:
            interval = BUSY_EVERY_MS if client.pending else IDLE_EVERY_MS
            if self._timer.interval != interval:
                self._timer.setInterval(interval)
        self._onTick()
