"""Whether somebody waits for an answer, and for how long nobody has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from clopa_annotator.campaign.prediction import ClickSignal


class ClickWatch:
    """Fulfils `prediction.ClickSignal`: passes everything on to the trainer's supervisor, and remembers."""

    def __init__(self, signal: ClickSignal, clock: Callable[[], float] = time.monotonic) -> None:
        """Nobody has clicked yet; ``signal`` is told of every click, ``clock`` gives seconds."""
        self._signal, self._clock = signal, clock
        self._mutex = threading.Lock()
        self._waiting = 0
        self._last = clock()

    def click_begins(self) -> None:
        """A click waits or is being answered."""
        with self._mutex:
            self._waiting += 1
        self._signal.click_begins()

    def click_ends(self) -> None:
        """It was answered."""
        self._signal.click_ends()
        with self._mutex:
            self._waiting -= 1
            self._last = self._clock()

    def make_room(self, measure: int) -> bool:
        """The trainer gives up memory for a click."""
        return self._signal.make_room(measure)

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits for an answer now; quick enough to be asked between two layers."""
        return self._waiting > 0

    @property
    def quiet_s(self) -> float:
        """Seconds since the last answer; 0 while somebody waits for one."""
        with self._mutex:
            return 0.0 if self._waiting else self._clock() - self._last
