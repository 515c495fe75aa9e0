"""Writing files so that a killed process or a power cut leaves either the old or the new, never half of one.

For small files that a stage owns alone: job folders, the weights registry, settings. (The cache takes its
steps in ``cache/format/disk.py``, where each can be made to fail by itself and every publication is read back;
what a flush, a patient rename and a full disk are is said here, once.)
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from clopa_annotator.errors import CacheError, ReadOnlyCampaign, StorageFull

WINDOWS = os.name == "nt"
REPLACE_WAITS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""On Windows a virus scanner or a reader that holds the file makes a rename fail for a moment."""
FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""Errors that mean: no room."""
REFUSED = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Errors that mean: not allowed to write here."""


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file's content in one step; on return it is on the disk.

    Raises:
        StorageFull: no room; the old content is still there.
        ReadOnlyCampaign: the folder cannot be written.
        CacheError: the disk failed otherwise.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            flush(file.fileno())
        patiently(lambda: temporary.replace(path))
        flush_folder(path.parent)
    except OSError as error:
        raise _in_words(error, path) from error


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder with these files appear in one step; on return it is on the disk.

    Args:
        path: must not exist; its parent must.
        files: contents by name.

    Raises:
        StorageFull: no room; the folder did not appear.
        ReadOnlyCampaign: the parent cannot be written.
        CacheError: the folder exists, or the disk failed otherwise.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for name, data in files.items():
            with (temporary / name).open("wb") as file:
                file.write(data)
                file.flush()
                flush(file.fileno())
        flush_folder(temporary)
        patiently(lambda: temporary.rename(path))
        flush_folder(path.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise _in_words(error, path) from error


def append_bytes(path: Path, data: bytes, keep: int) -> None:
    """Write ``data`` after the first ``keep`` bytes of a file; on return it is on the disk.

    What a killed writer left behind ``keep`` is cut off. A kill during the call leaves those bytes and a part
    of ``data``, so the format has to tell a complete entry from a torn one.

    Raises:
        StorageFull: no room.
        ReadOnlyCampaign: the file cannot be written.
        CacheError: the disk failed otherwise.
    """
    try:
        with path.open("r+b" if path.exists() else "x+b") as file:
            file.truncate(keep)
            file.seek(keep)
            file.write(data)
            file.flush()
            flush(file.fileno())
        flush_folder(path.parent)
    except OSError as error:
        raise _in_words(error, path) from error


def flush(descriptor: int) -> None:
    """Bring an open file to the disk.

    Raises:
        OSError: the disk failed; what was written may be lost.
    """
    if sys.platform == "darwin":
        import fcntl

        # macOS: fsync leaves data in the drive's cache, F_FULLFSYNC does not.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def flush_folder(path: Path) -> None:
    """Make renames into and out of a folder durable. Windows has no such call and needs none."""
    if WINDOWS:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def patiently(move: Callable[[], object], waits_s: Sequence[float] | None = None) -> None:
    """Rename or replace, trying again while the file is held.

    Args:
        move: does it.
        waits_s: seconds before each further try; on Windows `REPLACE_WAITS_S` unless given, elsewhere none.

    Raises:
        PermissionError: it is still refused after the last wait.
    """
    for wait_s in (REPLACE_WAITS_S if WINDOWS else ()) if waits_s is None else waits_s:
        try:
            move()
            return
        except PermissionError:
            time.sleep(wait_s)
    move()


def _in_words(error: OSError, path: Path) -> CacheError:
    if error.errno in FULL:
        return StorageFull(f'The disk is full: "{path}" could not be written. Free some space and try again.')
    if error.errno in REFUSED:
        return ReadOnlyCampaign(
            f'"{path}" cannot be written. Check the permissions of its folder, '
            "and that the disk is not mounted read-only."
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return CacheError(f'"{path}" could not be written: the disk reports "{reason}". Check it and try again.')
