"""Which case a label belongs to: by the series that it names, by its name, by its name without ``_seg``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from clopa_annotator.datasets.dicom_series import place_of
from clopa_annotator.errors import DatasetError, GeometryError
from clopa_annotator.importers.label_files import Identity, LabelFile
from clopa_annotator.importers.label_volumes import without_tail

_HEAD = ["PatientID", "FrameOfReferenceUID", "SeriesInstanceUID"]
_UNREADABLE = (InvalidDicomError, OSError)


def identities_in(source: str) -> tuple[Identity, ...]:
    """Whose images lie in the folder that a case came from, or below it: one entry per series.

    Args:
        source: the case's; where it names one series of a folder, only that one counts.
    """
    place, uid, _ = place_of(source)
    folder = Path(place) if place else None
    if folder is None or not folder.is_dir():
        return ()
    found: dict[str, Identity] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            head = dcmread(path, stop_before_pixels=True, specific_tags=_HEAD)
        except _UNREADABLE:
            continue
        series = str(head.get("SeriesInstanceUID") or "")
        if uid not in ("", series):
            continue
        patient, frame = str(head.get("PatientID") or ""), str(head.get("FrameOfReferenceUID") or "")
        found.setdefault(series, Identity(patient, frame, (series,)))
    return tuple(found.values())


def check_identity(label: Identity, images: tuple[Identity, ...], name: str) -> None:
    """Refuse the label of another patient, or of another frame of reference.

    Args:
        label: whose label it is.
        images: whose images the case's folder holds; only the series that the label names count, if any.
        name: how to call the label.

    Raises:
        GeometryError: both say whose they are, and differ.
    """
    candidates = tuple(i for i in images if set(i.series) & set(label.series)) or images
    patients = {i.patient for i in candidates if i.patient}
    if label.patient and patients and label.patient not in patients:
        raise GeometryError(f"{name} belongs to another patient than the case's images.")
    frames = {i.frame for i in candidates if i.frame}
    if label.frame and frames and label.frame not in frames:
        raise GeometryError(f"{name} lies in another frame of reference than the case's images.")


class Matcher:
    """Finds the case of a label among the campaign's cases."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Match with cases whose ``sources`` are known: case id to where its image came from."""
        self._sources = dict(sources)
        self._folded = {case_id.casefold(): case_id for case_id in reversed(tuple(sources))}

    @cached_property
    def _by_series(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for case_id, source in self._sources.items():
            for identity in identities_in(source):
                found.setdefault(identity.series[0], []).append(case_id)
        return found

    def case_of(self, label: LabelFile) -> str | None:
        """The case's id; None if the campaign has none that fits.

        Raises:
            DatasetError: it names a series of which several volumes are cases, and is called as none of them.
        """
        by_name = self._by_name(label.name)
        for series in label.series:
            cases = self._by_series.get(series, [])
            if len(cases) == 1:
                return cases[0]
            if cases and by_name not in cases:
                raise DatasetError(
                    f"{label.called} belongs to a series of which the campaign has several volumes "
                    f"({', '.join(sorted(cases)[:4])}). Call the file as the case that it is meant for."
                )
        return by_name

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
