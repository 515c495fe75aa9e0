"""Worker threads that carry calls out in order."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

from clopa_annotator.client.calls import Call, CallQueue

logger = logging.getLogger(__name__)

T = TypeVar("T")


class CallWorker:
    """One thread that settles calls, one after the other; it starts with the first."""

    def __init__(self, name: str, calls: CallQueue) -> None:
        """A lane whose calls are delivered through ``calls``."""
        self._name, self._calls = name, calls
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._mutex = threading.Lock()
        self._closed = False

    def do(self, name: str, work: Callable[[], T], skip_cancelled: bool = True) -> Call[T]:
        """Queue work; returns its call. A call that is cancelled before its turn is not carried out."""
        call: Call[T] = self._calls.start(name)

        def carry_out() -> None:
            if skip_cancelled and call.done:
                return
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for the answer
                call.fail(error)
                return
            call.answer(result)

        self.put(carry_out)
        return call

    def put(self, work: Callable[[], None]) -> None:
        """Queue work that has no call of its own, or settles it itself."""
        with self._mutex:
            if self._closed:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._work.put(work)

    def close(self) -> None:
        """Take no more work; what is queued is still carried out. Does not wait."""
        with self._mutex:
            self._closed = True
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:
                logger.exception("Work in the lane %s failed", self._name)
