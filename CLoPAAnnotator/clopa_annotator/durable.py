"""Writing files so that a killed process or a power cut leaves either the old or the new, never half of one.

For small files that a stage owns alone: job folders, the weights registry, settings. (The cache has its own
steps in ``cache/durable.py``, where each can be made to fail by itself and every publication is read back.)
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from clopa_annotator.errors import CacheError, ReadOnlyCampaign, StorageFull

_WINDOWS = os.name == "nt"
# On Windows a virus scanner or a reader that holds the file makes a rename fail for a moment.
_WAITS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8) if _WINDOWS else ()
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM}


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
            _flush(file.fileno(), file.flush)
        _patiently(lambda: temporary.replace(path))
        _flush_folder(path.parent)
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
                _flush(file.fileno(), file.flush)
        _flush_folder(temporary)
        _patiently(lambda: temporary.rename(path))
        _flush_folder(path.parent)
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
            _flush(file.fileno(), file.flush)
        _flush_folder(path.parent)
    except OSError as error:
        raise _in_words(error, path) from error


def _flush(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)


def _flush_folder(path: Path) -> None:
    if _WINDOWS:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _patiently(move: Callable[[], object]) -> None:
    for wait_s in _WAITS_S:
        try:
            move()
            return
        except PermissionError:
            time.sleep(wait_s)
    move()


def _in_words(error: OSError, path: Path) -> CacheError:
    if error.errno in _FULL:
        return StorageFull(f'The disk is full: "{path}" could not be written. Free some space and try again.')
    if error.errno in _REFUSED:
        return ReadOnlyCampaign(
            f'"{path}" cannot be written. Check the permissions of its folder, '
            "and that the disk is not mounted read-only."
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return CacheError(f'"{path}" could not be written: the disk reports "{reason}". Check it and try again.')
