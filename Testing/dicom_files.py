"""Small DICOM series, generated: what scanners, PACS exports and post-processing leave in folders.

The voxel (k, j, i) of a series has a value that says where it is, so a slice in the wrong place is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

PATIENT, PATIENT_ID = "Mustermann^Erika", "PID-4711"
SHAPE = (6, 10, 12)
SPACING_KJI = (2.5, 0.8, 0.7)
Change = Callable[[Dataset, int], object]


def voxels(shape: tuple[int, int, int] = SHAPE) -> npt.NDArray[np.int16]:
    """(k, j, i) values that name their place, some of them negative once rescaled."""
    k, j, i = np.indices(shape)
    return np.asarray(100 * k + 10 * j + i + 20, np.int16)


def dataset(path: Path, sop_class: str, syntax: str = ExplicitVRLittleEndian) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, generate_uid()
    meta.TransferSyntaxUID, meta.ImplementationClassUID = syntax, generate_uid()
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.PatientName, made.PatientID = PATIENT, PATIENT_ID
    made.PatientBirthDate, made.PatientSex = "19640812", "F"
    made.StudyInstanceUID, made.StudyID, made.StudyDate = "1.2.3.4", "1", "20240131"
    made.StudyTime, made.AccessionNumber, made.ReferringPhysicianName = "101500", "A1", "Doc"
    made.FrameOfReferenceUID, made.StudyDescription = "1.2.3.4.9", "Thorax Abdomen"
    return made


def put_pixels(made: Dataset, image: npt.NDArray[Any]) -> None:
    made.Rows, made.Columns = image.shape[-2:]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 1
    made.PixelData = np.ascontiguousarray(image, "<i2").tobytes()


def write_series(
    folder: Path,
    *,
    change: Change | None = None,
    number: int = 3,
    description: str = "portal venous",
    shape: tuple[int, int, int] = SHAPE,
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    step: tuple[float, float, float] = (0, 0, SPACING_KJI[0]),
    modality: str = "CT",
    save: Callable[[Dataset, Path], object] | None = None,
    name: str = "IM{:04d}",
) -> list[Path]:
    """One file per slice, in an order of names that is not that of the slices; returns them by slice.

    Args:
        change: what is odd: called with each slice's dataset and k; answering False leaves the slice out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    uid, paths = generate_uid(), []
    for k, image in enumerate(voxels(shape)):
        path = folder / name.format((k * 5 + 2) % 997)
        made = dataset(path, CTImageStorage if modality == "CT" else MRImageStorage)
        made.SeriesInstanceUID, made.SeriesNumber, made.SeriesDescription = uid, number, description
        made.Modality, made.InstanceNumber = modality, k + 1
        made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        made.ImagePositionPatient = [float(-50 + k * s) for s in step]
        made.ImageOrientationPatient = list(orientation)
        made.PixelSpacing, made.SliceThickness = [*SPACING_KJI[1:]], 2.5
        if modality == "CT":
            made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 1, -1000, "HU"
        put_pixels(made, image)
        if change is not None and change(made, k) is False:
            continue
        (save or (lambda ds, to: ds.save_as(to, enforce_file_format=True)))(made, path)
        paths.append(path)
    return paths


def write_times(folder: Path, marks: Iterable[dict[str, Any]], **kwargs: Any) -> None:
    """Several images at each place; ``marks`` are the attributes that tell them apart."""
    uid = generate_uid()
    for number, mark in enumerate(marks):

        def change(made: Dataset, k: int, mark: dict[str, Any] = mark, number: int = number) -> None:
            made.SeriesInstanceUID = uid
            for attribute, value in mark.items():
                setattr(made, attribute, value(k) if callable(value) else value)
            put_pixels(made, voxels()[k] + 1000 * number)

        write_series(folder, change=change, name=f"T{number}-{{:04d}}", **kwargs)


def write_enhanced(
    path: Path,
    *,
    order: Iterable[int] = range(SHAPE[0]),
    slopes: Iterable[float] | None = None,
    times: int = 1,
) -> Path:
    """A multi-frame MR whose frames are stored in any order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = dataset(path, EnhancedMRImageStorage)
    made.SeriesInstanceUID, made.SeriesNumber, made.SeriesDescription = generate_uid(), 7, "T2 multi-frame"
    made.Modality, made.InstanceNumber, made.ImageType = "MR", 1, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    order = [(t, k) for t in range(times) for k in order]
    made.NumberOfFrames = len(order)
    shared = Dataset()
    plane, measures = Dataset(), Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [*SPACING_KJI[1:]], SPACING_KJI[0]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([plane]), Sequence([measures])
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    slopes = list(slopes or [1.0] * len(order))
    frames = []
    for (time, k), slope in zip(order, slopes, strict=True):
        frame, position, values, content = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [-50.0, -50.0, -50 + k * SPACING_KJI[0]]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, 0, "US"
        content.TemporalPositionIndex = time + 1
        frame.PlanePositionSequence, frame.FrameContentSequence = Sequence([position]), Sequence([content])
        frame.PixelValueTransformationSequence = Sequence([values])
        frames.append(frame)
    made.PerFrameFunctionalGroupsSequence = Sequence(frames)
    put_pixels(made, np.stack([voxels()[k] + 1000 * t for t, k in order]))
    made.save_as(path, enforce_file_format=True)
    return path


def write_report(path: Path) -> Path:
    """A structured report: DICOM without an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = dataset(path, "1.2.840.10008.5.1.4.1.1.88.11")
    made.SeriesInstanceUID, made.SeriesNumber, made.Modality = generate_uid(), 99, "SR"
    made.save_as(path, enforce_file_format=True)
    return path


def write_capture(path: Path) -> Path:
    """A screenshot in colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = dataset(path, SecondaryCaptureImageStorage)
    made.SeriesInstanceUID, made.SeriesNumber, made.Modality = generate_uid(), 98, "OT"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 8, 8, 3, "RGB"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation, made.PlanarConfiguration = 7, 0, 0
    made.PixelData = bytes(192)
    made.save_as(path, enforce_file_format=True)
    return path


def resave(path: Path, change: Callable[[Dataset], object]) -> None:
    """Change a file that was written."""
    made = pydicom.dcmread(path)
    change(made)
    made.save_as(path, enforce_file_format=True)
