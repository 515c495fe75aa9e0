"""Who trains and who is held out: decided once per case, here and nowhere else, and kept.

A case gets its role when it is first confirmed, before anything learns from it. Online learning, the
scheduler's episodes, "Train now" and the final episode all ask this book, so that no case validates weights
that have learned from it. A role is for life: a correction, a withdrawal and a second confirmation keep it.

::

    episodes/roles.jsonl       {"sequence", "case_id", "image_hash", "role", "check"}, one line per case

The file only grows. A last line that a kill tore does not count and is written over; a case without a line
has taught nobody anything yet, so it can still get either role. ``docs/formats/episode.md`` is the
specification.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from clopa_annotator.durable import append_bytes, make_folder, write_bytes
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.scheduler import SchedulerSettings, Share, next_is_held_out
from clopa_annotator.types import CaseRef

ROLES = "roles.jsonl"
Role = Literal["train", "held out"]


@dataclass(frozen=True)
class RoleEntry:
    """One case's role.

    Attributes:
        sequence: from 1, without gaps: the order in which roles were given.
        case_id: the case.
        image_hash: its image; another case with the same image gets the same role.
        role: what it is good for, for life.
    """

    sequence: int
    case_id: str
    image_hash: str
    role: Role


class ConfirmedCases(Protocol):
    """What is needed of a campaign's store."""

    def confirmed(self) -> Iterable[CaseRef]:
        """The current version of every confirmed case."""
        ...

    def arrivals(self) -> Mapping[str, int]:
        """The sequence number of each case's first confirmed version."""
        ...

    def image_hash(self, case_id: str) -> str:
        """Hash of a case's image."""
        ...


class AllTargets:
    """The confirmed masks of several targets as one target's; fulfils `ConfirmedCases`.

    A case has one role for all its targets: its image must not stand on both sides.

    Args:
        targets: gives each target's cases, at least one.
    """

    def __init__(self, targets: Callable[[], Sequence[ConfirmedCases]]) -> None:
        self._targets = targets

    def confirmed(self) -> tuple[CaseRef, ...]:
        """The current version of every confirmed mask, by sequence."""
        refs = (ref for cases in self._targets() for ref in cases.confirmed())
        return tuple(sorted(refs, key=lambda ref: ref.sequence))

    def arrivals(self) -> dict[str, int]:
        """The sequence number of each case's first confirmed version of any target."""
        first: dict[str, int] = {}
        for cases in self._targets():
            for case_id, sequence in cases.arrivals().items():
                first[case_id] = min(sequence, first.get(case_id, sequence))
        return first

    def image_hash(self, case_id: str) -> str:
        """Hash of a case's image."""
        return self._targets()[0].image_hash(case_id)


class RoleBook:
    """The file, and the rule that fills it; thread-safe.

    Args:
        path: ``episodes/roles.jsonl`` of a campaign.
        settings: the campaign's scheduler.
        earlier: roles that a campaign without the file has given already, with the cases' images; they are
            written down at once.
        writes: False for a reader of the campaign: what is not in the file is foreseen and not written.

    Raises:
        CorruptRecord: a line of the file is not what was written.
    """

    def __init__(
        self,
        path: Path,
        settings: SchedulerSettings,
        earlier: Mapping[str, tuple[str, Role]],
        writes: bool = True,
    ) -> None:
        self._path, self._settings, self._writes = path, settings, writes
        self._mutex = threading.Lock()
        self._entries, self._length = _read(path)
        if not path.exists() and earlier:
            found = ((case, image, role) for case, (image, role) in earlier.items())
            entries = [RoleEntry(n, *values) for n, values in enumerate(found, start=1)]
            self._entries = {e.case_id: e for e in entries}
            if writes:
                data = b"".join(_line(entry) for entry in entries)
                write_bytes(path, data)
                self._length = len(data)

    def of(self, case_id: str) -> Role | None:
        """A case's role; None if it has none yet."""
        entry = self._entries.get(case_id)
        return entry.role if entry else None

    def decide(self, case_id: str, image_hash: str, present: Container[str]) -> Role:
        """A case's role, given now if it has none; on return it is on the disk.

        Args:
            case_id: the case.
            image_hash: hash of its image.
            present: ids of the cases that are confirmed and not withdrawn.

        Raises:
            CacheError: it could not be written; the case has no role, and nothing may learn from it.
        """
        with self._mutex:
            known = self._entries.get(case_id)
            if known is not None:
                return known.role
            entry = RoleEntry(len(self._entries) + 1, case_id, image_hash, self._next(image_hash, present))
            if self._writes:
                line = _line(entry)
                append_bytes(self._path, line, keep=self._length)
                self._length += len(line)
            self._entries[case_id] = entry
            return entry.role

    def _next(self, image_hash: str, present: Container[str]) -> Role:
        given = list(self._entries.values())
        for entry in given:
            if entry.image_hash == image_hash:  # the same patient twice must not stand on both sides
                return entry.role
        there = [entry for entry in given if entry.case_id in present]
        held_out = next_is_held_out(self._settings, _share(given), _share(there))
        return "held out" if held_out else "train"


class CaseRoles:
    """The roles of a campaign's cases, given in the order in which they were first confirmed.

    Args:
        path: see `RoleBook`; its folder is made if need be.
        settings: the campaign's scheduler.
        cases: the campaign's store.
        earlier: gives the roles of a campaign that has no file yet.
        writes: see `RoleBook`.

    Raises:
        CorruptRecord: the file is damaged.
    """

    def __init__(
        self,
        path: Path,
        settings: SchedulerSettings,
        cases: ConfirmedCases,
        earlier: Callable[[], Mapping[str, tuple[str, Role]]],
        writes: bool = True,
    ) -> None:
        if writes:
            make_folder(path.parent)
        self._cases = cases
        self._book = RoleBook(path, settings, {} if path.exists() else earlier(), writes)

    def of(self, case_id: str) -> Role:
        """Whether a case trains or is held out; given now if this is the first time of asking.

        Raises:
            CacheError: it could not be written down; nothing may learn from the case.
        """
        present = {ref.case_id for ref in self._settle()}
        return self._book.of(case_id) or self._book.decide(case_id, self._cases.image_hash(case_id), present)

    def held_out(self) -> frozenset[int]:
        """Sequence numbers of the confirmed cases that are held out."""
        return frozenset(r.sequence for r in self._settle() if self._book.of(r.case_id) == "held out")

    def _settle(self) -> tuple[CaseRef, ...]:
        """Give every confirmed case a role, the earliest first."""
        arrivals = self._cases.arrivals()
        confirmed = tuple(sorted(self._cases.confirmed(), key=lambda ref: arrivals[ref.case_id]))
        present = {ref.case_id for ref in confirmed}
        for ref in confirmed:
            self._book.decide(ref.case_id, ref.image_hash, present)
        return confirmed


def _share(entries: list[RoleEntry]) -> Share:
    held_out = sum(entry.role == "held out" for entry in entries)
    return Share(len(entries) - held_out, held_out)


def _line(entry: RoleEntry) -> bytes:
    values = asdict(entry)
    return (json.dumps({**values, "check": _check(values)}, ensure_ascii=False) + "\n").encode()


def _check(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> tuple[dict[str, RoleEntry], int]:
    """The entries by case, and the length in bytes of the lines that hold them."""
    data = path.read_bytes() if path.exists() else b""
    entries: dict[str, RoleEntry] = {}
    length = 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):  # torn by a kill before it counted
            break
        entry = _entry(line)
        if entry is None or entry.sequence != number:
            raise CorruptRecord(
                f'Line {number} of "{path}" is damaged. Restore the file from a backup: it says which cases '
                "are held out, and without it a case that was learned from could be taken for an unseen one."
            )
        entries[entry.case_id] = entry
        length += len(line)
    return entries, length


def _entry(line: bytes) -> RoleEntry | None:
    """The entry in a line; None if the line is not what was written."""
    try:
        values = json.loads(line)
        if values.pop("check") != _check(values) or values["role"] not in ("train", "held out"):
            return None
        return RoleEntry(**values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
