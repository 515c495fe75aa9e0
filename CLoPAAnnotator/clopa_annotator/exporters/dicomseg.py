"""DICOM Segmentation objects for cases that came from a DICOM series.

A case's source (as given when it was added) must be the folder of its series, which must still be there: a
segmentation object refers to the instances that it segments and takes patient and study from them.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.sr.codedict import codes

from clopa_annotator import __version__
from clopa_annotator.exporters.export_report import Exporting, LeftOut
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CaseRef

TOLERANCE_MM = 0.01


def export_dicomseg(exporting: Exporting) -> None:
    """``<case>.dcm``, one binary segment each."""

    def write(ref: CaseRef, name: str) -> list[Path]:
        geometry = exporting.store.geometry(ref.image_hash)
        instances = matching_series(exporting.store.case(ref.case_id).source, geometry)
        mask = exporting.store.read_mask(ref)
        if not mask.any():
            raise LeftOut("its mask is empty, and a DICOM segmentation needs at least one voxel.")
        path = exporting.out / f"{name}.dcm"
        _segmentation(exporting.store.manifest.label, instances, mask.astype(bool)).save_as(path)
        return [path]

    exporting.each(write)


def matching_series(source: str, geometry: Geometry) -> list[Dataset]:
    """The instances of the case's series, in the order of the grid's slices (k).

    Args:
        source: folder of the series.
        geometry: the case's grid.

    Raises:
        LeftOut: there is no such folder, or no series in it lies on this grid.
    """
    folder = Path(source) if source else None
    if folder is None or not folder.is_dir():
        raise LeftOut(
            "it did not come from a DICOM series, or the series is not there any more "
            f"(its source is {source or 'not known'!r})."
        )
    series: dict[str, list[Dataset]] = defaultdict(list)
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        try:
            instance = dcmread(path)
        except InvalidDicomError:
            continue
        if "ImagePositionPatient" in instance:
            series[str(instance.SeriesInstanceUID)].append(instance)
    for instances in series.values():
        ordered = _in_order(instances, geometry)
        if ordered is not None:
            return ordered
    raise LeftOut(f"no DICOM series in {folder} lies on the case's voxel grid.")


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


def _segmentation(label: str, instances: list[Dataset], mask: np.ndarray) -> hd.seg.Segmentation:
    algorithm = hd.AlgorithmIdentificationSequence(
        name="CLoPA Annotator", version=__version__, family=codes.DCM.ArtificialIntelligence
    )
    segment = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=label[:64],
        segmented_property_category=codes.SCT.Tissue,
        segmented_property_type=codes.SCT.Tissue,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=algorithm,
    )
    return hd.seg.Segmentation(
        source_images=instances,
        pixel_array=mask,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=hd.UID(),
        series_number=900,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="CLoPA Annotator",
        manufacturer_model_name="CLoPA Annotator",
        software_versions=__version__,
        device_serial_number="0",
        series_description=f"CLoPA Annotator: {label}"[:64],
    )
