"""What engine and trainer tell each other through the job folder, without a socket between them.

=================  =========================================================================================
``owner.json``     which engine process owns the job now (process id and its start time)
``trainer.json``   which process trains
``yield.flag``     16 bytes, mapped into both processes: is a click being answered, does it need
                   the trainer's memory (2 instead of 1), and since when
``heartbeat``      touched by the trainer, at most once a second, when a micro-step was done
``released``       exists while the trainer has given back its memory for a click
``cancel``         exists once the episode is asked to stop
=================  =========================================================================================

A mapped file was chosen over named shared memory or a pipe: it survives a restart of the engine, needs no
clean-up after a crash, works alike on all systems, and costs well under a microsecond to look at between two
micro-steps. Pausing the process from outside (SIGSTOP) would work on POSIX only, and would hold a GPU's
memory bus or a lock at an arbitrary place.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

OWNER, TRAINER, FLAG, HEARTBEAT, CANCEL = "owner.json", "trainer.json", "yield.flag", "heartbeat", "cancel"
RELEASED = "released"
PROGRESS, RESULT = "progress.jsonl", "result.json"
_LAYOUT = struct.Struct("<Q d")
STALE_S = 30.0
"""A flag older than this is taken for a dead engine's: training goes on."""


@dataclass(frozen=True)
class ProcessId:
    """A process, safe against reused process numbers.

    Attributes:
        pid: the system's number.
        started: when it started, as the system says; two processes never share both.
    """

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int | None = None) -> ProcessId:
        """This process, or another one.

        Raises:
            psutil.NoSuchProcess: there is none.
        """
        process = psutil.Process(pid)
        return cls(process.pid, process.create_time())

    def process(self) -> psutil.Process | None:
        """The living process, or None if it has ended (a zombie has)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 0.05
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process() is not None


def write_process(path: Path, process: ProcessId) -> None:
    """Note a process in a file, replacing the file in one step."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.write_text(json.dumps({"pid": process.pid, "started": process.started}), encoding="utf-8")
    replace(draft, path)


def replace(source: Path, target: Path, tries: int = 20) -> None:
    """Rename over ``target``; on Windows a reader may hold it for a moment.

    Raises:
        PermissionError: it was held for longer than a second.
    """
    for attempt in range(tries):
        try:
            source.replace(target)
            return
        except PermissionError:
            if attempt == tries - 1:
                raise
            time.sleep(0.05)


def read_process(path: Path) -> ProcessId | None:
    """The process noted in a file; None without a readable note."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        return ProcessId(int(row["pid"]), float(row["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


class YieldFlag:
    """The mapped flag of one job; the engine sets it, the trainer looks at it."""

    def __init__(self, job: Path) -> None:
        """Map the flag of a job folder, creating it if it is not there."""
        path = job / FLAG
        with path.open("a+b") as file:
            if file.seek(0, os.SEEK_END) < _LAYOUT.size:
                file.truncate(_LAYOUT.size)
                file.flush()
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size)

    def set(self, busy: bool, memory: bool = False) -> None:
        """Say whether a click is being answered, and whether it needs the memory of the device too."""
        _LAYOUT.pack_into(self._map, 0, 2 if memory else int(busy), time.time())

    @property
    def raised(self) -> bool:
        """Whether a click is being answered now; a stale flag does not count."""
        return self._level > 0

    @property
    def memory_wanted(self) -> bool:
        """Whether a click needs the trainer's memory now; a stale flag does not count."""
        return self._level > 1

    @property
    def _level(self) -> int:
        level, since = _LAYOUT.unpack_from(self._map, 0)
        return int(level) if 0 <= time.time() - since < STALE_S else 0

    def close(self) -> None:
        """Unmap; idempotent."""
        self._map.close()
