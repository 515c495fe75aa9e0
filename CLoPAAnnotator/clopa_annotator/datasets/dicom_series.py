"""From the headers of one series to the volumes in it, each right or refused in a sentence with its name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clopa_annotator.datasets.dicom_grid import SAME_PLACE_MM, grid_of, heights, one_orientation, tilt_degrees
from clopa_annotator.datasets.dicom_headers import MARKS, Header, Plane, Title
from clopa_annotator.errors import ImageError
from clopa_annotator.geometry import Geometry

NO_IMAGES = ("SR", "SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "RTRECORD", "PR", "KO", "REG", "DOC", "AU", "ECG")
"""Modalities whose objects are no images to be segmented."""
_WORDS = {"EchoNumbers": "echo", "EchoTime": "echo", "TemporalPositionIdentifier": "time",
          "DiffusionBValue": "b", "ImageType": "type", "AcquisitionNumber": "acquisition",
          "TriggerTime": "time", "AcquisitionTime": "time", "ContentTime": "time"}  # fmt: skip
SERIES_MARK = "?series="
_RANKED = ("TriggerTime", "AcquisitionTime", "ContentTime")
"""Marks that differ from slice to slice: images at one place are told apart by their order."""


@dataclass(frozen=True)
class DicomSeries:
    """One volume of a series, as it is listed.

    Attributes:
        key: series UID, and ``#`` with the part where a series holds several volumes.
        title: what a person knows it by.
        part: "echo 2", "time 3", ...; empty where a series is one volume.
        images: number of images.
        size: for people: voxels and their size; empty where it is refused.
        folder: of its files, or the nearest one above them all.
        note: what is worth knowing: tilted, derived, something left out.
        refusal: why it cannot be annotated, a sentence with the series' name; empty if it can.
    """

    key: str
    title: Title
    part: str = ""
    images: int = 0
    size: str = ""
    folder: str = ""
    note: str = ""
    refusal: str = ""

    @property
    def name(self) -> str:
        """What sentences call it: number, modality and description, never the patient."""
        return series_name(self.title, self.part)

    def case_id(self, *, with_patient: bool = False) -> str:
        """The name of its case: modality, number and a hash of the UID; the patient's name only if wanted."""
        uid, _, part = self.key.partition("#")
        words = [
            self.title.modality or "DICOM",
            self.title.number,
            hashlib.sha256(uid.encode()).hexdigest()[:10],
        ]
        if with_patient:
            words.insert(0, self.title.patient.replace("^", " ").strip() or self.title.patient_id)
        words.append(part)
        return "-".join(_plain(word) for word in words if word)


@dataclass(frozen=True)
class DicomVolume:
    """What is needed to read a volume.

    Attributes:
        series: see there.
        planes: one per slice, in the order of the grid's k.
        geometry: the grid.
        twins: images at the place of a slice that is there already: (k, image); to be compared with it.
        source: what a campaign keeps as the case's source: the series' folder, and after ``?series=`` the
            key where the folder alone does not say which volume it is; see `place_of`.
    """

    series: DicomSeries
    planes: tuple[Plane, ...]
    geometry: Geometry
    twins: tuple[tuple[int, Plane], ...] = ()
    source: str = ""


def place_of(source: str) -> tuple[str, str, str]:
    """A case's source taken apart: folder or file, series UID, part; the latter two are mostly empty."""
    folder, _, key = source.partition(SERIES_MARK)
    uid, _, part = key.partition("#")
    return folder, uid, part


def series_name(title: Title, part: str = "") -> str:
    """Series 3 (CT, "abdomen"), echo 2."""
    about = [title.modality or "DICOM", f'"{title.description}"' if title.description else "no description"]
    named = f"Series {title.number or 'without number'} ({', '.join(about)})"
    return f"{named}, {part}" if part else named


def volumes_of(headers: Sequence[Header], title: Title) -> list[tuple[DicomSeries, DicomVolume | None]]:
    """The volumes in the files of one series; a refused one has no volume."""
    base = DicomSeries(
        key=headers[0].series_uid,
        title=title,
        images=sum(max(1, len(h.planes)) for h in headers),
        folder=_common_folder(plane.file for h in headers for plane in h.planes),
    )
    try:
        kept, notes = _usable(headers)
        one_orientation(kept)
        parts = _parts(_distinct(kept))
    except ImageError as error:
        return [(_refused(base, error), None)]
    if any(h.is_derived for h in headers):
        notes.append("derived from other images")
    return [_volume(base, word, planes, notes) for word, planes in parts]


def _volume(
    base: DicomSeries, word: str, planes: list[Plane], notes: list[str]
) -> tuple[DicomSeries, DicomVolume | None]:
    key = f"{base.key}#{word.replace(' ', '')}" if word else base.key
    series = replace(base, key=key, part=word, images=len(planes))
    ordered, twins = _in_order(planes)
    try:
        geometry = grid_of(ordered)
    except ImageError as error:
        return _refused(series, error), None
    tilt = tilt_degrees(geometry)
    if tilt > 0.1:
        notes = [*notes, f"gantry tilted by {tilt:.1f} degrees"]
    k, j, i = geometry.shape_kji
    sizes = " x ".join(f"{mm:.3g}" for mm in geometry.spacing_ijk_mm)
    series = replace(series, size=f"{i} x {j} x {k}, {sizes} mm", note="; ".join(notes))
    return series, DicomVolume(series, tuple(ordered), geometry, tuple(twins))


def _refused(series: DicomSeries, error: ImageError) -> DicomSeries:
    sentence = f"{series.name} {error}."
    if ". " not in str(error):
        sentence += (
            " It cannot be annotated as it is; export the complete original series, or convert it first."
        )
    return replace(series, refusal=sentence)


def _usable(headers: Sequence[Header]) -> tuple[list[Plane], list[str]]:
    """The slices that may make up volumes, and what is left out."""
    if all(h.modality in NO_IMAGES or not h.samples for h in headers):
        raise ImageError("holds no images. Choose another series")
    images = [h for h in headers if h.samples and h.modality not in NO_IMAGES]
    if any(h.samples > 1 or not h.photometric.startswith("MONOCHROME") for h in images):
        raise ImageError("is in colour, and only one value per voxel can be annotated. Choose another series")
    originals = [h for h in images if not h.is_localiser]
    if not originals:
        raise ImageError("is a localiser. Choose another series of the study")
    left = len(images) - len(originals)
    notes = [f"{left} localiser image{'s' if left > 1 else ''} left out"] if left else []
    return [plane for h in originals for plane in h.planes], notes


def _distinct(planes: Iterable[Plane]) -> list[Plane]:
    """Without second copies of one instance, which exports often hold."""
    return list({(plane.uid or plane.file, plane.frame): plane for plane in planes}.values())


def _places(planes: Sequence[Plane]) -> list[list[Plane]]:
    """Slices grouped by their place along the normal, in order."""
    along = heights(planes)
    groups: list[list[Plane]] = []
    last = -np.inf
    for index in np.argsort(along, kind="stable"):
        if along[index] - last > SAME_PLACE_MM:
            groups.append([])
        groups[-1].append(planes[index])
        last = along[index]
    return groups


def _parts(planes: list[Plane]) -> list[tuple[str, list[Plane]]]:
    """Split a series with several images per place into its echoes, time points, ...; else it is one part."""
    places = _places(planes)
    most = max(map(len, places))
    if most == 1:
        return [("", planes)]
    for number, mark in enumerate(MARKS):
        ranked = mark in _RANKED
        values = {
            id(plane): _order(place, plane, number) if ranked else plane.marks[number]
            for place in places
            for plane in place
        }
        names = sorted(set(values.values()), key=_natural)
        groups = [[p for p in planes if values[id(p)] == name] for name in names]
        sizes = [len(group) for group in groups]
        apart = all(len({values[id(p)] for p in place}) == len(place) for place in places)
        if apart and len(names) == most and "" not in names and min(sizes) * 2 >= max(sizes):
            word = _WORDS[mark]
            shown = names if word in ("b", "acquisition") else [str(n + 1) for n in range(len(names))]
            return [(f"{word} {said}", group) for said, group in zip(shown, groups, strict=True)]
    if sum(len(place) > 1 for place in places) * 2 > len(places):
        raise ImageError(
            f"has up to {most} images at each place and nothing in their headers that tells them apart"
        )
    return [("", planes)]


def _order(place: Sequence[Plane], plane: Plane, number: int) -> str:
    """The rank of an image among those at its place; "" if they cannot be ranked."""
    values = [p.marks[number] for p in place]
    if "" in values or len(set(values)) < len(values):
        return ""
    return str(sorted(values, key=_natural).index(plane.marks[number]) + 1)


def _natural(text: str) -> tuple[float, str]:
    try:
        return (float(text), "")
    except ValueError:
        return (np.inf, text)


def _in_order(planes: Sequence[Plane]) -> tuple[list[Plane], list[tuple[int, Plane]]]:
    """One slice per place along the normal; the others at that place are its twins."""
    places = _places(planes)
    twins = [(k, other) for k, place in enumerate(places) for other in place[1:]]
    return [place[0] for place in places], twins


def _common_folder(files: Iterable[str]) -> str:
    folders = {Path(file).parent for file in files}
    if not folders:
        return ""
    first = next(iter(folders))
    above = (first, *first.parents)
    return str(next((f for f in above if all(f == g or f in g.parents for g in folders)), first))


def _plain(word: str) -> str:
    """A part of a case id: letters of any script, digits, and little else."""
    return re.sub(r"[^\w.]+", "_", word).strip("_")
