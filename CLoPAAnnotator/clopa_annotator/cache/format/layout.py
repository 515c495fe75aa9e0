"""Where things lie in a campaign folder, and how something new appears in it."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.disk import Disk, explained, native, publish_file, publish_folder, translate
from clopa_annotator.cache.format.mark import Mark
from clopa_annotator.cache.format.record import CaseEntry, CaseRecord
from clopa_annotator.cache.format.sealed import seal
from clopa_annotator.durable import make_folder
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.types import Slot
from clopa_annotator.types.targets import FIRST

logger = logging.getLogger(__name__)

STAGED = re.compile(r"\d+-\d+")
"""Names of what is being prepared: process and number."""
_FOLDERS = (names.IMAGES, names.CASES, names.DRAFTS, names.STAGING, names.QUARANTINE)


def utc_now() -> str:
    """The instant, for people."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def sha256(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Layout:
    """One campaign folder on one disk; paths inside it are text with forward slashes, relative to it."""

    root: Path
    disk: Disk
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False, compare=False)
    _flushed: set[Path] = field(default_factory=set, repr=False, compare=False)

    def path(self, relative: str) -> Path:
        """The absolute path of a path inside the campaign."""
        return native(self.root.joinpath(*PurePosixPath(relative).parts))

    def staged(self) -> Path:
        """A path for something that is being prepared; nothing is there."""
        return self.path(f"{names.STAGING}/{os.getpid()}-{next(self._numbers)}")

    def make_folders(self) -> None:
        """Create the folders that are missing."""
        for name in _FOLDERS:
            if not self.path(name).is_dir():
                self.disk.make_folder(self.path(name))
        self.disk.sync_folder(self.root)

    def clear_staging(self) -> None:
        """Remove what a killed writer had prepared; nothing there was ever confirmed."""
        for path in sorted(self.path(names.STAGING).iterdir()):
            if not STAGED.fullmatch(path.name):
                logger.warning("No writer made %s in %s; it stays", path.name, names.STAGING)
                continue
            logger.info("Removing unfinished %s", path.name)
            self.disk.remove(path)

    def make_slot_folders(self, case_id: str, slot: Slot) -> None:
        """Create the folders that a slot's versions and marks lie in; an empty one means nothing."""
        folder = self.path(f"{names.CASES}/{names.case_folder(case_id)}")
        for name in PurePosixPath(names.slot_folder(slot)).parts:
            inside = folder / name
            known = inside in self._flushed
            if not inside.is_dir():
                self.disk.make_folder(inside)
                known = False
            if not known:
                # One that a killed writer made may be in no flushed folder yet.
                self.disk.sync_folder(folder)
                self._flushed.add(inside)
            folder = inside

    def slot_folders(self, case: str) -> Iterator[tuple[Slot, str]]:
        """The folders that hold versions and marks of a case: its own, then those of its other slots.

        Args:
            case: the case's folder, relative to the campaign; in quarantine too.
        """
        yield FIRST, case
        for key in self.entries(f"{case}/{names.TARGETS}"):
            if not names.TARGET_FOLDER.fullmatch(key):
                continue
            base = f"{case}/{names.TARGETS}/{key}"
            if key != names.FIRST_TARGET:
                yield names.slot_named(key), base
            for instance in self.entries(base):
                if names.INSTANCE_FOLDER.fullmatch(instance):
                    yield names.slot_named(key, instance), f"{base}/{instance}"

    def publish(self, relative: str, files: Mapping[str, bytes]) -> None:
        """Make a folder appear, see `publish_folder`."""
        publish_folder(self.disk, self.staged(), self.path(relative), files)

    def publish_document(self, relative: str, data: bytes, overwrite: bool = False) -> None:
        """Make a file appear, see `publish_file`."""
        publish_file(self.disk, self.staged(), self.path(relative), data, overwrite)

    def read(self, relative: str) -> bytes:
        """A file's bytes.

        Raises:
            CorruptRecord: there is no such file.
            CacheError: the disk does not give it.
        """
        try:
            return self.disk.read(self.path(relative))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CorruptRecord(
                f'{relative} is missing from the campaign; "clopa cache verify" tells what else is.'
            ) from error
        except OSError as error:
            raise translate(error, f"read {relative}") from error

    def entries(self, relative: str) -> list[str]:
        """Names in a folder, sorted; empty if there is no such folder."""
        path = self.path(relative)
        with explained(f"list {relative}"):
            return sorted(p.name for p in path.iterdir()) if path.is_dir() else []

    def exists(self, relative: str) -> bool:
        """Whether a file or folder is there."""
        return self.path(relative).exists()

    # -- the documents -------------------------------------------------------------------------------------

    def case_entry(self, folder: str) -> CaseEntry:
        """``case.json`` of a case's folder; raises `CorruptRecord`."""
        relative = f"{names.CASES}/{folder}/{names.CASE_RECORD}"
        entry = CaseEntry.from_document(self.read(relative), relative)
        if names.case_folder(entry.case_id) != folder:
            raise CorruptRecord(f"{relative} belongs to another folder.")
        return entry

    def case_record(self, version: str) -> tuple[CaseRecord, str]:
        """The record in a version's folder, and its hash; raises `CorruptRecord`."""
        relative = f"{version}/{names.RECORD}"
        document = self.read(relative)
        record = CaseRecord.from_document(document, relative)
        if version != version_path(record.case_id, record.case_version, record.sequence, record.slot):
            raise CorruptRecord(f"{relative} belongs to another folder.")
        return record, sha256(document)

    def mark(self, relative: str) -> Mark:
        """A mark; raises `CorruptRecord`."""
        mark = Mark.from_document(self.read(relative), relative)
        if relative != mark_path(mark.case_id, mark.sequence, mark.slot):
            raise CorruptRecord(f"{relative} belongs to another case.")
        return mark

    def quarantine(self, relative: str, problem: str) -> str:
        """Move something damaged out of the way and write down why; returns where it lies now.

        Raises:
            OSError: it could not be moved.
        """
        taken = [int(n) for n in self.entries(names.QUARANTINE) if n.isdecimal()]
        place = f"{names.QUARANTINE}/{max(taken, default=0) + 1:04d}"
        finding = {"path": relative, "problem": problem, "at": utc_now()}
        self.publish(place, {"finding.json": seal(finding)})
        target = f"{place}/{relative}"
        make_folder(self.path(target).parent)
        self.disk.rename(self.path(relative), self.path(target))
        self.disk.sync_folder(self.path(target).parent)
        self.disk.sync_folder(self.path(relative).parent)
        logger.warning("Moved %s to %s: %s", relative, target, problem)
        return target


def slot_path(case_id: str, slot: Slot = FIRST) -> str:
    """The folder of a slot's versions and marks, relative to the campaign."""
    inside = names.slot_folder(slot)
    return f"{names.CASES}/{names.case_folder(case_id)}" + (f"/{inside}" if inside else "")


def version_path(case_id: str, case_version: int, sequence: int, slot: Slot = FIRST) -> str:
    """A version's folder, relative to the campaign."""
    return f"{slot_path(case_id, slot)}/{names.version_folder(case_version, sequence)}"


def mark_path(case_id: str, sequence: int, slot: Slot = FIRST) -> str:
    """A mark's file, relative to the campaign."""
    return f"{slot_path(case_id, slot)}/{names.mark_file(sequence)}"
