"""Ending processes, and what they append to files: reading it, and making room for it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

logger = logging.getLogger(__name__)

TRAINER_LOG = "trainer.log"
_LARGEST_LOG_BYTES = 2 << 20


class ProgressTail:
    """Reads the lines that were appended to ``progress.jsonl`` since the last look."""

    def __init__(self, path: Path) -> None:
        """Start at the beginning of the file, which need not exist yet."""
        self._path, self._offset = path, 0

    def rows(self) -> list[dict[str, Any]]:
        """New complete lines; a line that is being written waits, a torn one (after a kill) is skipped."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return []
        whole, newline, _ = text.rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        rows = []
        for line in whole.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                logger.warning("Skipped a torn line in %s", self._path.name)
                continue
            if isinstance(row, dict):
                rows.append(row)
        return rows


def make_room(path: Path) -> None:
    """Put a log that another process appends to aside once it is large; to be called while nobody writes."""
    if path.exists() and path.stat().st_size > _LARGEST_LOG_BYTES:
        path.replace(path.with_suffix(".1.log"))


def lower_priority(pid: int, niceness: int) -> psutil.Process | None:
    """The process, with its priority lowered; None if it has ended."""
    try:
        process = psutil.Process(pid)
        if os.name == "nt":
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            process.nice(max(process.nice(), niceness))
        return process
    except psutil.Error:
        return None


def end_process(process: psutil.Process, wait_s: float = 3.0) -> None:
    """End a process and its children: ask, wait, kill."""
    try:
        family = [*process.children(recursive=True), process]
    except psutil.Error:
        family = [process]
    for member in family:
        with_patience(member.terminate)
    _, alive = psutil.wait_procs(family, timeout=wait_s)
    for member in alive:
        with_patience(member.kill)
    psutil.wait_procs(alive, timeout=wait_s)


def with_patience(action: Callable[[], None]) -> None:
    """Do something to a process that may have ended meanwhile."""
    try:
        action()
    except psutil.NoSuchProcess:
        logger.debug("A process had already ended")
