"""Exports, read back by the programs that they are for."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import slicerio
from cache_helpers import SHAPE, a_confirmation, a_mask, a_quick_folder, a_store, an_image, flip_bit
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from clopa_annotator.datasets import MsdDataset
from clopa_annotator.errors import ConfigError, StorageFull
from clopa_annotator.exporters import FORMATS, export
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Image

CASES = ("plain-1", "Ünï/çø dé", "PLAIN-1", "con")
DICOM_GRID = Geometry(SHAPE, (0.5, 0.75, 3.0), (-12.5, 30.25, 7.0), (1, 0, 0, 0, 0, 1, 0, -1, 0))


@pytest.fixture
def tmp_path(tmp_path: Path):
    with a_quick_folder(tmp_path) as folder:
        yield folder


@pytest.fixture
def store(tmp_path):
    with a_store(tmp_path / "campaign", label="lesion") as store:
        for number, case_id in enumerate(CASES):
            store.add_case(case_id, an_image(number))
            store.confirm(a_confirmation(number, case_id))
        store.add_case("withdrawn", an_image(9))
        store.confirm(a_confirmation(9, "withdrawn"))
        store.withdraw("withdrawn", "A", "wrong")
        store.add_case("to do", an_image(10))
        yield store


def listed(out: Path) -> dict[str, list[Path]]:
    content = json.loads((out / "cases.json").read_text(encoding="utf-8"))
    return {entry["case_id"]: [out / f for f in entry["files"]] for entry in content["cases"]}


def check_volume(path: Path, voxels: np.ndarray, geometry: Geometry, tolerance: float = 1e-5) -> None:
    volume = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), voxels)
    np.testing.assert_allclose(volume.GetSpacing(), geometry.spacing_ijk_mm, atol=tolerance)
    np.testing.assert_allclose(volume.GetOrigin(), geometry.origin_lps_mm, atol=tolerance)
    np.testing.assert_allclose(volume.GetDirection(), geometry.direction, atol=tolerance)


@pytest.mark.parametrize("format", ["segnrrd", "nifti", "nnunet", "msd"])
def test_every_current_case_and_no_other_is_read_back_by_simpleitk(store, tmp_path, format):
    report = export(store, format, tmp_path / "out")
    assert (report.format, report.written, report.left_out) == (format, CASES, ())
    files = listed(tmp_path / "out")
    assert tuple(files) == CASES
    names = [path.name.lower() for pair in files.values() for path in pair[:1]]
    assert len(set(names)) == len(names)
    for number, (image, mask) in enumerate(files.values()):
        check_volume(image, an_image(number).voxels, an_image().geometry)
        check_volume(mask, a_mask(number), an_image().geometry)


def test_slicer_finds_the_segment_by_its_name(store, tmp_path):
    export(store, "segnrrd", tmp_path / "out")
    segmentation = slicerio.read_segmentation(str(tmp_path / "out" / "plain-1.seg.nrrd"))
    assert [s["name"] for s in segmentation["segments"]] == ["lesion"]


def test_nnunet_finds_channels_labels_and_cases(store, tmp_path):
    export(store, "nnunet", tmp_path / "out")
    (folder,) = (tmp_path / "out").glob("Dataset001_*")
    content = json.loads((folder / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "lesion": 1}
    assert content["numTraining"] == len(list((folder / "imagesTr").glob("*_0000.nii.gz"))) == len(CASES)
    images = {p.name.removesuffix("_0000.nii.gz") for p in (folder / "imagesTr").iterdir()}
    assert images == {p.name.removesuffix(".nii.gz") for p in (folder / "labelsTr").iterdir()}


def test_our_own_reader_takes_the_decathlon_layout(store, tmp_path):
    export(store, "msd", tmp_path / "out")
    assert len(MsdDataset(tmp_path / "out")) == len(CASES)


def test_a_half_precision_image_is_exported_in_single_precision(store, tmp_path):
    store.add_case("half", an_image(20, dtype="float16"))
    store.confirm(a_confirmation(20, "half"))
    assert "half" in export(store, "nifti", tmp_path / "out").written
    check_volume(
        tmp_path / "out" / "images" / "half.nii.gz", an_image(20, dtype="float32").voxels, an_image().geometry
    )


def test_a_damaged_case_is_left_out_with_its_reason(store, tmp_path):
    flip_bit(store.folder / store.confirmed()[0].folder / "mask.b2nd", 999)
    report = export(store, "nifti", tmp_path / "out")
    assert report.written == CASES[1:]
    ((case_id, reason),) = report.left_out
    assert case_id == "plain-1"
    assert "damaged" in reason


def test_an_unknown_format_and_a_folder_that_is_not_empty_are_refused(store, tmp_path):
    with pytest.raises(ConfigError, match="segnrrd, nifti, nnunet, msd, dicomseg"):
        export(store, "papyrus", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for format in FORMATS:
        with pytest.raises(ConfigError, match="not an empty folder"):
            export(store, format, tmp_path / "full")


def test_a_full_disk_is_said_in_words(store, tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageFull, match="write the export"):
        export(store, "nifti", tmp_path / "out")


# -- DICOM ---------------------------------------------------------------------------------------------------


def write_series(folder: Path, voxels: np.ndarray, grid: Geometry) -> None:
    """A CT series of one instance per slice, in an order of file names that is not that of the slices."""
    folder.mkdir(parents=True)
    study, series, frame = hd.UID(), hd.UID(), hd.UID()
    matrix = grid.ijk_to_lps()
    direction = np.reshape(grid.direction, (3, 3))
    for k, plane in enumerate(voxels):
        instance = pydicom.Dataset()
        instance.file_meta = FileMetaDataset()
        instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        instance.SOPClassUID, instance.SOPInstanceUID = CTImageStorage, hd.UID()
        instance.StudyInstanceUID, instance.SeriesInstanceUID, instance.FrameOfReferenceUID = (
            study,
            series,
            frame,
        )
        instance.PatientID, instance.PatientName, instance.Modality = "P1", "Test^Case", "CT"
        instance.PatientBirthDate = instance.PatientSex = instance.StudyID = instance.AccessionNumber = ""
        instance.StudyDate = instance.StudyTime = instance.ReferringPhysicianName = ""
        instance.SeriesNumber, instance.InstanceNumber = 1, k + 1
        instance.PositionReferenceIndicator = None
        instance.ImagePositionPatient = [float(x) for x in (matrix @ [0, 0, k, 1])[:3]]
        instance.ImageOrientationPatient = [float(x) for x in (*direction[:, 0], *direction[:, 1])]
        instance.PixelSpacing = [grid.spacing_ijk_mm[1], grid.spacing_ijk_mm[0]]
        instance.SliceThickness = grid.spacing_ijk_mm[2]
        instance.Rows, instance.Columns = plane.shape
        instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
        instance.BitsAllocated, instance.BitsStored, instance.HighBit, instance.PixelRepresentation = (
            16,
            16,
            15,
            1,
        )
        instance.PixelData = plane.astype("<i2").tobytes()
        instance.save_as(folder / f"{99 - k:03d}.dcm", enforce_file_format=True)


@pytest.fixture
def dicom_store(tmp_path):
    with a_store(tmp_path / "campaign", label="lesion") as store:
        voxels = an_image(3).voxels
        write_series(tmp_path / "series", voxels, DICOM_GRID)
        (tmp_path / "series" / "readme.txt").write_text("no DICOM")
        store.add_case("ct", Image(voxels, DICOM_GRID), source=str(tmp_path / "series"))
        store.confirm(a_confirmation(3, "ct"))
        yield store


def test_a_dicom_segmentation_has_the_mask_on_the_right_slices_and_the_patient_of_its_series(
    dicom_store, tmp_path
):
    report = export(dicom_store, "dicomseg", tmp_path / "out")
    assert report.written == ("ct",)
    segmentation = hd.seg.segread(tmp_path / "out" / "ct.dcm")
    source = [pydicom.dcmread(p) for p in (tmp_path / "series").glob("*.dcm")]
    source.sort(key=lambda instance: instance.InstanceNumber)
    pixels = segmentation.get_pixels_by_source_instance(
        [instance.SOPInstanceUID for instance in source],
        combine_segments=True,
        ignore_spatial_locations=False,
    )
    np.testing.assert_array_equal(pixels, a_mask(3))
    assert (segmentation.PatientID, segmentation.StudyInstanceUID) == ("P1", source[0].StudyInstanceUID)
    assert list(segmentation.segment_numbers) == [1]
    assert segmentation.get_segment_description(1).segment_label == "lesion"


def test_a_series_in_folders_below_the_source_is_found(dicom_store, tmp_path):
    (tmp_path / "series" / "part" / "deep").mkdir(parents=True)
    for path in list((tmp_path / "series").glob("*.dcm"))[:3]:
        path.rename(tmp_path / "series" / "part" / "deep" / path.name)
    assert export(dicom_store, "dicomseg", tmp_path / "out").written == ("ct",)


def test_cases_that_a_dicom_segmentation_cannot_be_made_for_are_left_out_with_a_sentence(
    dicom_store, tmp_path
):
    series = str(tmp_path / "series")
    voxels = an_image(3).voxels
    shifted = Geometry(SHAPE, DICOM_GRID.spacing_ijk_mm, (0.0, 0.0, 0.0), DICOM_GRID.direction)
    dicom_store.add_case("elsewhere", Image(voxels, shifted), source=series)
    dicom_store.add_case("file", an_image(4), source="somewhere.nii.gz")
    dicom_store.add_case("unknown", an_image(5))
    dicom_store.add_case("empty", Image(voxels, DICOM_GRID), source=series)
    for number, case_id in enumerate(["elsewhere", "file", "unknown"]):
        dicom_store.confirm(a_confirmation(number, case_id))
    dicom_store.confirm(a_confirmation(8, "empty", mask=np.zeros(SHAPE, np.uint8)))
    report = export(dicom_store, "dicomseg", tmp_path / "out")
    reasons = dict(report.left_out)
    assert report.written == ("ct",)
    assert "voxel grid" in reasons["elsewhere"]
    assert "somewhere.nii.gz" in reasons["file"]
    assert "not known" in reasons["unknown"]
    assert "empty" in reasons["empty"]


def without(folder: Path, names: tuple[str, ...]) -> Path:
    """The series in a folder, with attributes taken away."""
    for path in folder.glob("*.dcm"):
        instance = pydicom.dcmread(path)
        for name in names:
            delattr(instance, name)
        instance.save_as(path)
    return folder


def add_series(store, folder: Path, lacking: tuple[str, ...]) -> None:
    voxels, name = an_image(3).voxels, "-".join(lacking)
    write_series(folder / name, voxels, DICOM_GRID)
    store.add_case(name, Image(voxels, DICOM_GRID), source=str(without(folder / name, lacking)))
    store.confirm(a_confirmation(3, name, confirmation_id=name))


def test_what_may_be_empty_in_dicom_is_made_up_for_and_the_series_stays_as_it_is(dicom_store, tmp_path):
    lacking = ("PatientBirthDate", "PatientSex", "PatientID", "PatientName", "StudyID", "StudyDate",
               "StudyTime", "AccessionNumber", "SliceThickness", "ReferringPhysicianName")  # fmt: skip
    add_series(dicom_store, tmp_path, lacking)
    report = export(dicom_store, "dicomseg", tmp_path / "out")
    assert report.written == ("ct", "-".join(lacking))
    (path,) = listed(tmp_path / "out")["-".join(lacking)]
    segmentation = hd.seg.segread(path)
    assert (segmentation.PatientBirthDate, segmentation.AccessionNumber) == ("", "")
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == DICOM_GRID.spacing_ijk_mm[2]
    source = pydicom.dcmread(next((tmp_path / "-".join(lacking)).glob("*.dcm")))
    assert "PatientID" not in source


@pytest.mark.parametrize(
    "name",
    ["FrameOfReferenceUID", "PixelSpacing", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Rows",
     "SOPClassUID", "ImageOrientationPatient"],
)  # fmt: skip
def test_a_series_without_what_a_segmentation_needs_is_left_out_alone_and_named(dicom_store, tmp_path, name):
    add_series(dicom_store, tmp_path, (name,))
    report = export(dicom_store, "dicomseg", tmp_path / "out")
    assert report.written == ("ct",)
    ((case_id, reason),) = report.left_out
    assert case_id == name
    assert f"lacks {name}" in reason
