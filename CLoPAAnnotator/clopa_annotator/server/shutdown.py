"""The end of an engine: prompt, whatever it is doing.

Whoever closes Slicer does not wait for a prediction. The trainer is ended at once (its job is resumed at the
next start), predictions that wait are dropped (their clients are told, and a session can be replayed), one
that is being computed gets a moment, and then the process goes: what was acknowledged is on the disk, and the
campaign folder is made to be left at any moment. If even that fails, for instance because a library holds the
interpreter lock, a timer that needs no lock writes where every thread stands and ends the process.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""From the wish to end until the process goes; the Slicer module waits three seconds before it kills."""
STUCK_S = 10.0
STACKS = "engine-stuck.log"


class Shutdown:
    """Sees to it that a process that was asked to end does end."""

    def __init__(
        self,
        begin: Callable[[], None],
        logs: Path,
        patience_s: float = PATIENCE_S,
        stuck_s: float = STUCK_S,
    ) -> None:
        """Nothing happens before `begin`.

        Args:
            begin: starts letting go of everything; must return at once and may be called once.
            logs: folder for the note on a process that got stuck.
            patience_s: how long it may take until the process is left as it is.
            stuck_s: how long until the timer strikes that needs no interpreter lock.
        """
        self._begin, self._logs = begin, logs
        self._patience_s, self._stuck_s = patience_s, stuck_s
        self._mutex = threading.Lock()
        self._begun = False
        self._done = threading.Event()

    def begin(self, reason: str) -> None:
        """End now; may be called from any thread and from a signal handler, again without effect."""
        if not self._mutex.acquire(blocking=False):
            return
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._see_through, args=(reason,), name="ending", daemon=True).start()
        self._mutex.release()

    def done(self) -> None:
        """Everything is let go of."""
        self._done.set()
        faulthandler.cancel_dump_traceback_later()
        self._tidy()

    def _tidy(self) -> None:
        # Windows keeps a file that is open; an empty one says as much as none.
        with suppress(OSError):
            if (self._logs / STACKS).stat().st_size == 0:
                (self._logs / STACKS).unlink()

    def _see_through(self, reason: str) -> None:
        # First the timer: even a logger may be held by a thread that is stuck.
        with (self._logs / STACKS).open("a", encoding="utf-8") as stacks:
            faulthandler.dump_traceback_later(self._stuck_s, exit=True, file=stacks)
            self._begin()
            logger.info("The engine ends: %s.", reason)
            if not self._done.wait(self._patience_s):
                logger.warning("Something is still being computed; the engine ends without waiting for it.")
                self._tidy()
                leave()


def leave() -> None:
    """End the process at once, without waiting for its threads; everything acknowledged is on the disk.

    Also when all is closed: taking an interpreter with torch in it apart costs a second of processor time,
    and on a busy machine ten and more, in which no thread of ours runs that could end it.
    """
    os._exit(0)
