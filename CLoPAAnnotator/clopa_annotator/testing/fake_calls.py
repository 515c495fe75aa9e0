"""Calls that are carried out by polling, after a scripted delay: the clockwork of the in-process engine."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from clopa_annotator.client.calls import Call, CallQueue
from clopa_annotator.errors import ClopaError, EngineUnreachable

T = TypeVar("T")
_LOST = "The engine does not answer. Press Restart in the engine panel; what you confirmed is safe."


class ScriptedCalls:
    """Carries out calls in their order, each when its time has come; fails them all while ``lost``."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        """Seconds that every call on the open case takes from now on."""
        self.lost = False
        """While true, every call fails as if the engine were gone."""
        self._calls = CallQueue()
        self._work: deque[tuple[float, Callable[[], None]]] = deque()

    @property
    def pending(self) -> int:
        """Calls not yet answered and delivered."""
        return self._calls.pending

    def _carry_out_due(self, wait_s: float) -> None:
        now = time.monotonic()
        if wait_s > 0 and not (self._work and self._work[0][0] <= now):
            time.sleep(min(wait_s, max(0.0, self._work[0][0] - now)) if self._work else wait_s)
        while self._work and self._work[0][0] <= time.monotonic():
            self._work.popleft()[1]()

    def _drop_all(self) -> None:
        self._work.clear()
        self._calls.cancel_all()

    def _do(self, name: str, work: Callable[[], T], delay_s: float = 0.0, lost: str = _LOST) -> Call[T]:
        call: Call[T] = self._calls.start(name)

        def carry_out() -> None:
            try:
                call.answer(work())
            except ClopaError as error:
                call.fail(error)

        self._schedule(call, carry_out, delay_s, lost)
        return call

    def _schedule(
        self, call: Call[T], carry_out: Callable[[], None], delay_s: float, lost: str = _LOST
    ) -> None:
        def run() -> None:
            if self.lost:
                call.fail(EngineUnreachable(lost))
            else:
                carry_out()

        after = max((due for due, _ in self._work), default=0.0)
        self._work.append((max(after, time.monotonic() + delay_s), run))
