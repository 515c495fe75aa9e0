"""A folder tree of DICOM files as a list of series, the second time without reading a file.

The first scan reads every header once. Later ones look at the folders only: one whose time of change is as it
was has the same files, and one that has changed costs the headers of what is new in it. A file that was
changed in place is noticed when its series is opened.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from clopa_annotator.datasets.dicom_headers import read_header
from clopa_annotator.datasets.dicom_series import SERIES_MARK, DicomSeries, DicomVolume, volumes_of
from clopa_annotator.datasets.dicom_store import DicomStore, index_file
from clopa_annotator.errors import DatasetError, ImageError

SETTLED_NS = 2_000_000_000
"""A folder that changed less than this ago may still change within the same tick of its clock."""
KEPT_EVERY = 500
"""So many headers are kept together; cancelling loses no more."""


@dataclass(frozen=True)
class ScanStep:
    """How far a scan is: so many of so many new or changed files; 0 while folders are looked through."""

    done: int
    total: int


class DicomIndex:
    """The series below a folder, or in a list of files. Close it when done."""

    def __init__(self, name: str, file: Path | None = None) -> None:
        """Open an index.

        Args:
            name: the folder, or what the list of files is called.
            file: of the index; None for its place in the cache folder.
        """
        self._name = name
        self._store = DicomStore(file or index_file(name))
        self.unreadable: list[str] = []
        """Folders that may not be read, and files whose names no program can pass on."""

    @classmethod
    def of_folder(cls, folder: Path, file: Path | None = None) -> DicomIndex:
        """The index of a folder tree.

        Raises:
            DatasetError: there is no such folder.
        """
        if not folder.is_dir():
            raise DatasetError(f"There is no folder {folder}. Choose the folder of the DICOM files.")
        return cls(str(folder.resolve()), file)

    def __enter__(self) -> DicomIndex:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the index's file."""
        self._store.close()

    def forget(self) -> None:
        """Know nothing any more: the next scan reads every header."""
        self._store.clear()

    # -- scanning ------------------------------------------------------------------------------------------

    def scan(self) -> Iterator[ScanStep]:
        """Bring the index up to date with its folder; a step per folder, file to be read, and series.

        Whoever stops asking for steps cancels: what has been read is kept, and the next scan goes on there.

        Raises:
            DatasetError: another program has been writing this index for too long.
        """
        yield from _in_words(self._scan())

    def _scan(self) -> Iterator[ScanStep]:
        known = self._store.folders()
        now_ns = time.time_ns()
        waiting: list[_Folder] = []
        touched: set[str] = set()
        seen: set[str] = set()
        todo = [self._name]
        places: set[tuple[int, int]] = set()
        found = 0
        while todo:
            path = todo.pop()
            folder = self._look(path, known, places, now_ns)
            if folder is None:
                continue
            seen.add(path)
            found += len(folder.changed)
            yield ScanStep(0, found)
            todo.extend(folder.inside)
            if folder.is_new:
                touched |= self._store.drop_files(folder.gone)
                waiting.append(folder)
        for path in known.keys() - seen:
            touched |= self._store.drop_folder(path)
        yield from self._read(waiting, touched)

    def scan_files(self, paths: Iterable[str]) -> Iterator[ScanStep]:
        """The same for a list of files: of Slicer's database, or of one series that has changed."""
        changed = [path for path in paths if _state(path) not in (None, self._store.known(path))]
        folder = _Folder("", 0, (), tuple(changed), (), is_new=False)
        yield from _in_words(self._read([folder], set()))

    def _look(
        self,
        path: str,
        known: dict[str, tuple[int, tuple[str, ...]]],
        places: set[tuple[int, int]],
        now_ns: int,
    ) -> _Folder | None:
        """What has changed in a folder; None if it cannot be read or was seen already (a link to itself)."""
        try:
            status = Path(path).stat()
            place = (status.st_dev, status.st_ino)
            if place in places and status.st_ino:
                return None
            places.add(place)
            before = known.get(path)
            if before is not None and before[0] == status.st_mtime_ns:
                return _Folder(path, status.st_mtime_ns, before[1], (), (), is_new=False)
            with os.scandir(path) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self.unreadable.append(path)
            return None
        odd = [entry for entry in listed if not _is_text(entry.name)]
        self.unreadable += [entry.path.encode("utf-8", "replace").decode() for entry in odd]
        listed = [entry for entry in listed if _is_text(entry.name) and not entry.name.startswith(".")]
        inside = tuple(entry.path for entry in listed if entry.is_dir())
        files = {entry.path: _state(entry.path) for entry in listed if entry.is_file()}
        there = self._store.files_in(path)
        changed = tuple(file for file, state in files.items() if state not in (None, there.get(file)))
        settled = status.st_mtime_ns < now_ns - SETTLED_NS
        changed_ns = status.st_mtime_ns if settled else -1
        return _Folder(path, changed_ns, inside, changed, tuple(there.keys() - files.keys()), is_new=True)

    def _read(self, folders: list[_Folder], touched: set[str]) -> Iterator[ScanStep]:
        total, done = sum(len(folder.changed) for folder in folders), 0
        try:
            for folder in folders:
                for path in folder.changed:
                    state = _state(path)
                    if state is not None:
                        touched |= self._read_one(path, state)
                    done += 1
                    if done % KEPT_EVERY == 0:
                        self._store.commit()
                    yield ScanStep(done, total)
                if folder.is_new:
                    self._store.put_folder(folder.path, folder.changed_ns, folder.inside)
            for uid in sorted(touched):
                self._group(uid)
                touched.remove(uid)
                yield ScanStep(total, total)
        finally:
            # When the scan is cancelled, the series are listed as far as they were read.
            for uid in sorted(touched):
                self._group(uid)
            self._store.commit()

    def _read_one(self, path: str, state: tuple[int, int]) -> set[str]:
        try:
            return self._store.put_file(path, state, read_header(Path(path)))
        except ImageError:
            return self._store.put_file(path, state, None, is_damaged=True)

    def _group(self, uid: str) -> None:
        headers = [header for _, _, header in self._store.headers(uid)]
        found = volumes_of(headers, self._store.title(uid)) if headers else []
        self._store.put_series(uid, [series for series, _ in found])

    # -- asking --------------------------------------------------------------------------------------------

    def series(self) -> list[DicomSeries]:
        """The volumes of all series, refused ones too, by patient, study and number; after a scan."""
        return self._store.series()

    def damaged(self) -> int:
        """How many DICOM files have headers that cannot be read, so that their series lack them."""
        return self._store.damaged()

    def volume(self, key: str) -> DicomVolume:
        """What is needed to read one volume; its files are compared with what the index knows.

        Raises:
            DatasetError: the index has no such series, or its files are gone.
            ImageError: it cannot be annotated; the sentence names the series.
        """
        uid = key.partition("#")[0]
        files = self._store.headers(uid)
        if any(_state(path) != state for path, state, _ in files):
            gone = [path for path, _, _ in files if _state(path) is None]
            self._store.drop_files(gone)
            for _ in self.scan_files([path for path, _, _ in files if path not in gone]):
                pass
        headers = [header for _, _, header in self._store.headers(uid)]
        for series, volume in volumes_of(headers, self._store.title(uid)) if headers else ():
            if series.key == key:
                if volume is None:
                    raise ImageError(series.refusal)
                mark = "" if self._store.is_alone(uid) and key == uid else f"{SERIES_MARK}{key}"
                return replace(volume, source=series.folder + mark)
        raise DatasetError(
            "This DICOM series is not where it was. Add the folder that holds it again, or put its files "
            "back."
        )


@dataclass(frozen=True)
class _Folder:
    path: str
    changed_ns: int
    inside: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    is_new: bool


def _in_words(steps: Iterator[ScanStep]) -> Iterator[ScanStep]:
    try:
        yield from steps
    except sqlite3.OperationalError as error:
        raise DatasetError(
            "The list of this folder's DICOM series cannot be written now; is another program making it? Try "
            "again in a moment."
        ) from error


def _is_text(name: str) -> bool:
    """Whether a file's name is Unicode: old archives hold names in other encodings, as broken characters."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _state(path: str) -> tuple[int, int] | None:
    """A file's length and time of change; None if it is not there."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns)
