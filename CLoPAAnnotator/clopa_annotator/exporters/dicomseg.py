"""DICOM Segmentation objects for cases that came from a DICOM series.

A case's source (as given when it was added) must be the folder of its series, which must still be there: a
segmentation object refers to the instances that it segments and takes patient and study from them.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.sr import CodedConcept
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.sr.codedict import codes

from clopa_annotator import __version__
from clopa_annotator.datasets.dicom_index import DicomIndex
from clopa_annotator.datasets.dicom_series import place_of
from clopa_annotator.errors import ClopaError
from clopa_annotator.exporters.chosen_targets import CaseMasks
from clopa_annotator.exporters.dicom_conditions import (
    UTF_8,
    drop_what_lacks_its_partner,
    has_other_letters,
    unmet,
)
from clopa_annotator.exporters.export_report import Exporting, LeftOut
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CaseRef, CodedTerm, Targets

TOLERANCE_MM = 0.01
MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)
"""Attributes of type 2: an object must have them, but they may be empty (DICOM PS3.3, C.7.1 to C.7.4)."""
NEEDED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "Rows",
    "Columns",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
)
"""Attributes of type 1 that are taken over or compared; nobody can make them up."""


def export_dicomseg(exporting: Exporting) -> None:
    """``<case>.dcm``, a binary segment for each target, and for each of several of a kind.

    Empty masks have no segment: an object says where something is.
    """

    def write(case: CaseMasks, name: str) -> list[Path]:
        geometry = exporting.store.geometry(case.image_hash)
        instances = matching_series(exporting.store.case(case.case_id).source, geometry)
        parts = [(r, m) for r, m in zip(case.refs, exporting.masks(case), strict=True) if m.any()]
        if not parts:
            raise LeftOut("its mask is empty, and a DICOM segmentation needs at least one voxel.")
        path = exporting.out / f"{name}.dcm"
        described = [_description(n, exporting.store.targets, ref) for n, (ref, _) in enumerate(parts, 1)]
        flags = np.stack([mask.astype(bool) for _, mask in parts], axis=-1)
        title = ", ".join(target.name for target in exporting.targets)
        try:
            segmentation = _segmentation(title, instances, described, flags)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LeftOut(f"its series does not allow a DICOM segmentation: {error}") from error
        if has_other_letters(segmentation):
            segmentation.SpecificCharacterSet = UTF_8
        lacking = unmet(segmentation)
        if lacking:
            raise LeftOut(f"its series lacks what DICOM requires of a segmentation: {', '.join(lacking)}.")
        segmentation.save_as(path)
        return [path]

    exporting.each(write)


def matching_series(source: str, geometry: Geometry) -> list[Dataset]:
    """The instances of the case's series, in the order of the grid's slices (k).

    Args:
        source: folder of the series, and ``?series=`` with its key where it holds others, or several volumes.
        geometry: the case's grid.

    Raises:
        LeftOut: there is no such folder, or no series in it lies on this grid.
    """
    place, uid, part = place_of(source)
    folder = Path(place) if place else None
    if folder is None or not folder.is_dir():
        raise LeftOut(
            "it did not come from a DICOM series, or the series is not there any more "
            f"(its source is {source or 'not known'!r})."
        )
    lacking: set[str] = set()
    wanted = _instances_of(folder, f"{uid}#{part}") if part else None
    crowded = False
    for series in _series_in(folder, uid).values():
        instances = [i for i in series if wanted is None or str(i.get("SOPInstanceUID")) in wanted]
        missing = {name for name in NEEDED if any(not instance.get(name) for instance in instances)}
        lacking |= missing
        ordered = None if missing else _in_order(instances, geometry)
        crowded = crowded or not (missing or _one_per_place(instances))
        if ordered is not None:
            return _completed(ordered, geometry)
    if lacking:
        raise LeftOut(
            f"the DICOM series in {folder} lacks {', '.join(sorted(lacking))}, "
            "which a DICOM segmentation needs."
        )
    if crowded:
        raise LeftOut(
            f"the DICOM series in {folder} has several images at each place (echoes or time points), and the "
            "case does not say which of them it is. Add it again under another name from the DICOM folder, "
            "or export it as seg.nrrd."
        )
    raise LeftOut(f"no DICOM series in {folder} lies on the case's voxel grid.")


def _instances_of(folder: Path, key: str) -> set[str]:
    """SOP Instance UIDs of one volume of a series that holds several."""
    with DicomIndex.of_folder(folder) as index:
        for _ in index.scan():
            """Until the index knows the folder as it is."""
        try:
            return {plane.uid for plane in index.volume(key).planes}
        except ClopaError as error:
            raise LeftOut(str(error)) from error


def _one_per_place(instances: list[Dataset]) -> bool:
    positions = [tuple(round(float(x), 2) for x in i.ImagePositionPatient) for i in instances]
    return len(set(positions)) == len(positions)


def _series_in(folder: Path, uid: str) -> dict[str, list[Dataset]]:
    """The images in a folder and below it by their series, without pixels; ``uid`` asks for one series."""
    series: dict[str, list[Dataset]] = defaultdict(list)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            instance = dcmread(path, stop_before_pixels=True)
        except InvalidDicomError:
            continue
        if ("Rows" in instance or "ImagePositionPatient" in instance) and uid in (
            "",
            str(instance.get("SeriesInstanceUID", "")),
        ):
            series[str(instance.get("SeriesInstanceUID", ""))].append(instance)
    return series


def _completed(instances: list[Dataset], geometry: Geometry) -> list[Dataset]:
    """The instances in memory, with what may be empty there; the files stay as they are."""
    for instance in instances:
        for name in MAY_BE_EMPTY:
            if name not in instance:
                setattr(instance, name, "")
        drop_what_lacks_its_partner(instance)
        if not instance.get("SliceThickness"):
            instance.SliceThickness = geometry.spacing_ijk_mm[2]
    return instances


def _in_order(instances: list[Dataset], geometry: Geometry) -> list[Dataset] | None:
    """The instances sorted along k, if each lies exactly on one slice of the grid."""
    matrix = geometry.ijk_to_lps()
    by_slice: dict[int, Dataset] = {}
    for instance in instances:
        position = np.array([*(float(x) for x in instance.ImagePositionPatient), 1.0])
        index = np.linalg.inv(matrix) @ position
        k = round(float(index[2]))
        off_mm = np.abs(matrix @ [0, 0, k, 1] - position).max()
        if off_mm > TOLERANCE_MM or k in by_slice or not _has_plane(instance, geometry):
            return None
        by_slice[k] = instance
    if sorted(by_slice) != list(range(geometry.shape_kji[0])):
        return None
    return [by_slice[k] for k in sorted(by_slice)]


def _has_plane(instance: Dataset, geometry: Geometry) -> bool:
    """Whether an instance has the grid's rows, columns, voxel size and in-plane axes."""
    direction = np.reshape(geometry.direction, (3, 3))
    axes = np.concatenate([direction[:, 0], direction[:, 1]])
    spacing_i, spacing_j, _ = geometry.spacing_ijk_mm
    return bool(
        (int(instance.Rows), int(instance.Columns)) == geometry.shape_kji[1:]
        and np.allclose([float(x) for x in instance.ImageOrientationPatient], axes, atol=1e-4)
        and np.allclose([float(x) for x in instance.PixelSpacing], [spacing_j, spacing_i], rtol=1e-4)
    )


def _concept(term: CodedTerm | None) -> CodedConcept:
    """A target's term; tissue where nobody chose one."""
    if term is None:
        return CodedConcept("85756007", "SCT", "Tissue")
    return CodedConcept(
        term.value, term.scheme[:16], term.meaning[:64]
    )  # a longer code has its own attribute


def _description(number: int, targets: Targets, ref: CaseRef) -> hd.seg.SegmentDescription:
    """A segment of a mask; of several of a kind each has a tracking identifier."""
    target = targets.by_key(ref.slot.target)
    name = targets.name_of(ref.slot)[:64]
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=_concept(target.category),
        segmented_property_type=_concept(target.code),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name="CLoPA Annotator", version=__version__, family=codes.DCM.ArtificialIntelligence
        ),
        tracking_id=name if target.instances else None,
        tracking_uid=hd.UID() if target.instances else None,
    )


def _segmentation(
    title: str,
    instances: list[Dataset],
    described: list[hd.seg.SegmentDescription],
    flags: npt.NDArray[np.bool_],
) -> hd.seg.Segmentation:
    """The object; ``flags`` has the axes (k, j, i, segment)."""
    return hd.seg.Segmentation(
        source_images=instances,
        pixel_array=flags,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=hd.UID(),
        series_number=900,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="CLoPA Annotator",
        manufacturer_model_name="CLoPA Annotator",
        software_versions=__version__,
        device_serial_number="0",
        series_description=f"CLoPA Annotator: {title}"[:64],
    )
