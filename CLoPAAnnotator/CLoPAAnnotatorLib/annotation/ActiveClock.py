"""How long somebody really worked on a case: a clock that stops when nothing happens."""

from __future__ import annotations

import time
from collections.abc import Callable

IDLE_AFTER_S = 30.0


class ActiveClock:
    """Counts the seconds between signs of activity, leaving out pauses.

    A gap between two signs longer than ``idleAfterS`` counts as ``idleAfterS``: the last thing that was done
    was looked at for a moment.
    """

    def __init__(self, idleAfterS: float = IDLE_AFTER_S, now: Callable[[], float] = time.monotonic) -> None:
        self._idleAfterS, self._now = idleAfterS, now
        self._total = 0.0
        self._last: float | None = None

    def now(self) -> float:
        """The clock's time in seconds; only differences mean something."""
        return self._now()

    def start(self, alreadyS: float = 0.0) -> None:
        """Begin a case, with the seconds of an earlier sitting."""
        self._total, self._last = alreadyS, self._now()

    def touch(self) -> float:
        """Something was done; returns the active seconds so far."""
        if self._last is not None:
            self._total = self.seconds
            self._last = self._now()
        return self._total

    def pause(self) -> None:
        """Stop until `resume`: the module is not shown."""
        self._total, self._last = self.seconds, None

    def resume(self) -> None:
        """Go on counting from now."""
        if self._last is None:
            self._last = self._now()

    @property
    def isPaused(self) -> bool:
        """Whether nothing has been done for so long that the clock stands still."""
        return self._last is None or self._now() - self._last > self._idleAfterS

    def isQuietFor(self, seconds: float) -> bool:
        """Whether nothing was done for so long."""
        return self._last is None or self._now() - self._last >= seconds

    @property
    def seconds(self) -> float:
        """Active seconds so far."""
        if self._last is None:
            return self._total
        return self._total + min(self._now() - self._last, self._idleAfterS)
