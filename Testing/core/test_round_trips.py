"""Exports read by the other program's own library, and imported again by ours: the same bits and place."""

from __future__ import annotations

import os
from pathlib import Path

import highdicom as hd
import nibabel
import nrrd
import numpy as np
import pydicom
import pytest
import slicerio
from cache_helpers import SHAPE, a_confirmation, a_quick_folder, a_store, an_image
from test_exporters import DICOM_GRID, listed, write_series

from clopa_annotator.datasets.volumes import right_handed
from clopa_annotator.exporters import FORMATS, export
from clopa_annotator.geometry import Geometry
from clopa_annotator.importers.import_run import run_import
from clopa_annotator.importers.receiver import StoreReceiver
from clopa_annotator.types import Image
from clopa_annotator.types.imports import ImportOrder

CASES = ("plain", "Ünï/çø dé", "0001")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
CLOSE_MM = 1e-6


@pytest.fixture
def tmp_path(tmp_path: Path):
    with a_quick_folder(tmp_path) as folder:
        yield folder


@pytest.fixture
def store(tmp_path: Path):
    """Two oblique cases from files and one from a DICOM series."""
    with a_store(tmp_path / "campaign", label="lesion") as store:
        for number, case_id in enumerate(CASES):
            store.add_case(case_id, an_image(number))
            store.confirm(a_confirmation(number, case_id))
        voxels = an_image(7).voxels
        write_series(tmp_path / "series", voxels, DICOM_GRID)
        store.add_case("ct", Image(voxels, DICOM_GRID), source=str(tmp_path / "series"))
        store.confirm(a_confirmation(7, "ct"))
        yield store


def matrix_of(store, case_id: str) -> np.ndarray:
    return store.geometry(store.image_hash(case_id)).ijk_to_lps()


def mask_of(store, case_id: str) -> np.ndarray:
    return next(store.read_mask(ref) for ref in store.confirmed() if ref.case_id == case_id)


def corners_off_mm(first: np.ndarray, second: np.ndarray) -> float:
    corners = np.array([[i, j, k, 1] for k in (0, SHAPE[0]) for j in (0, SHAPE[1]) for i in (0, SHAPE[2])])
    return float(np.abs((first - second) @ corners.T).max())


def test_slicerio_reads_the_segmentations(store, tmp_path):
    export(store, "segnrrd", tmp_path / "out")
    for case_id, (_, path) in listed(tmp_path / "out").items():
        read = slicerio.read_segmentation(str(path))
        assert [(s["name"], s["labelValue"]) for s in read["segments"]] == [("lesion", 1)]
        np.testing.assert_array_equal(read["voxels"].transpose(2, 1, 0), mask_of(store, case_id))
        assert corners_off_mm(read["ijkToLPS"], matrix_of(store, case_id)) < CLOSE_MM


def test_pynrrd_reads_the_segmentations_and_the_volumes(store, tmp_path):
    export(store, "segnrrd", tmp_path / "out")
    for case_id, (image, mask) in listed(tmp_path / "out").items():
        for path, voxels in (
            (image, store.read_image(store.image_hash(case_id)).voxels),
            (mask, mask_of(store, case_id)),
        ):
            read, header = nrrd.read(str(path))
            np.testing.assert_array_equal(read.transpose(2, 1, 0), voxels)
            matrix = np.eye(4)
            matrix[:3, :3], matrix[:3, 3] = header["space directions"].T, header["space origin"]
            assert corners_off_mm(matrix, matrix_of(store, case_id)) < CLOSE_MM


def test_nibabel_reads_images_and_masks_in_the_same_place(store, tmp_path):
    export(store, "nifti", tmp_path / "out")
    for case_id, (image, mask) in listed(tmp_path / "out").items():
        for path, voxels in (
            (image, store.read_image(store.image_hash(case_id)).voxels),
            (mask, mask_of(store, case_id)),
        ):
            read = nibabel.load(path)
            np.testing.assert_array_equal(np.asarray(read.dataobj).transpose(2, 1, 0), voxels)
            # NIfTI keeps its matrix in single precision; test_nifti_precision.py has the limit.
            off_mm = corners_off_mm(read.affine, LPS_TO_RAS @ matrix_of(store, case_id))
            assert off_mm < 1e-5


def test_nnunets_own_check_finds_nothing(store, tmp_path, monkeypatch):
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, os.fspath(tmp_path))
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    export(store, "nnunet", tmp_path / "out")
    (folder,) = (tmp_path / "out").glob("Dataset001_*")
    verify_dataset_integrity(str(folder), num_processes=1)
    (folder / "labelsTr" / "plain.nii.gz").unlink()
    with pytest.raises((AssertionError, RuntimeError, FileNotFoundError)):
        verify_dataset_integrity(str(folder), num_processes=1)


def test_highdicom_and_pydicom_read_the_segmentation_of_the_series(store, tmp_path):
    export(store, "dicomseg", tmp_path / "out")
    (path,) = listed(tmp_path / "out")["ct"]
    segmentation = hd.seg.segread(path)
    volume = segmentation.get_volume(combine_segments=True)
    array = np.zeros(SHAPE, np.uint8)
    inside = np.linalg.inv(matrix_of(store, "ct")) @ [*volume.position, 1.0]
    first = round(float(inside[2]))
    step = 1 if np.dot(volume.direction[:, 0], np.reshape(DICOM_GRID.direction, (3, 3))[:, 2]) > 0 else -1
    for number, plane in enumerate(volume.array):
        array[first + step * number] = plane
    np.testing.assert_array_equal(array, mask_of(store, "ct"))
    dataset = pydicom.dcmread(path)
    for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
                 "StudyDate", "FrameOfReferenceUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality",
                 "ContentLabel",
                 "SegmentSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
                 "DimensionOrganizationSequence", "ReferencedSeriesSequence"):  # fmt: skip
        assert name in dataset, f"{name} is of type 1 or 2 in a segmentation (DICOM PS3.3, A.51)"
    assert dataset.file_meta.MediaStorageSOPClassUID == dataset.SOPClassUID


@pytest.mark.parametrize("format", FORMATS)
def test_our_own_import_of_our_own_export_is_the_same_to_the_bit(store, tmp_path, format):
    export(store, format, tmp_path / "out")
    with a_store(tmp_path / "again", label="lesion") as again:
        if format == "dicomseg":
            again.add_case("ct", store.read_image(store.image_hash("ct")), source=str(tmp_path / "series"))
        report = run_import(ImportOrder(tmp_path / "out"), StoreReceiver(again, "B"))
        wanted = ("ct",) if format == "dicomseg" else (*CASES, "ct")
        assert {o.case_id for o in report.of("imported")} == set(wanted)
        assert not any(o.resampled for o in report.outcomes)
        for case_id in wanted:
            np.testing.assert_array_equal(mask_of(again, case_id), mask_of(store, case_id))
            close = 1e-5 if format in ("nifti", "nnunet", "msd") else CLOSE_MM
            assert corners_off_mm(matrix_of(again, case_id), matrix_of(store, case_id)) < close
            record = again.record(next(ref for ref in again.confirmed() if ref.case_id == case_id))
            assert record.imported.author == "Dr. Ä"
        assert {
            o.became for o in run_import(ImportOrder(tmp_path / "out"), StoreReceiver(again, "B")).outcomes
        } == {"already there"}


def test_a_mask_that_was_exported_goes_back_onto_its_own_image(store, tmp_path):
    """The image of a NIfTI file has rounded the last bits of its grid; the mask still finds its case."""
    export(store, "nifti", tmp_path / "out")
    with a_store(tmp_path / "again", label="lesion") as again:
        for case_id in CASES:
            again.add_case(case_id, store.read_image(store.image_hash(case_id)))
        report = run_import(ImportOrder(tmp_path / "out" / "masks", images={}), StoreReceiver(again, "B"))
        assert {o.case_id for o in report.of("imported")} == {"plain", "0001"}
        np.testing.assert_array_equal(mask_of(again, "0001"), mask_of(store, "0001"))


def test_left_handed_images_are_added_as_slicer_holds_them(tmp_path):
    grid = Geometry(SHAPE, (0.5, 0.75, 3.0), (1.0, 2.0, 3.0), (1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    image = an_image(1)
    turned = right_handed(Image(image.voxels, grid))
    assert np.linalg.det(np.reshape(turned.geometry.direction, (3, 3))) > 0
    np.testing.assert_array_equal(turned.voxels[::-1], image.voxels)
    for k in (0, SHAPE[0] - 1):
        before = grid.ijk_to_lps() @ [2, 3, k, 1]
        after = turned.geometry.ijk_to_lps() @ [2, 3, SHAPE[0] - 1 - k, 1]
        np.testing.assert_allclose(before, after, atol=1e-9)
    assert right_handed(turned) is turned
