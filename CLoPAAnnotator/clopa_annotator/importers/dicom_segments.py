"""DICOM Segmentation objects, binary or as a label map (PS3.3, A.51 and C.8.20), read with pydicom.

Frames are put on a grid of their own by their positions; frames that were left out because they are empty are
zero. Values that say how much of a voxel belongs to a segment (FRACTIONAL) are refused unless they say all or
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from clopa_annotator.errors import DatasetError, GeometryError, ImageError
from clopa_annotator.geometry import Geometry
from clopa_annotator.importers.label_files import Content, Found, Identity, LabelFile, Segment
from clopa_annotator.importers.label_volumes import file_digest
from clopa_annotator.types import Mask

FORMAT = "dicomseg"
BINARY_OR_FRACTIONAL = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
_KINDS = (BINARY_OR_FRACTIONAL, LABEL_MAP)
_OFF_GRID = 0.1
"""Parts of a slice by which a frame may lie beside its place."""

Frame = tuple[int, int, npt.NDArray[np.bool_]]
"""Segment, slice and pixels."""


def segmentations_in(folder: Path) -> list[Path]:
    """The segmentation objects anywhere in a folder, by their headers."""
    return [p for p in sorted(folder.rglob("*")) if p.is_file() and is_segmentation(p)]


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM Segmentation."""
    try:
        with path.open("rb") as file:
            file.seek(128)
            if file.read(4) != b"DICM":
                return False
        head = dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except (OSError, InvalidDicomError):
        return False
    return str(head.get("SOPClassUID", "")) in _KINDS


def find(path: Path) -> Found:
    """The segmentation objects of a folder, or one."""
    files = [path] if path.is_file() else segmentations_in(path)
    return Found(FORMAT, tuple(_label(file) for file in files))


def _label(path: Path) -> LabelFile:
    head = dcmread(
        path, stop_before_pixels=True, specific_tags=["ReferencedSeriesSequence", "ContentCreatorName"]
    )
    return LabelFile(
        path.stem,
        path,
        FORMAT,
        lambda: read_segmentation(path),
        lambda _: file_digest((path,)),
        author=str(head.get("ContentCreatorName") or ""),
        series=_series(head),
    )


def _series(head: Dataset) -> tuple[str, ...]:
    rows = head.get("ReferencedSeriesSequence") or []
    return tuple(str(row.SeriesInstanceUID) for row in rows if "SeriesInstanceUID" in row)


def read_segmentation(path: Path) -> Content:
    """The segments of one object.

    Raises:
        DatasetError: the file cannot be read.
        ImageError: it is no segmentation, or lacks something.
        GeometryError: its frames lie on no grid.
    """
    try:
        dataset = dcmread(path)
        segments = {
            int(row.SegmentNumber): str(row.get("SegmentLabel", "")) for row in dataset.SegmentSequence
        }
        geometry, frames = _on_grid(dataset, path.name)
        planes = list(_frames(dataset, frames, path.name))
    except InvalidDicomError as error:
        raise DatasetError(f"{path.name} is not a DICOM file.") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ImageError(f"{path.name} is not a DICOM segmentation that can be read: {error}") from error
    identity = Identity(
        str(dataset.get("PatientID") or ""), str(dataset.get("FrameOfReferenceUID") or ""), _series(dataset)
    )
    return Content(
        geometry,
        tuple(
            Segment(name or str(number), number, lambda n=number: _mask(planes, n, geometry))  # type: ignore[misc]
            for number, name in sorted(segments.items())
            if number > 0
        ),
        identity,
    )


def _mask(planes: list[Frame], segment: int, geometry: Geometry) -> Mask:
    mask = np.zeros(geometry.shape_kji, np.uint8)
    for number, k, pixels in planes:
        if number == segment:
            mask[k] |= pixels
    return mask


def _frames(dataset: Dataset, slices: list[int], name: str) -> Iterator[Frame]:
    pixels = dataset.pixel_array
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    if len(pixels) != len(slices):
        raise ImageError(f"{name} is damaged: it has {len(pixels)} frames, but describes {len(slices)}.")
    if str(dataset.SOPClassUID) == LABEL_MAP:
        for k, plane in zip(slices, pixels, strict=True):
            for value in np.unique(plane):
                if value:
                    yield int(value), k, plane == value
        return
    most = int(dataset.get("MaximumFractionalValue", 1) or 1)
    fractional = str(dataset.SegmentationType) == "FRACTIONAL"
    if fractional and not np.isin(pixels, (0, most)).all():
        raise ImageError(
            f"{name} holds probabilities or parts of voxels instead of a mask. Threshold it first, "
            "in Slicer for instance."
        )
    for frame, k, plane in zip(dataset.PerFrameFunctionalGroupsSequence, slices, pixels, strict=True):
        group = _group(dataset, frame, "SegmentIdentificationSequence")
        yield int(group.ReferencedSegmentNumber), k, plane == (most if fractional else 1)


def _group(dataset: Dataset, frame: Dataset, name: str) -> Any:
    """A functional group's item: the frame's own, or the one that all frames share."""
    for groups in (frame, *(dataset.get("SharedFunctionalGroupsSequence") or [])):
        if groups.get(name):
            return groups[name][0]
    raise KeyError(f"no {name}")


def _on_grid(dataset: Dataset, name: str) -> tuple[Geometry, list[int]]:
    """The grid of the frames, and the slice of each."""
    frames = list(dataset.PerFrameFunctionalGroupsSequence)
    positions = np.array(
        [[float(x) for x in _group(dataset, f, "PlanePositionSequence").ImagePositionPatient] for f in frames]
    )
    axes = np.array(
        [
            [float(x) for x in _group(dataset, f, "PlaneOrientationSequence").ImageOrientationPatient]
            for f in frames
        ]
    )
    measures = _group(dataset, frames[0], "PixelMeasuresSequence")
    if np.abs(axes - axes[0]).max() > 1e-4:
        raise GeometryError(f"The frames of {name} are turned against each other; they lie on no grid.")
    row, column = axes[0][:3], axes[0][3:]
    normal = np.cross(row, column)
    along = positions @ normal
    spacing_mm = _slice_spacing_mm(along, measures)
    steps = (along - along.min()) / spacing_mm
    first = positions[int(along.argmin())]
    beside = positions - first - np.outer(along - along.min(), normal)
    if np.abs(steps - np.rint(steps)).max() > _OFF_GRID or np.abs(beside).max() > _OFF_GRID * spacing_mm:
        raise GeometryError(f"The frames of {name} do not lie on one regular grid; it cannot be imported.")
    slices = [int(s) for s in np.rint(steps)]
    spacing_j, spacing_i = (float(x) for x in measures.PixelSpacing)
    direction = np.column_stack([row, column, normal]).ravel()
    x, y, z = (float(v) for v in first)
    shape = (max(slices) + 1, int(dataset.Rows), int(dataset.Columns))
    geometry = Geometry(shape, (spacing_i, spacing_j, spacing_mm), (x, y, z), tuple(map(float, direction)))
    return geometry, slices


def _slice_spacing_mm(along_mm: npt.NDArray[np.float64], measures: Any) -> float:
    """As the object says; else the smallest distance of two frames; else the thickness of the one slice."""
    said = float(measures.get("SpacingBetweenSlices") or 0.0)
    if said > 0:
        return said
    gaps = np.diff(np.unique(np.round(along_mm, 4)))
    return float(gaps.min()) if gaps.size else float(measures.get("SliceThickness") or 1.0)
