"""One writer per campaign: a lock that the operating system holds, and a file that says who.

The operating system gives the lock back when its process ends, however that happens, so a lock file left
behind by a killed process stops nobody. On file systems without such locks the file itself decides: its
process counts as gone when it ran on this host and no process with its id and start lives.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from clopa_annotator.cache.format.disk import Disk
from clopa_annotator.durable import WINDOWS
from clopa_annotator.errors import CampaignLocked

logger = logging.getLogger(__name__)

# Windows locks byte ranges against reading too, so the locked byte lies beyond what anybody reads.
_LOCKED_BYTE = 1 << 30
_HELD = {errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK}
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@dataclass(frozen=True)
class LockOwner:
    """Who writes to a campaign.

    Attributes:
        pid: process id.
        host: name of the machine.
        since: ISO 8601 instant at which the lock was taken.
        process_start: when the process began, in seconds since 1970; tells a reused process id.
    """

    pid: int
    host: str
    since: str
    process_start: float = 0.0


def _process_start(pid: int) -> float | None:
    """When a process began; None if there is none. 0 if the machine does not say."""
    try:
        import psutil
    except ImportError:
        return 0.0
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None
    except psutil.Error:
        return 0.0


def _is_gone(owner: LockOwner) -> bool:
    """Whether the process surely lives no more."""
    if owner.host != socket.gethostname():
        return False
    start = _process_start(owner.pid)
    if start is None:
        return True
    return bool(start and owner.process_start and abs(start - owner.process_start) > 2.0)


def _try_lock(descriptor: int) -> bool | None:
    """Take the operating system's lock: True taken, False held by another, None not supported here."""
    try:
        if WINDOWS:
            import msvcrt

            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return True


def read_owner(path: Path) -> LockOwner | None:
    """Who the lock file names; None if it is not there or cannot be read."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return LockOwner(
            int(values["pid"]), str(values["host"]), str(values["since"]), float(values["process_start"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


class WriterLock:
    """The right to write to one campaign folder, from construction to `release`.

    Raises:
        CampaignLocked: another process, or this one, holds it.
        OSError: the lock file cannot be made.
    """

    def __init__(self, path: Path, disk: Disk) -> None:
        disk.hook("lock", path)
        self._path = path
        before = read_owner(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            taken = _try_lock(self._descriptor)
            if taken is False or (taken is None and before is not None and not _is_gone(before)):
                raise CampaignLocked(_refusal(path, read_owner(path) or before))
            if before is not None:
                logger.warning("The campaign's last writer (process %d) did not close it", before.pid)
            self._write_owner()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _write_owner(self) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        owner = LockOwner(os.getpid(), socket.gethostname(), now, _process_start(os.getpid()) or 0.0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, json.dumps(asdict(owner)).encode("utf-8"))

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor < 0:
            return
        # Emptied, not removed: whoever waits on a removed file would hold a lock that nobody else sees.
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = -1


def _refusal(path: Path, owner: LockOwner | None) -> str:
    who = f"process {owner.pid} on {owner.host}, since {owner.since}" if owner else "another process"
    return (
        f"The campaign in {path.parent} is being written by {who}. "
        "Close that program first, or open the campaign for reading only."
    )
