"""Every step that the cache takes on a file system, in one place.

`Disk` announces each step to a hook before it takes it, so that a test can make any step fail, or kill the
process there. Nothing else in the cache creates, writes, renames or removes files, SQLite excepted.

The order that makes a publication durable: write a temporary file, flush it, rename it into place, flush the
folder. Each of these is a step of its own.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from clopa_annotator.durable import FULL, REFUSED, REPLACE_WAITS_S, WINDOWS, flush, flush_folder, patiently
from clopa_annotator.errors import CacheError, CorruptRecord, ReadOnlyCampaign, StorageFull

logger = logging.getLogger(__name__)

FaultHook = Callable[[str, Path], None]
"""Called with a step's name and path before the step; it may raise `OSError` or end the process."""

PART_BYTES = 8 << 20
FLUSHES = 16
"""Flushes that wait for the disk at the same time."""


def _no_fault(step: str, path: Path) -> None:
    """The hook of a healthy disk."""


def native(path: Path) -> Path:
    """A path that Windows takes even beyond 260 characters; unchanged elsewhere."""
    if not WINDOWS or str(path).startswith("\\\\?\\"):
        return path
    absolute = str(path.resolve())
    return Path("\\\\?\\UNC" + absolute[1:] if absolute.startswith("\\\\") else "\\\\?\\" + absolute)


def translate(error: OSError, what: str) -> CacheError:
    """The typed error, with a sentence, for an error of the operating system.

    Args:
        error: what the operating system said.
        what: completes "Could not ...".
    """
    if error.errno in FULL:
        return StorageFull(f"Could not {what}: the disk is full. Free some space and try again.")
    if error.errno in REFUSED:
        return ReadOnlyCampaign(
            f"Could not {what}: the campaign folder cannot be written. Check its permissions, "
            "and that the disk is not mounted read-only."
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return CacheError(
        f'Could not {what}: the disk reports "{reason}". Nothing was changed; check the disk and try again.'
    )


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn an `OSError` inside the block into a typed error; ``what`` completes "Could not ..."."""
    try:
        yield
    except OSError as error:
        raise translate(error, what) from error


class Disk:
    """The steps, each announced to a hook.

    Args:
        hook: told before each step.
        patient: retry a rename that is refused for a short while, as Windows does while a virus scanner or
            another reader holds the file.
    """

    def __init__(self, hook: FaultHook = _no_fault, patient: bool = WINDOWS) -> None:
        self.hook = hook
        self._patient = patient

    def make_folder(self, path: Path) -> None:
        """Create one folder; it must not exist."""
        self.hook("make folder", path)
        path.mkdir()

    def write_new(self, path: Path, data: bytes) -> None:
        """Write and flush a file that must not exist yet."""
        self.hook("create", path)
        with path.open("xb", buffering=0) as file:
            self._write_in_parts(file.fileno(), path, data)
            self.hook("flush", path)
            flush(file.fileno())
            self.hook("close", path)

    def write_together(self, files: Mapping[Path, bytes]) -> None:
        """Write files that must not exist yet, then flush them all at once.

        A file system with a journal answers flushes that wait together with one write of it.
        """
        with ExitStack() as opened:
            numbers = []
            for path, data in files.items():
                self.hook("create", path)
                file = opened.enter_context(path.open("xb", buffering=0))
                self._write_in_parts(file.fileno(), path, data)
                numbers.append(file.fileno())
            self._together("flush", list(files), flush, numbers)
            for path in files:
                self.hook("close", path)

    def sync_folders(self, paths: Sequence[Path]) -> None:
        """`sync_folder` for several at once."""
        self._together("flush folder", paths, flush_folder, paths)

    def _together(
        self, step: str, paths: Sequence[Path], flushing: Callable[[Any], None], what: Sequence[Any]
    ) -> None:
        for path in paths:
            self.hook(step, path)

        def flush_share(first: int) -> None:
            for one in what[first::FLUSHES]:
                flushing(one)

        with ThreadPoolExecutor(FLUSHES) as threads:
            for _ in threads.map(flush_share, range(min(FLUSHES, len(what)))):
                """Whatever one of them raises comes out here."""

    def _write_in_parts(self, descriptor: int, path: Path, data: bytes) -> None:
        view = memoryview(data)
        size = min(PART_BYTES, max(1, (len(view) + 1) // 2))
        for start in range(0, len(view), size):
            self.hook("write", path)
            self._write_all(descriptor, view[start : start + size])

    @staticmethod
    def _write_all(descriptor: int, view: memoryview) -> None:
        while view:
            view = view[os.write(descriptor, view) :]

    def rename(self, source: Path, target: Path) -> None:
        """Move within the file system, in one step; the target must not exist."""
        self.hook("rename", target)
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        self._retry(lambda: source.rename(target))

    def replace(self, source: Path, target: Path) -> None:
        """Move a file over another, in one step."""
        self.hook("replace", target)
        self._retry(lambda: source.replace(target))

    def _retry(self, move: Callable[[], object]) -> None:
        patiently(move, REPLACE_WAITS_S if self._patient else ())

    def sync_folder(self, path: Path) -> None:
        """Make renames into and out of a folder durable. Windows has no such call and needs none."""
        self.hook("flush folder", path)
        flush_folder(path)

    def read(self, path: Path) -> bytes:
        """The whole file."""
        self.hook("read", path)
        return path.read_bytes()

    def read_back(self, path: Path) -> bytes:
        """The whole file, past the operating system's cache where it can be told to let go."""
        self.hook("read back", path)
        with path.open("rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return file.readall()

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with all that is in it; nothing happens if it is not there."""
        self.hook("remove", path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def publish_folder(disk: Disk, staged: Path, target: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder with these files appear at once, durable and checked, or not at all.

    Args:
        disk: takes the steps.
        staged: where to prepare it; must not exist, same file system as the target.
        target: where it has to appear; its parent exists.
        files: contents by name.

    Raises:
        OSError: a step failed; the target was taken back if it had appeared.
        CorruptRecord: the disk gave back something else than was written; the target was taken back.
    """
    try:
        disk.make_folder(staged)
        for name, data in files.items():
            disk.write_new(staged / name, data)
        disk.sync_folder(staged)
        disk.rename(staged, target)
        disk.sync_folder(target.parent)
        for name, data in files.items():
            check_written(disk, target / name, data)
    except (OSError, CacheError):
        take_back(disk, staged, target)
        raise


def publish_file(disk: Disk, staged: Path, target: Path, data: bytes, overwrite: bool = False) -> None:
    """Make a file appear at once, durable and checked, or not at all.

    Args:
        disk: takes the steps.
        staged: where to prepare it; same file system as the target.
        target: where it has to appear.
        data: its content.
        overwrite: whether it may replace an earlier file.

    Raises:
        OSError: a step failed; a new target was taken back if it had appeared.
        CorruptRecord: the disk gave back something else than was written.
    """
    try:
        disk.write_new(staged, data)
        (disk.replace if overwrite else disk.rename)(staged, target)
        disk.sync_folder(target.parent)
        check_written(disk, target, data)
    except (OSError, CacheError):
        take_back(disk, staged, staged if overwrite else target)
        raise


def check_written(disk: Disk, path: Path, data: bytes) -> None:
    """Read a file back; raises `CorruptRecord` unless it is what was written."""
    if disk.read_back(path) != data:
        raise CorruptRecord(
            f"The disk did not keep {path.name} as it was written. Nothing was confirmed; check the disk."
        )


def take_back(disk: Disk, staged: Path, target: Path) -> None:
    """After a failure: move what had appeared out of sight again, and clear what was prepared.

    A failure here is logged and left to the next opening of the campaign, which finds the remains through
    the index's list of unfinished work.
    """
    try:
        if target != staged and target.exists() and not staged.exists():
            disk.rename(target, staged)
            disk.sync_folder(target.parent)
        disk.remove(staged)
    except OSError as error:
        logger.warning("Could not clear %s after a failure: %s", staged.name, error)
