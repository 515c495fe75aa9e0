"""The campaign's index: an SQLite file that makes lists quick. It holds nothing that the files do not say.

Journal mode DELETE and synchronous EXTRA, one writer (https://www.sqlite.org/pragma.html#pragma_synchronous):
a row that was committed survives a power cut, on local disks and where write-ahead logs do not work. Errors
of SQLite leave here as `OSError`, so that one place turns them into sentences.
"""

from __future__ import annotations

import errno
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clopa_annotator.cache.format.disk import Disk, translate
from clopa_annotator.cache.format.mark import Mark
from clopa_annotator.cache.format.names import case_folder
from clopa_annotator.cache.format.record import CaseEntry, CaseRecord
from clopa_annotator.cache.index_schema import SCHEMA, SCHEMA_VERSION, VERDICTS
from clopa_annotator.errors import CacheError, CorruptRecord
from clopa_annotator.types import CaseState, Slot
from clopa_annotator.types.review import Verdict
from clopa_annotator.types.targets import FIRST

_SLOT = "case_id = ? AND target = ? AND instance = ?"
_ERRNO_BY_TEXT = {
    "disk is full": errno.ENOSPC,
    "readonly database": errno.EROFS,
    "disk I/O error": errno.EIO,
    "unable to open": errno.EACCES,
    "locked": errno.EBUSY,
}


class BrokenIndex(CorruptRecord):
    """The file is not a sound index of this version; the files have to be read again."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f'The index is damaged ({reason}). "clopa cache rebuild" makes it again from the files.'
        )


def _key(case_id: str, slot: Slot) -> tuple[str, str, int]:
    """What names a slot's row; goes with the condition `_SLOT`."""
    return case_id, slot.target, slot.instance


def _as_os_error(error: sqlite3.Error) -> OSError:
    text = str(error)
    number = next((n for part, n in _ERRNO_BY_TEXT.items() if part in text), errno.EIO)
    return OSError(number, text)


class Index:
    """The index file, or an index in memory.

    Args:
        path: the file; None for memory.
        disk: told before each transaction.
        writer: False opens an existing file for reading.

    Raises:
        BrokenIndex: damaged, or another version's.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path | None, disk: Disk, writer: bool = True) -> None:
        self._path = path or Path(":memory:")
        self._disk = disk
        self._lock = threading.RLock()
        self._connection = self._connect(writer)
        try:
            self._prepare(writer)
        except BaseException:
            self._connection.close()
            raise

    def _connect(self, writer: bool) -> sqlite3.Connection:
        memory = str(self._path) == ":memory:"
        target = (
            ":memory:" if memory else f"{self._path.absolute().as_uri()}?mode={'rwc' if writer else 'ro'}"
        )
        try:
            connection = sqlite3.connect(
                target, uri=not memory, timeout=20, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise _as_os_error(error) from error
        connection.row_factory = sqlite3.Row
        return connection

    def _prepare(self, writer: bool) -> None:
        try:
            if writer:
                self._connection.execute("PRAGMA journal_mode = DELETE")
                self._connection.execute("PRAGMA synchronous = EXTRA")
            found = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if writer and found == 0 and not self._tables():
                self._connection.executescript(
                    f"BEGIN IMMEDIATE;{SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;"
                )
            elif found != SCHEMA_VERSION or len(self._tables()) != 6:
                raise BrokenIndex(f"schema version {found}, not {SCHEMA_VERSION}")
        except sqlite3.DatabaseError as error:
            raise self._broken_or_os_error(error) from error

    def _tables(self) -> list[Any]:
        return self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()

    @staticmethod
    def _broken_or_os_error(error: sqlite3.Error) -> Exception:
        if "malformed" in str(error) or "not a database" in str(error):
            return BrokenIndex(str(error))
        return _as_os_error(error)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside the block, or none; durable when the block has ended."""
        with self._lock:
            self._disk.hook("index begin", self._path)
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._disk.hook("index commit", self._path)
                self._connection.execute("COMMIT")
            except BaseException as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise self._broken_or_os_error(error) from error
                raise
            self._disk.hook("index committed", self._path)

    def rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        """The answer to a query."""
        try:
            with self._lock:
                return self._connection.execute(query, values).fetchall()
        except sqlite3.ProgrammingError as error:
            raise CacheError("The campaign was closed; open it again.") from error
        except sqlite3.Error as error:
            found = self._broken_or_os_error(error)
            if isinstance(found, OSError):
                found = translate(found, "read the campaign's index")
            raise found from error

    def _run(self, statement: str, *values: object) -> None:
        self._connection.execute(statement, values)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def is_sound(self) -> bool:
        """Whether SQLite finds no damage in the file."""
        try:
            return bool(self.rows("PRAGMA integrity_check")[0][0] == "ok")
        except CacheError:
            return False

    def last_sequence(self) -> int:
        """The highest sequence number that was ever used up."""
        return int(self.meta("last_sequence") or 0)

    def last_version(self, case_id: str, slot: Slot = FIRST) -> int:
        """The highest version number that a slot of a case ever had; 0 if none."""
        found = self.rows(f"SELECT last_version FROM slots WHERE {_SLOT}", *_key(case_id, slot))
        return int(found[0][0]) if found else 0

    # -- inside a transaction ------------------------------------------------------------------------------

    def set_meta(self, key: str, value: object) -> None:
        """Remember one value."""
        self._run("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)

    def meta(self, key: str) -> Any:
        """A remembered value, or None."""
        found = self.rows("SELECT value FROM meta WHERE key = ?", key)
        return found[0][0] if found else None

    def announce(self, path: str, sequence: int | None = None) -> None:
        """Remember that something is about to appear at this path, and that its number is used up."""
        self._run("INSERT OR REPLACE INTO pending VALUES (?, ?)", path, sequence)
        if sequence is not None:
            self.set_meta("last_sequence", sequence)

    def settle(self, path: str) -> None:
        """Forget an announcement."""
        self._run("DELETE FROM pending WHERE path = ?", path)

    def clear(self) -> None:
        """Forget every image, case and version; sequence numbers and the manifest's copy stay."""
        for table in ("pending", "images", "versions", "slots", "cases"):
            self._run(f"DELETE FROM {table}")

    def add_image(self, image_hash: str) -> None:
        """An image is in the campaign."""
        self._run("INSERT OR IGNORE INTO images VALUES (?)", image_hash)

    def drop_image(self, image_hash: str) -> None:
        """An image is in the campaign no more."""
        self._run("DELETE FROM images WHERE image_hash = ?", image_hash)

    def add_case(self, entry: CaseEntry) -> None:
        """A case with nothing decided."""
        self._run(
            "INSERT INTO cases VALUES (?, ?, ?, ?, ?)",
            *(entry.case_id, entry.number, case_folder(entry.case_id), entry.image_hash, entry.source),
        )

    def _begin_slot(self, case_id: str, slot: Slot) -> None:
        """A row for a slot that has none yet; slots that nobody touched have none."""
        self._run(
            "INSERT OR IGNORE INTO slots VALUES (?, ?, ?, ?, '', 0, 0, NULL, 0, 0, ?, '', NULL, '', '')",
            *(*_key(case_id, slot), CaseState.TODO.name, Verdict.NONE.name),
        )

    def add_version(self, record: CaseRecord, record_hash: str, folder: str) -> None:
        """A confirmed version, which becomes its slot's current one unless it is a second reading."""
        self._run(
            "INSERT INTO versions"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(record.sequence, *_key(record.case_id, record.slot)),
            *(record.case_version, record.confirmation_id),
            *(record.confirmation_hash, record.image_hash, record.mask_hash, record_hash, folder),
            *(record.annotator, record.based_on_version, int(record.conflict), record.first_shown_dice),
            *(len(record.prompts), record.seconds_active, record.weights_version, record.confirmed_at),
            *(record.suggestion.value, record.reading, record.mask_voxels == 0),
        )
        self._begin_slot(record.case_id, record.slot)
        if record.reading == 1:
            self._make_current(record)
            return
        self._run(  # a second person's reading changes nothing of what is shown and trains
            f"UPDATE slots SET versions = versions + 1, last_version = max(last_version, ?) WHERE {_SLOT}",
            *(record.case_version, *_key(record.case_id, record.slot)),
        )

    def _make_current(self, record: CaseRecord) -> None:
        state = CaseState.NEEDS_REVIEW if record.conflict else CaseState.CONFIRMED
        note = (
            "Two people confirmed this case independently; look at both versions." if record.conflict else ""
        )
        self._run(
            f"UPDATE slots SET state = ?, note = ?, versions = versions + 1, current = ?, is_absent = ?,"
            f" last_version = max(last_version, ?), verdict = ?, reviewer = '', judged = NULL,"
            f" comment = '', place = '' WHERE {_SLOT}",
            *(state.name, note, record.sequence, record.mask_voxels == 0, record.case_version),
            *(Verdict.NONE.name, *_key(record.case_id, record.slot)),
        )

    def raise_version(self, folder: str, slot: Slot, case_version: int) -> None:
        """A version with this number was there once; the next one gets a higher number."""
        for row in self.rows("SELECT case_id FROM cases WHERE folder = ?", folder):
            self._begin_slot(row["case_id"], slot)
            self._run(
                f"UPDATE slots SET last_version = max(last_version, ?) WHERE {_SLOT}",
                *(case_version, *_key(row["case_id"], slot)),
            )

    def add_mark(self, mark: Mark) -> None:
        """A decision about a slot of a case."""
        key = _key(mark.case_id, mark.slot)
        self._begin_slot(mark.case_id, mark.slot)
        if mark.case_version is not None:
            self._run(
                f"UPDATE versions SET withdrawn = 1 WHERE {_SLOT} AND case_version = ?",
                *(*key, mark.case_version),
            )
            self._run(f"UPDATE slots SET current = NULL, is_absent = 0 WHERE {_SLOT}", *key)
        note = "" if mark.state in (CaseState.TODO, CaseState.CONFIRMED) else mark.reason
        self._run(
            f"UPDATE slots SET state = ?, note = ?, marks = marks + 1 WHERE {_SLOT}",
            *(mark.state.name, note, *key),
        )
        if mark.action == "accept" and mark.review is not None:
            of = f"(SELECT {{}} FROM versions WHERE {_SLOT} AND case_version = ? AND withdrawn = 0)"
            chosen = (*key, mark.review.case_version)
            self._run(
                f"UPDATE slots SET current = coalesce({of.format('sequence')}, current),"
                f" is_absent = coalesce({of.format('is_absent')}, is_absent) WHERE {_SLOT}",
                *(*chosen, *chosen, *key),
            )
        if mark.action in VERDICTS:
            verdict = VERDICTS[mark.action]
            place = json.dumps(mark.review.place_lps_mm) if mark.review and mark.review.place_lps_mm else ""
            said = (mark.annotator, mark.sequence, mark.reason, place)
            columns = "verdict = ?, reviewer = ?, judged = ?, comment = ?, place = ?"
            self._run(
                f"UPDATE slots SET {columns} WHERE {_SLOT}",
                *(verdict.name, *(("", None, "", "") if verdict is Verdict.NONE else said), *key),
            )
