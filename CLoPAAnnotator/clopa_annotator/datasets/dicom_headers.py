"""What is needed of a DICOM file's header, read with pydicom: no pixels, no patient data beyond the title.

pydicom rather than GDCM's dictionary because positions of multi-frame images lie in nested sequences, which
SimpleITK does not hand out, and because it decodes names in their character set (docs/adr/0040).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from clopa_annotator.errors import DatasetError, ImageError

Vector = tuple[float, ...]

DIRECTORY = "1.2.840.10008.1.3.10"
"""SOP class of a DICOMDIR, which lists files and is no instance of a series."""
_TITLE = ("PatientName", "PatientID", "StudyInstanceUID", "StudyDescription", "StudyDate",
          "SeriesDescription", "SeriesNumber", "Modality")  # fmt: skip
MARKS = ("EchoNumbers", "EchoTime", "TemporalPositionIdentifier", "DiffusionBValue", "ImageType",
         "AcquisitionNumber", "TriggerTime", "AcquisitionTime", "ContentTime")  # fmt: skip
"""What tells images at one position apart, in the order in which it is tried."""
_FILE = ("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "NumberOfFrames",
         "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "ImagePositionPatient",
         "PixelSpacing", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept",
         "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")  # fmt: skip
_TAGS = [*_TITLE, *MARKS, *_FILE]


@dataclass(frozen=True)
class Title:
    """What a person knows a series by. The first two are patient data: for the list on the screen only."""

    patient: str = ""
    patient_id: str = ""
    study_uid: str = ""
    study: str = ""
    date: str = ""
    description: str = ""
    number: str = ""
    modality: str = ""


@dataclass(frozen=True)
class Plane:
    """One slice: a file, or a frame of one.

    Attributes:
        file: its path.
        frame: 0 for a file with one image.
        uid: of the instance.
        position_lps_mm: of the centre of its first voxel; empty if the header has none.
        axes: unit vectors along a row and along a column in LPS, six numbers; empty if there are none.
        spacing_mm: distance between rows and between columns; empty if it is not known.
        shape: rows and columns.
        rescale: slope and intercept.
        marks: values of `MARKS`, "" where there is none.
    """

    file: str
    frame: int
    uid: str
    position_lps_mm: Vector
    axes: Vector
    spacing_mm: Vector
    shape: tuple[int, int]
    rescale: tuple[float, float]
    marks: tuple[str, ...]


@dataclass(frozen=True)
class Header:
    """One file of a series.

    Attributes:
        series_uid: which series.
        modality: CT, MR, SR, ...
        sop_class: UID of the kind of object.
        is_localiser: whether its image type says so.
        is_derived: whether it was computed from other images.
        samples: values per pixel; 0 for an object without pixels.
        photometric: how they are meant, for instance MONOCHROME2.
        syntax: UID of the transfer syntax.
        planes: its slices.
    """

    series_uid: str
    modality: str
    sop_class: str
    is_localiser: bool
    is_derived: bool
    samples: int
    photometric: str
    syntax: str
    planes: tuple[Plane, ...]


@contextmanager
def _lenient() -> Iterator[None]:
    """Without pydicom's warnings about values, which quote them: they may be somebody's name."""
    from pydicom import config

    before = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        config.settings.reading_validation_mode = before


def read_header(path: Path) -> tuple[Header, Title] | None:
    """The header of a file; None if it is no DICOM instance of a series.

    Raises:
        DatasetError: this Python has no pydicom.
        ImageError: the header is damaged.
    """
    try:
        from pydicom import dcmread
    except ImportError as error:
        raise DatasetError(
            "DICOM files cannot be read here: this Python has no pydicom. Use a Slicer with DICOM support, "
            "or convert the series to NIfTI or NRRD."
        ) from error
    force = _looks_bare(path)
    if force is None:
        return None
    try:
        with _lenient():
            dataset = dcmread(path, stop_before_pixels=True, force=force, specific_tags=_TAGS)
            return _header(path, dataset)
    except Exception:  # noqa: BLE001 - pydicom raises many kinds on damaged files
        if force:
            return None  # it only looked like DICOM
        # What pydicom says is not passed on: it quotes values.
        raise ImageError("The header of a DICOM file is damaged. Export the file again.") from None


def holds_dicom(folder: Path, files: int = 200) -> bool:
    """Whether one of the first files below a folder is DICOM; a quick look, not a search."""
    found = (Path(base) / name for base, _, names in os.walk(folder) for name in sorted(names))
    return any(_looks_bare(path) is False for path in islice(found, files))


def _looks_bare(path: Path) -> bool | None:
    """Whether a file is DICOM without the usual preamble; None if it is no DICOM at all."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return None
    if start[128:132] == b"DICM":
        return False
    return True if start[:2] in (b"\x08\x00", b"\x02\x00") and start[3:4] == b"\x00" else None


def _header(path: Path, dataset: Any) -> tuple[Header, Title] | None:
    if "SeriesInstanceUID" not in dataset or _text(dataset, "SOPClassUID") == DIRECTORY:
        return None
    kind = [str(value).upper() for value in _many(dataset.get("ImageType"))]
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    has_image = rows > 0 and columns > 0
    if not has_image:
        planes: tuple[Plane, ...] = ()
    elif len(frames):
        planes = _framed(path, dataset, (rows, columns))
    else:
        count = int(dataset.get("NumberOfFrames") or 1)
        planes = (_single(path, dataset, (rows, columns), has_position=count == 1),)
    meta = getattr(dataset, "file_meta", None)
    header = Header(
        series_uid=_text(dataset, "SeriesInstanceUID"),
        modality=_text(dataset, "Modality"),
        sop_class=_text(dataset, "SOPClassUID"),
        is_localiser="LOCALIZER" in kind,
        is_derived=kind[:1] == ["DERIVED"],
        samples=int(dataset.get("SamplesPerPixel") or 1) if has_image else 0,
        photometric=_text(dataset, "PhotometricInterpretation"),
        syntax=str(meta.get("TransferSyntaxUID", "")) if meta is not None else "",
        planes=planes,
    )
    return header, Title(*(_text(dataset, name) for name in _TITLE))


def _single(path: Path, dataset: Any, shape: tuple[int, int], *, has_position: bool) -> Plane:
    return Plane(
        file=str(path),
        frame=0,
        uid=_text(dataset, "SOPInstanceUID"),
        position_lps_mm=_numbers(dataset.get("ImagePositionPatient"), 3) if has_position else (),
        axes=_numbers(dataset.get("ImageOrientationPatient"), 6),
        spacing_mm=_numbers(dataset.get("PixelSpacing"), 2),
        shape=shape,
        rescale=_rescale(dataset),
        marks=tuple(_text(dataset, name) for name in MARKS),
    )


def _framed(path: Path, dataset: Any, shape: tuple[int, int]) -> tuple[Plane, ...]:
    """The frames of an enhanced image; a frame's own functional groups come before the shared ones."""
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [None])[0]
    planes = []
    for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):

        def group(name: str, frame: Any = frame) -> Any:
            for source in (frame, shared):
                found = source.get(name) if source is not None else None
                if found:
                    return found[0]
            return {}

        content, echo = group("FrameContentSequence"), group("MREchoSequence")
        marks = dict.fromkeys(MARKS, "")
        marks["EchoTime"] = str(echo.get("EffectiveEchoTime") or "")
        marks["TemporalPositionIdentifier"] = str(content.get("TemporalPositionIndex") or "")
        marks["DiffusionBValue"] = str(group("MRDiffusionSequence").get("DiffusionBValue", ""))
        marks["AcquisitionNumber"] = str(content.get("FrameAcquisitionNumber") or "")
        kind = group("MRImageFrameTypeSequence") or group("CTImageFrameTypeSequence")
        marks["ImageType"] = "\\".join(map(str, _many(kind.get("FrameType"))))
        planes.append(
            Plane(
                file=str(path),
                frame=number,
                uid=_text(dataset, "SOPInstanceUID"),
                position_lps_mm=_numbers(group("PlanePositionSequence").get("ImagePositionPatient"), 3),
                axes=_numbers(group("PlaneOrientationSequence").get("ImageOrientationPatient"), 6),
                spacing_mm=_numbers(group("PixelMeasuresSequence").get("PixelSpacing"), 2),
                shape=shape,
                rescale=_rescale(group("PixelValueTransformationSequence")),
                marks=tuple(marks.values()),
            )
        )
    return tuple(planes)


def _rescale(source: Any) -> tuple[float, float]:
    slope, intercept = source.get("RescaleSlope"), source.get("RescaleIntercept")
    return (float(1 if slope in (None, "") else slope), float(0 if intercept in (None, "") else intercept))


def _numbers(value: Any, count: int) -> Vector:
    """So many numbers, or none."""
    found = tuple(float(x) for x in _many(value))
    return found if len(found) == count else ()


def _many(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if not isinstance(value, str) and hasattr(value, "__iter__") else [value]


def _text(dataset: Any, name: str) -> str:
    value = dataset.get(name)
    if value is None:
        return ""
    parts = [str(part) for part in _many(value)] if not hasattr(value, "original_string") else [str(value)]
    return "\\".join(parts).strip().replace("\x00", "")
