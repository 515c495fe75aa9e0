"""What happened to the weights, in order: an append-only file that decides which version is current.

One JSON object per line; the line is complete if its ``check`` fits. An entry counts from the moment its line
is on the disk, so there is no state in which two files disagree. A line torn by a kill is no entry, and the
next one is written over it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from clopa_annotator.durable import append_bytes
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.types import GateDecision

What = Literal["created", "added", "promoted", "rejected", "rolled_back"]


@dataclass(frozen=True)
class HistoryEntry:
    """One thing that happened.

    Attributes:
        sequence: from 1, without gaps.
        what: "promoted" and "rolled_back" change which version is current.
        version: the version it happened to.
        at: ISO 8601 instant, for people.
        by: who rolled back; empty for what the program decided.
        decision: the gate's, for "promoted" and "rejected".
    """

    sequence: int
    what: What
    version: int
    at: str
    by: str = ""
    decision: GateDecision | None = None


class History:
    """The file; read anew each time, because another process may append to it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> tuple[HistoryEntry, ...]:
        """Everything that happened, oldest first.

        Raises:
            CorruptRecord: a line is damaged.
        """
        return self._read()[0]

    def current_version(self) -> int:
        """Number of the version that was promoted or rolled back to last; 0 if none was."""
        deciding = [e for e in self.entries() if e.what in ("promoted", "rolled_back")]
        return deciding[-1].version if deciding else 0

    def decision_on(self, version: int) -> GateDecision | None:
        """The gate's last decision on a version."""
        decisions = [e.decision for e in self.entries() if e.version == version and e.decision]
        return decisions[-1] if decisions else None

    def append(
        self, what: What, version: int, *, by: str = "", decision: GateDecision | None = None
    ) -> HistoryEntry:
        """Add an entry; on return it is on the disk.

        Raises:
            CacheError: it could not be written; it does not count.
        """
        entries, length = self._read()
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        entry = HistoryEntry(len(entries) + 1, what, version, now, by, decision)
        append_bytes(self._path, _line(entry), keep=length)
        return entry

    def _read(self) -> tuple[tuple[HistoryEntry, ...], int]:
        """The entries, and the length in bytes of the lines that hold them."""
        data = self._path.read_bytes() if self._path.exists() else b""
        entries: list[HistoryEntry] = []
        length = 0
        lines = data.splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):  # torn by a kill before it counted
                break
            entry = _entry(line)
            if entry is None or entry.sequence != number:
                raise CorruptRecord(
                    f'Line {number} of "{self._path}" is damaged. Restore the file from a backup; '
                    "the weights themselves are in the version folders beside it."
                )
            entries.append(entry)
            length += len(line)
        return tuple(entries), length


def check_of(values: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, of plain values in a fixed spelling."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def decision_from(values: Mapping[str, Any] | None) -> GateDecision | None:
    """A gate decision out of JSON."""
    if values is None:
        return None
    known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return GateDecision(**known)


def _line(entry: HistoryEntry) -> bytes:
    values = json.loads(json.dumps(asdict(entry)))
    return (json.dumps({**values, "check": check_of(values)}, ensure_ascii=False) + "\n").encode()


def _entry(line: bytes) -> HistoryEntry | None:
    """The entry in a line; None if the line is not what was written."""
    try:
        values = json.loads(line)
        if values.pop("check") != check_of(values):
            return None
        return HistoryEntry(**{**values, "decision": decision_from(values["decision"])})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
