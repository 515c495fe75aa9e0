"""What an export did, and what every exporter shares: names, volumes, the list of cases."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from clopa_annotator import __version__
from clopa_annotator.cache.campaign_store import CampaignReader
from clopa_annotator.cache.format.disk import explained
from clopa_annotator.cache.format.names import case_folder
from clopa_annotator.errors import CacheError, CorruptRecord
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CaseRef

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclass(frozen=True)
class ExportReport:
    """What an export did.

    Attributes:
        format: name of the format.
        written: ids of the cases that were written, in order of arrival.
        left_out: (case id, reason) of the others.
    """

    format: str
    written: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()


class LeftOut(Exception):
    """A case that the format cannot hold; the text says why."""


class Exporting:
    """One export under way."""

    def __init__(self, store: CampaignReader, format: str, out: Path) -> None:
        """For `export`; ``out`` is empty."""
        self.store = store
        self.format = format
        self.out = out
        self._entries: list[dict[str, object]] = []
        self._left_out: list[tuple[str, str]] = []
        self._names: set[str] = set()

    @contextmanager
    def to_disk(self) -> Iterator[None]:
        """Errors of the disk, in words."""
        with explained(f"write the export to {self.out}"):
            yield

    def each(self, write: Callable[[CaseRef, str], list[Path]]) -> None:
        """Call ``write`` with every confirmed case and a file name for it.

        Args:
            write: returns the files that it wrote; raises `LeftOut` for a case that cannot be exported.
        """
        for ref in self.store.confirmed():
            name = self._name(ref.case_id)
            try:
                files = write(ref, name)
            except (LeftOut, CorruptRecord) as reason:
                self._left_out.append((ref.case_id, str(reason)))
                continue
            self._entries.append(self._entry(ref, files))

    def _name(self, case_id: str) -> str:
        """A file name without suffix: the case id if every program takes it, else a safe one."""
        plain = _PLAIN.fullmatch(case_id) and not _RESERVED.fullmatch(case_id) and not case_id.endswith(".")
        name = case_id if plain and case_id.lower() not in self._names else case_folder(case_id)
        self._names.add(name.lower())
        return name

    def _entry(self, ref: CaseRef, files: list[Path]) -> dict[str, object]:
        version = self.store.version(ref.sequence)
        return {
            "case_id": ref.case_id,
            "files": [path.relative_to(self.out).as_posix() for path in files],
            "case_version": ref.case_version,
            "sequence": ref.sequence,
            "annotator": version.annotator,
            "confirmed_at": version.confirmed_at,
            "image_hash": ref.image_hash,
            "mask_hash": ref.mask_hash,
            "record_hash": ref.record_hash,
        }

    def finish(self) -> ExportReport:
        """Write the list of cases, and say what was done."""
        manifest = self.store.manifest
        content = {
            "campaign": manifest.name,
            "label": manifest.label,
            "format": self.format,
            "clopa_annotator": __version__,
            "cases": self._entries,
            "left_out": [{"case_id": case_id, "reason": reason} for case_id, reason in self._left_out],
        }
        write_json(self.out / "cases.json", content)
        written = tuple(str(entry["case_id"]) for entry in self._entries)
        return ExportReport(self.format, written, tuple(self._left_out))


def write_json(path: Path, content: object) -> None:
    """A JSON file for people and programs."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_volume(path: Path, voxels: npt.NDArray[np.generic], geometry: Geometry) -> Path:
    """Write a (k, j, i) array with its grid; the format follows from the suffix. Returns the path.

    Raises:
        LeftOut: the format cannot hold this volume.
        CacheError: the file could not be written.
    """
    if voxels.dtype == np.float16:
        voxels = voxels.astype(np.float32)
    try:
        volume = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
        volume.SetSpacing(geometry.spacing_ijk_mm)
        volume.SetOrigin(geometry.origin_lps_mm)
        volume.SetDirection(geometry.direction)
    except (RuntimeError, TypeError, ValueError) as error:
        raise LeftOut(f"its voxels or its grid do not fit the format ({error}).") from error
    try:
        sitk.WriteImage(volume, str(path), useCompression=True)
    except RuntimeError as error:
        raise CacheError(f"Could not write {path}; is there room on the disk?") from error
    return path
