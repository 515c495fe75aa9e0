"""The registry's files: records that carry a check, and version folders that appear in one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from clopa_annotator.durable import write_folder
from clopa_annotator.errors import CorruptRecord, UnknownVersion
from clopa_annotator.registry.version_history import check_of
from clopa_annotator.types import WeightsVersion

FORMAT = "clopa-weights/1"
VERSION_FILE, DELTA_FILE = "version.json", "delta.safetensors"


def now() -> str:
    """The instant in ISO 8601, for people."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def sealed(values: Mapping[str, Any]) -> bytes:
    """A JSON document with a check over its values."""
    plain = json.loads(json.dumps(values))
    return (json.dumps({**plain, "check": check_of(plain)}, indent=1, ensure_ascii=False) + "\n").encode()


def unsealed(path: Path) -> dict[str, Any]:
    """The values of a document that `sealed` made.

    Raises:
        CorruptRecord: it is not what was written.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        sound = values.pop("check") == check_of(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptRecord(f'"{path}" is damaged. Restore it from a backup.') from error
    if not sound:
        raise CorruptRecord(f'"{path}" is not what was written. Restore it from a backup.')
    return values


class VersionFolders:
    """``versions/0001`` and so on: written once, never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def numbers(self) -> list[int]:
        """Numbers of the versions that are there, ascending."""
        names = [p.name for p in self._folder.iterdir()] if self._folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdecimal())

    def path(self, number: int) -> Path:
        """Where a version lies."""
        return self._folder / f"{number:04d}"

    def read(self, number: int) -> WeightsVersion:
        """A version's lineage, without the gate's decision.

        Raises:
            UnknownVersion: there is none of this number.
            CorruptRecord: its record is damaged.
        """
        path = self.path(number) / VERSION_FILE
        if not path.parent.is_dir():
            raise UnknownVersion(f"There is no weights version {number}; see `clopa weights list`.")
        values = unsealed(path)
        try:
            return WeightsVersion(**{**values, "case_hashes": tuple(values["case_hashes"])})
        except (KeyError, TypeError) as error:
            raise CorruptRecord(f'"{path}" is not a record of this version of the program.') from error

    def write(self, version: WeightsVersion, delta: bytes) -> None:
        """Make a version's folder appear, with its delta.

        Raises:
            CacheError: it could not be written and did not appear.
        """
        lineage = {k: v for k, v in asdict(version).items() if k != "decision"}
        files = {DELTA_FILE: delta, VERSION_FILE: sealed(lineage)}
        write_folder(self.path(version.number), files)
