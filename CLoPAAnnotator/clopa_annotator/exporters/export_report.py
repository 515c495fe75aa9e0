"""What an export did, and what every exporter shares: names, volumes, the list of cases."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
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
from clopa_annotator.errors import CacheError, ClopaError, CorruptRecord
from clopa_annotator.exporters.chosen_targets import CaseMasks, ExportTargets, LabelValues, confirmed_masks
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CaseRef, Mask

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


OnCase = Callable[[int, int], object]
"""Told how many cases are done, of how many."""


class ExportStopped(ClopaError):
    """Somebody stopped the export; nothing of it is left."""


class LeftOut(Exception):
    """A case that the format cannot hold; the text says why."""


class Exporting:
    """One export under way."""

    def __init__(
        self,
        store: CampaignReader,
        format: str,
        out: Path,
        cases: Sequence[str] | None = None,
        on_case: OnCase | None = None,
        stop: Callable[[], bool] | None = None,
        targets: ExportTargets | None = None,
    ) -> None:
        """For `export`; ``out`` is empty. Raises `ConfigError` for an unknown target."""
        self.store = store
        asked = targets or ExportTargets()
        self.targets = asked.of(store.targets)
        priority = tuple(store.targets.by_name(name).key for name in asked.priority)
        self.labels = LabelValues(self.targets, priority or None, asked.instances)
        self._is_plain = len(store.targets) == 1 and not self.targets[0].instances
        self._cases, self._on_case, self._stop = cases, on_case, stop
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

    def each(self, write: Callable[[CaseMasks, str], list[Path]]) -> None:
        """Call ``write`` with every chosen case that has a confirmed mask, and a file name for it.

        Args:
            write: returns the files that it wrote; raises `LeftOut` for a case that cannot be exported.

        Raises:
            ExportStopped: somebody stopped it.
        """
        chosen = None if self._cases is None else set(self._cases)
        found = [
            c for c in confirmed_masks(self.store, self.targets) if chosen is None or c.case_id in chosen
        ]
        for done, case in enumerate(found):
            if self._stop is not None and self._stop():
                raise ExportStopped("The export was stopped; nothing of it is left.")
            name = self._name(case.case_id)
            try:
                self._entries.append(self._entry(case, write(case, name)))
            except (LeftOut, CorruptRecord) as reason:
                self._left_out.append((case.case_id, str(reason)))
            if self._on_case is not None:
                self._on_case(done + 1, len(found))
        for case_id in dict.fromkeys(self._cases or ()):
            if case_id not in {case.case_id for case in found}:
                self._left_out.append((case_id, "it has no confirmed version."))

    def masks(self, case: CaseMasks) -> list[Mask]:
        """A case's masks, compared with their hashes, in the order of its refs."""
        return [self.store.read_mask(ref) for ref in case.refs]

    def label_volume(self, case: CaseMasks) -> npt.NDArray[np.generic]:
        """A case's masks as one (k, j, i) volume of labels.

        Raises:
            LeftOut: a chosen target is not confirmed; its voxels would be taken for background.
            InputError: masks share voxels, and nobody said whose they are.
        """
        there = {ref.slot.target for ref in case.refs}
        lacking = [target.name for target in self.targets if target.key not in there]
        if lacking:
            raise LeftOut(
                f"it has no confirmed mask of {', '.join(lacking)}, which would be taken for background; "
                "confirm it, or choose other targets."
            )
        return self.labels.volume(case.case_id, case.refs, self.masks(case))

    def _name(self, case_id: str) -> str:
        """A file name without suffix: the case id if every program takes it, else a safe one."""
        plain = _PLAIN.fullmatch(case_id) and not _RESERVED.fullmatch(case_id) and not case_id.endswith(".")
        name = case_id if plain and case_id.lower() not in self._names else case_folder(case_id)
        self._names.add(name.lower())
        return name

    def _entry(self, case: CaseMasks, files: list[Path]) -> dict[str, object]:
        entry: dict[str, object] = {
            "case_id": case.case_id,
            "files": [path.relative_to(self.out).as_posix() for path in files],
        }
        if self._is_plain:
            return {**entry, **self._about(case.refs[0]), "image_hash": case.image_hash}
        values = self.labels.of(case.refs)
        masks = [
            {
                "target": self.store.targets.by_key(ref.slot.target).name,
                "instance": ref.slot.instance,
                "label": value,
                **self._about(ref),
            }
            for ref, value in zip(case.refs, values, strict=True)
        ]
        return {**entry, "image_hash": case.image_hash, "masks": masks}

    def _about(self, ref: CaseRef) -> dict[str, object]:
        version = self.store.version(ref.sequence)
        return {
            "case_version": ref.case_version,
            "sequence": ref.sequence,
            "annotator": version.annotator,
            "confirmed_at": version.confirmed_at,
            "mask_hash": ref.mask_hash,
            "record_hash": ref.record_hash,
        }

    def finish(self) -> ExportReport:
        """Write the list of cases, and say what was done."""
        manifest = self.store.manifest
        content = {
            "campaign": manifest.name,
            "label": manifest.label,
            **({} if self._is_plain else {"labels": self.labels.names}),
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
    if path.name.endswith((".nii", ".nii.gz")) and not geometry.is_rectangular:
        # ITK would write other axes than these, with no more than a warning.
        raise LeftOut(
            "its axes are sheared (a tilted gantry), which NIfTI cannot hold; export it as segnrrd."
        )
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
