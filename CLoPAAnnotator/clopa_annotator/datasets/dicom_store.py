"""The tables of a DICOM index: files with their headers, folders as they were, series as they are listed.

A SQLite file per folder tree, in the user's cache folder and readable by the user only: it holds patient
names for the list on the screen. It can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clopa_annotator.datasets.dicom_headers import Header, Plane, Title
from clopa_annotator.datasets.dicom_series import DicomSeries

logger = logging.getLogger(__name__)

VERSION = 1
"""Grows when the tables, or what is said about a series, change: an index of another version is made anew."""
DAMAGED = "damaged"
WAIT_S = 20.0
"""How long to wait for another program that writes the same index."""
_TABLES = """
CREATE TABLE folders (path TEXT PRIMARY KEY, changed_ns INTEGER, inside TEXT);
CREATE TABLE files (path TEXT PRIMARY KEY, folder TEXT, bytes INTEGER, changed_ns INTEGER, series TEXT,
                    header TEXT);
CREATE INDEX by_folder ON files (folder);
CREATE INDEX by_series ON files (series);
CREATE TABLE titles (series TEXT PRIMARY KEY, title TEXT);
CREATE TABLE series (uid TEXT, key TEXT PRIMARY KEY, row TEXT);
CREATE INDEX by_uid ON series (uid);
"""


def cache_folder() -> Path:
    """Where indexes lie: ``CLOPA_CACHE_DIR``, or the system's place for such files."""
    if os.environ.get("CLOPA_CACHE_DIR"):
        return Path(os.environ["CLOPA_CACHE_DIR"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "CLoPAAnnotator"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "CLoPAAnnotator"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clopa-annotator"


def index_file(name: str) -> Path:
    """The index of a folder tree, or of a list of files called ``name``."""
    return cache_folder() / "dicom" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.sqlite"


class DicomStore:
    """One index; not shared between threads."""

    def __init__(self, file: Path | None) -> None:
        """Open or make it; None, or a place that cannot be written, keeps it in memory only."""
        self._database = _open(file)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def commit(self) -> None:
        """Keep what was written until now, whatever happens next."""
        self._database.commit()

    def clear(self) -> None:
        """Empty every table."""
        for table in ("folders", "files", "titles", "series"):
            self._database.execute(f"DELETE FROM {table}")
        self._database.commit()

    # -- folders and files ---------------------------------------------------------------------------------

    def folders(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Known folders: when they changed last, and the folders in them."""
        rows = self._database.execute("SELECT path, changed_ns, inside FROM folders")
        return {path: (changed, tuple(json.loads(inside))) for path, changed, inside in rows}

    def put_folder(self, path: str, changed_ns: int, inside: Sequence[str]) -> None:
        """A folder has been read to its end."""
        self._database.execute(
            "INSERT OR REPLACE INTO folders VALUES (?, ?, ?)", (path, changed_ns, json.dumps(list(inside)))
        )

    def drop_folder(self, path: str) -> set[str]:
        """A folder is gone; answers the series that had files there."""
        gone = self.files_in(path)
        self._database.execute("DELETE FROM folders WHERE path = ?", (path,))
        return self.drop_files(gone)

    def files_in(self, folder: str) -> dict[str, tuple[int, int]]:
        """Known files of a folder: bytes, and when they changed last."""
        rows = self._database.execute("SELECT path, bytes, changed_ns FROM files WHERE folder = ?", (folder,))
        return {path: (size, changed) for path, size, changed in rows}

    def known(self, path: str) -> tuple[int, int] | None:
        """What is known of one file: bytes, and when it changed last."""
        row = self._database.execute("SELECT bytes, changed_ns FROM files WHERE path = ?", (path,)).fetchone()
        return (row[0], row[1]) if row else None

    def drop_files(self, paths: Iterable[str]) -> set[str]:
        """Files are gone; answers the series that they belonged to."""
        touched = set()
        for path in paths:
            row = self._database.execute("SELECT series FROM files WHERE path = ?", (path,)).fetchone()
            touched |= {row[0]} if row else set()
            self._database.execute("DELETE FROM files WHERE path = ?", (path,))
        return touched - {""}

    def put_file(
        self,
        path: str,
        state: tuple[int, int],
        found: tuple[Header, Title] | None,
        *,
        is_damaged: bool = False,
    ) -> set[str]:
        """A file has been read; None for one that is no DICOM. Answers the series that this changes."""
        touched = self.drop_files([path])
        uid, text = "", DAMAGED if is_damaged else ""
        if found is not None:
            header, title = found
            uid, text = header.series_uid, json.dumps(_packed(header))
            self._database.execute(
                "INSERT OR REPLACE INTO titles VALUES (?, ?)", (uid, json.dumps(list(asdict(title).values())))
            )
        folder = str(Path(path).parent)
        self._database.execute(
            "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", (path, folder, *state, uid, text)
        )
        return (touched | {uid}) - {""}

    def damaged(self) -> int:
        """How many files have damaged headers."""
        rows = self._database.execute("SELECT count(*) FROM files WHERE header = ?", (DAMAGED,))
        return int(rows.fetchone()[0])

    # -- series --------------------------------------------------------------------------------------------

    def headers(self, uid: str) -> list[tuple[str, tuple[int, int], Header]]:
        """The files of a series, in the order of their names, with what is known of each."""
        rows = self._database.execute(
            "SELECT path, bytes, changed_ns, header FROM files WHERE series = ? ORDER BY path", (uid,)
        )
        return [(path, (size, changed), _unpacked(uid, path, text)) for path, size, changed, text in rows]

    def is_alone(self, uid: str) -> bool:
        """Whether all files of a series lie in one folder that holds no other series."""
        rows = self._database.execute(
            "SELECT count(DISTINCT folder), count(DISTINCT series) FROM files WHERE series <> '' "
            "AND folder IN (SELECT folder FROM files WHERE series = ?)",
            (uid,),
        )
        return tuple(rows.fetchone()) == (1, 1)

    def title(self, uid: str) -> Title:
        """What a person knows a series by."""
        row = self._database.execute("SELECT title FROM titles WHERE series = ?", (uid,)).fetchone()
        return Title(*json.loads(row[0])) if row else Title()

    def put_series(self, uid: str, listed: Sequence[DicomSeries]) -> None:
        """Replace what is listed for a series."""
        self._database.execute("DELETE FROM series WHERE uid = ?", (uid,))
        rows = [(uid, s.key, json.dumps([list(asdict(s.title).values()), *_fields(s)])) for s in listed]
        self._database.executemany("INSERT INTO series VALUES (?, ?, ?)", rows)

    def series(self) -> list[DicomSeries]:
        """Everything listed, by patient, study, and number."""
        found = []
        for key, text in self._database.execute("SELECT key, row FROM series"):
            title, *fields = json.loads(text)
            found.append(DicomSeries(key, Title(*title), *fields))
        return sorted(found, key=_place)


def _open(file: Path | None) -> sqlite3.Connection:
    if file is None:
        return _prepared(sqlite3.connect(":memory:"))
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
        return _prepared(sqlite3.connect(file, timeout=WAIT_S))
    except sqlite3.OperationalError as error:
        logger.info("The DICOM index is kept in memory: %s", error)
        return _prepared(sqlite3.connect(":memory:"))
    except sqlite3.DatabaseError:
        logger.info("A DICOM index was damaged; it is made again")
    except OSError as error:
        logger.info("The DICOM index is kept in memory: %s", error.strerror)
        return _prepared(sqlite3.connect(":memory:"))
    try:
        file.unlink(missing_ok=True)
        return _prepared(sqlite3.connect(file))
    except (OSError, sqlite3.DatabaseError):
        return _prepared(sqlite3.connect(":memory:"))


def _prepared(database: sqlite3.Connection) -> sqlite3.Connection:
    """With the tables of this version; an index of another one is emptied."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            database.execute(f'DROP TABLE "{name}"')
        database.executescript(_TABLES)
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.commit()
    return database


def _fields(series: DicomSeries) -> list[Any]:
    return [series.part, series.images, series.size, series.folder, series.note, series.refusal]


def _place(series: DicomSeries) -> tuple[Any, ...]:
    title = series.title
    number = int(title.number) if title.number.lstrip("-").isdecimal() else 1 << 31
    return (title.patient, title.patient_id, title.date, title.study_uid, number, series.key)


def _packed(header: Header) -> list[Any]:
    """A header in as little JSON as possible; the file and the series stand in the row."""
    planes = [
        [p.frame, p.uid, p.position_lps_mm, p.axes, p.spacing_mm, p.shape, p.rescale, p.marks]
        for p in header.planes
    ]
    return [header.modality, header.sop_class, header.is_localiser, header.is_derived, header.samples,
            header.photometric, header.syntax, planes]  # fmt: skip


def _unpacked(uid: str, path: str, text: str) -> Header:
    modality, sop_class, localiser, derived, samples, photometric, syntax, planes = json.loads(text)
    return Header(
        uid, modality, sop_class, localiser, derived, samples, photometric, syntax,
        tuple(
            Plane(path, frame, instance, tuple(position), tuple(axes), tuple(spacing), (shape[0], shape[1]),
                  (rescale[0], rescale[1]), tuple(marks))
            for frame, instance, position, axes, spacing, shape, rescale, marks in planes
        ),
    )  # fmt: skip
