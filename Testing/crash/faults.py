"""Disks that fail: a kill, an error or a power cut at a chosen step."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from clopa_annotator.cache.format.disk import Disk


def kill_me() -> None:
    """End this process at once, as ``kill -9`` does; nothing is flushed and no handler runs."""
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)


class CountingDisk(Disk):
    """A healthy disk that counts its steps."""

    def __init__(self) -> None:
        super().__init__(self._count)
        self.steps: list[tuple[str, Path]] = []

    def _count(self, step: str, path: Path) -> None:
        self.steps.append((step, path))


class KillingDisk(CountingDisk):
    """Kills the process before step ``at`` (counting from 0)."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    def _count(self, step: str, path: Path) -> None:
        if len(self.steps) == self._at:
            self.end()
        super()._count(step, path)

    def end(self) -> None:
        kill_me()


class FailingDisk(CountingDisk):
    """Raises ``number`` at step ``at``; with ``stays``, at every step from there on until `repair`."""

    def __init__(self, at: int, number: int, stays: bool = False) -> None:
        super().__init__()
        self._at, self._number, self._stays = at, number, stays
        self.raised = False

    def repair(self) -> None:
        """From now on nothing fails."""
        self._at = -1

    def _count(self, step: str, path: Path) -> None:
        here = len(self.steps)
        super()._count(step, path)
        if self._at >= 0 and (here == self._at or (self._stays and here > self._at)):
            self.raised = True
            raise OSError(self._number, os.strerror(self._number), str(path))


ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS}


class PowerCutDisk(KillingDisk):
    """Kills the process before step ``at`` and first undoes what a real disk may lose when the power goes.

    What may be lost: the content of a file that was not flushed, the entry of a file or folder in a folder
    that was not flushed, a rename whose folder was not flushed. Each is lost or kept at random. SQLite's own
    writes are taken to be as durable as SQLite promises.
    """

    def __init__(self, at: int, seed: int) -> None:
        super().__init__(at)
        self._random = random.Random(seed)
        self._unflushed: set[Path] = set()
        self._entries: set[Path] = set()
        self._moves: list[tuple[Path, Path, bytes | None]] = []

    def write_new(self, path: Path, data: bytes) -> None:
        self._unflushed.add(path)
        self._entries.add(path)
        super().write_new(path, data)
        self._unflushed.discard(path)

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self._entries.add(path)

    def write_together(self, files: Mapping[Path, bytes]) -> None:
        self._unflushed |= files.keys()
        self._entries |= files.keys()
        super().write_together(files)
        self._unflushed -= files.keys()

    def rename(self, source: Path, target: Path) -> None:
        super().rename(source, target)
        self._moved(source, target, None)

    def replace(self, source: Path, target: Path) -> None:
        before = target.read_bytes() if target.exists() else None
        super().replace(source, target)
        self._moved(source, target, before)

    def _moved(self, source: Path, target: Path, before: bytes | None) -> None:
        self._moves.append((source, target, before))
        self._entries = {
            target / p.relative_to(source) if p.is_relative_to(source) and p != source else p
            for p in self._entries
            if p != source
        }

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self._synced(path)

    def sync_folders(self, paths: Sequence[Path]) -> None:
        super().sync_folders(paths)
        for path in paths:
            self._synced(path)

    def _synced(self, path: Path) -> None:
        self._entries = {p for p in self._entries if p.parent != path}
        self._moves = [move for move in self._moves if move[1].parent != path]

    def end(self) -> None:
        for path in self._unflushed:
            if path.exists():
                os.truncate(path, self._random.randint(0, path.stat().st_size))
        for path in self._entries:
            if path.exists() and self._random.random() < 0.5:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for source, target, before in reversed(self._moves):
            if target.exists() and self._random.random() < 0.5:
                source.parent.mkdir(exist_ok=True)
                target.rename(source)
                if before is not None:
                    target.write_bytes(before)
        kill_me()
