"""Which case a label belongs to: by the series that it names, by its name, by its name without ``_seg``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from clopa_annotator.errors import GeometryError
from clopa_annotator.importers.label_files import Identity, LabelFile
from clopa_annotator.importers.label_volumes import without_tail

_HEAD = ["PatientID", "FrameOfReferenceUID", "SeriesInstanceUID"]
_UNREADABLE = (InvalidDicomError, OSError)


def series_identity(source: str) -> Identity | None:
    """Whose images lie in the folder that a case came from; None if no DICOM image does."""
    folder = Path(source) if source else None
    if folder is None or not folder.is_dir():
        return None
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        try:
            head = dcmread(path, stop_before_pixels=True, specific_tags=_HEAD)
        except _UNREADABLE:
            continue
        return Identity(
            str(head.get("PatientID") or ""),
            str(head.get("FrameOfReferenceUID") or ""),
            (str(head.get("SeriesInstanceUID") or ""),),
        )
    return None


def check_identity(label: Identity | None, case: Identity | None, name: str) -> None:
    """Refuse the label of another patient, or of another frame of reference.

    Raises:
        GeometryError: both say whose they are, and differ.
    """
    if label is None or case is None:
        return
    if label.patient and case.patient and label.patient != case.patient:
        raise GeometryError(f"{name} belongs to another patient than the case's images.")
    if label.frame and case.frame and label.frame != case.frame:
        raise GeometryError(f"{name} lies in another frame of reference than the case's images.")


class Matcher:
    """Finds the case of a label among the campaign's cases."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Match with cases whose ``sources`` are known: case id to where its image came from."""
        self._sources = dict(sources)
        self._folded = {case_id.casefold(): case_id for case_id in reversed(tuple(sources))}

    @cached_property
    def _by_series(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for case_id, source in self._sources.items():
            identity = series_identity(source)
            for series in identity.series if identity is not None else ():
                found.setdefault(series, case_id)
        return found

    def case_of(self, label: LabelFile) -> str | None:
        """The case's id; None if the campaign has none that fits."""
        by_series = (self._by_series.get(series) for series in label.series)
        found = next((case_id for case_id in by_series if case_id is not None), None)
        return found or self._by_name(label.name)

    def _by_name(self, name: str) -> str | None:
        for candidate in _spellings(name):
            if candidate in self._sources:
                return candidate
        return next(
            (self._folded[c.casefold()] for c in _spellings(name) if c.casefold() in self._folded), None
        )


def _spellings(name: str) -> Iterable[str]:
    yield name
    if without_tail(name) != name:
        yield without_tail(name)
