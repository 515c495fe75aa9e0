"""The campaign's events on disk, so that their numbers go on after a restart and a client can rejoin.

``logs/events.jsonl`` holds one JSON object per line: ``{"sequence", "name", "data"}``. It is a convenience
for people and for rejoining clients, not a record: what counts is in the cache and the registry. Progress of
an episode is left out; the job folder has it.
"""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

from clopa_annotator.events import EventLog
from clopa_annotator.types import Event

logger = logging.getLogger(__name__)

LARGEST_BYTES = 4 << 20
_FLEETING = frozenset({"episode_progress", "learning"})


class Journal:
    """An `EventLog` whose numbering continues that of the file."""

    def __init__(self, path: Path) -> None:
        """Read the last number from the file, if there is one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._mutex = threading.Lock()
        # Fleeting events are not in the file: leave room for those that a client may have seen.
        last = _last_sequence(path)
        self.log = EventLog(first=last + 1 if last == 0 else last + 1000)
        torn = path.exists() and not path.read_bytes().endswith(b"\n")
        self._file = path.open("a", encoding="utf-8")
        if torn and self._file.tell():
            self._file.write("\n")
        self._unsubscribe = self.log.subscribe(self._note)

    def close(self) -> None:
        """Stop writing."""
        self._unsubscribe()
        with self._mutex:
            self._file.close()

    def _note(self, event: Event) -> None:
        if event.name in _FLEETING:
            return
        line = json.dumps({"sequence": event.sequence, "name": event.name, "data": event.data})
        with self._mutex:
            if self._file.closed:
                return
            try:
                self._file.write(line + "\n")
                self._file.flush()
                self._rotate()
            except OSError as error:
                # A full disk must not stop annotating; the cache refuses by itself what it cannot keep.
                logger.warning("An event could not be noted in %s: %s", self._path.name, error)

    def _rotate(self) -> None:
        if self._file.tell() > LARGEST_BYTES:
            self._file.close()
            self._path.replace(self._path.with_suffix(".1.jsonl"))
            self._file = self._path.open("a", encoding="utf-8")


def _last_sequence(path: Path) -> int:
    last = 0
    for candidate in (path.with_suffix(".1.jsonl"), path):
        if not candidate.exists():
            continue
        for line in candidate.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                last = max(last, int(json.loads(line)["sequence"]))
            except (ValueError, KeyError, TypeError):
                logger.debug("Skipped a torn line in %s", candidate.name)
    return last
