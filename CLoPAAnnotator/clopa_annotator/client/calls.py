"""Answers that come later, delivered in the thread that asks for them.

A user interface calls the engine and goes on; the answer's callback runs when the interface polls, in the
interface's own thread. Nothing here starts a thread: whoever computes the answer settles the call from any
thread, and `CallQueue.poll` hands it over.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from clopa_annotator.errors import ClopaError, EngineError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class CallState(Enum):
    """How far a call has come."""

    WAITING = "waiting"
    ANSWERED = "answered"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Call(Generic[T]):
    """One question to the engine and, later, its answer.

    Settled once, from any thread; its callbacks run once, in `CallQueue.poll`.
    """

    def __init__(self, queue: CallQueue, name: str) -> None:
        """Made by `CallQueue.start`; ``name`` is for logs."""
        self.name = name
        self._queue = queue
        self._lock = threading.Lock()
        self._state = CallState.WAITING
        self._result: T | None = None
        self._error: ClopaError | None = None
        self._on_result: Callable[[T], object] | None = None
        self._on_error: Callable[[ClopaError], object] | None = None
        self._delivered = False

    @property
    def state(self) -> CallState:
        """How far the call has come."""
        return self._state

    @property
    def done(self) -> bool:
        """Whether an answer, an error or a cancellation has been decided (perhaps not delivered yet)."""
        return self._state is not CallState.WAITING

    def then(
        self,
        on_result: Callable[[T], object] | None = None,
        on_error: Callable[[ClopaError], object] | None = None,
    ) -> Call[T]:
        """Say what to do with the answer; to be called at once, before the next poll. Returns the call."""
        self._on_result, self._on_error = on_result, on_error
        return self

    def answer(self, result: T) -> bool:
        """Settle with a result; False if the call was settled already."""
        return self._settle(CallState.ANSWERED, result, None)

    def fail(self, error: BaseException) -> bool:
        """Settle with an error; anything but a `ClopaError` is logged and wrapped in a sentence."""
        if not isinstance(error, ClopaError):
            logger.error("The call %r failed unexpectedly", self.name, exc_info=error)
            error = EngineError(f"The engine could not {self.name}: {error}. The log has the details.")
        return self._settle(CallState.FAILED, None, error)

    def cancel(self) -> bool:
        """Drop the answer, whatever it will be; False if it was settled already. No callback runs."""
        return self._settle(CallState.CANCELLED, None, None)

    def _settle(self, state: CallState, result: T | None, error: ClopaError | None) -> bool:
        with self._lock:
            if self._state is not CallState.WAITING:
                return False
            self._state, self._result, self._error = state, result, error
        self._queue._settled(self)
        return True

    def _deliver(self) -> None:
        if self._delivered:
            return
        self._delivered = True
        if self._state is CallState.ANSWERED and self._on_result is not None:
            self._on_result(self._result)  # type: ignore[arg-type]
        elif self._state is CallState.FAILED and self._error is not None:
            if self._on_error is None:
                logger.error("Nobody handles the failure of %r: %s", self.name, self._error)
            else:
                self._on_error(self._error)


class CallQueue:
    """The calls under way, and what waits to be delivered."""

    def __init__(self) -> None:
        self._ready: deque[Callable[[], None]] = deque()
        self._pending: set[Call[object]] = set()
        self._condition = threading.Condition()

    @property
    def pending(self) -> int:
        """Number of calls that are not settled and delivered yet."""
        with self._condition:
            return len(self._pending) + len(self._ready)

    def start(self, name: str) -> Call[T]:
        """A new call; ``name`` completes the sentence "the engine could not ..."."""
        call: Call[T] = Call(self, name)
        with self._condition:
            self._pending.add(call)  # type: ignore[arg-type]
        return call

    def post(self, deliver: Callable[[], None]) -> None:
        """Have something else run at the next poll, in order: an event for its listeners."""
        with self._condition:
            self._ready.append(deliver)
            self._condition.notify_all()

    def poll(self, wait_s: float = 0.0) -> int:
        """Run the callbacks of everything that is settled, in the order in which it settled.

        Args:
            wait_s: wait this long for the first if nothing is there yet. Waiting releases the interpreter
                lock, so that worker threads advance even where the interface's event loop holds it.

        Returns:
            The number of deliveries. A callback that raises ends the poll; the rest waits for the next.
        """
        with self._condition:
            if wait_s > 0 and not self._ready:
                self._condition.wait(wait_s)
            count = len(self._ready)
        for _ in range(count):
            with self._condition:
                if not self._ready:
                    break
                deliver = self._ready.popleft()
            deliver()
        return count

    def cancel_all(self) -> None:
        """Cancel every call under way and forget what was not delivered."""
        with self._condition:
            calls = list(self._pending)
        for call in calls:
            call.cancel()
        with self._condition:
            self._ready.clear()

    def _settled(self, call: Call[T]) -> None:
        with self._condition:
            self._pending.discard(call)
            self._ready.append(call._deliver)
            self._condition.notify_all()
