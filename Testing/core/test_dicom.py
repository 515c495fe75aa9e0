"""DICOM series become volumes with the scanner's geometry, or are refused in a sentence with their name."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import (
    PATIENT,
    PATIENT_ID,
    SHAPE,
    SPACING_KJI,
    put_pixels,
    resave,
    voxels,
    write_capture,
    write_enhanced,
    write_report,
    write_series,
    write_times,
)
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from clopa_annotator.datasets.dicom_index import DicomIndex
from clopa_annotator.datasets.dicom_pixels import read_volume
from clopa_annotator.datasets.dicom_series import DicomSeries
from clopa_annotator.errors import DatasetError, ImageError
from clopa_annotator.types import Image

HOUNSFIELD = -1000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index folder of its own for every test."""
    monkeypatch.setenv("CLOPA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "exported by a PACS"


def scan(folder: Path) -> tuple[list[DicomSeries], int]:
    """The series of a folder, and how many files were read for it."""
    with DicomIndex.of_folder(folder) as index:
        read = max(step.done for step in index.scan())
        return index.series(), read


def read_all(folder: Path) -> dict[str, Image]:
    """Every volume that can be annotated, by its part."""
    with DicomIndex.of_folder(folder) as index:
        list(index.scan())
        return {s.part: read_volume(index.volume(s.key)) for s in index.series() if not s.refusal}


def refusal(folder: Path) -> str:
    (series,) = scan(folder)[0]
    with DicomIndex.of_folder(folder) as index, pytest.raises(ImageError) as refused:
        read_volume(index.volume(series.key))
    return str(refused.value)


def test_a_series_has_the_scanners_voxels_units_and_place(folder: Path) -> None:
    write_series(folder / "a" / "b" / "c")
    image = read_all(folder)[""]
    assert np.array_equal(image.voxels, voxels().astype(int) + HOUNSFIELD)
    assert image.geometry.spacing_kji_mm == pytest.approx(SPACING_KJI)
    assert image.geometry.origin_lps_mm == (-50, -50, -50)


def test_the_grid_is_that_of_simpleitks_own_reader(folder: Path) -> None:
    oblique = (math.cos(0.3), math.sin(0.3), 0, 0, 0, -1)
    normal = np.cross(oblique[:3], oblique[3:])
    paths = write_series(folder, orientation=oblique, step=tuple(-2.5 * normal))
    image = read_all(folder)[""]
    alone = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    assert np.array_equal(image.voxels, sitk.GetArrayFromImage(alone))
    assert np.allclose(image.geometry.spacing_ijk_mm, alone.GetSpacing())
    assert np.allclose(image.geometry.origin_lps_mm, alone.GetOrigin())
    assert np.allclose(image.geometry.direction, alone.GetDirection())
    assert len(paths) == SHAPE[0]


def test_several_series_of_a_tree_are_listed_with_what_a_person_knows_them_by(folder: Path) -> None:
    write_series(folder / "one", number=11, description="late")
    write_series(folder / "two" / "x", number=2, description="early")
    write_report(folder / "sr")
    listed, _ = scan(folder)
    assert [(s.title.number, s.title.description, s.images) for s in listed[:2]] == [
        ("2", "early", 6),
        ("11", "late", 6),
    ]
    assert {(s.title.patient, s.title.study) for s in listed} == {(PATIENT, "Thorax Abdomen")}
    assert listed[2].refusal == "Series 99 (SR, no description) holds no images. Choose another series."


def test_a_case_is_called_by_its_series_and_by_the_patient_only_if_wanted(folder: Path) -> None:
    write_series(folder)
    (series,) = scan(folder)[0]
    assert series.case_id().startswith("CT-3-") and "Muster" not in series.case_id()
    assert series.case_id(with_patient=True).startswith("Mustermann_Erika-CT-3-")
    assert series.folder == str(folder.resolve())


def test_two_series_in_one_folder_are_two_cases(folder: Path) -> None:
    write_series(folder, name="A{:04d}")
    write_series(folder, name="B{:04d}", number=4)
    listed, _ = scan(folder)
    assert len({s.case_id() for s in listed}) == 2


def test_a_tilted_gantry_keeps_its_voxels_and_shears_the_grid(folder: Path) -> None:
    rise = 2.5 * math.tan(math.radians(17))
    write_series(folder, step=(0, rise, 2.5))
    (series,) = scan(folder)[0]
    image = read_all(folder)[""]
    assert "tilted by 17.0 degrees" in series.note
    assert np.array_equal(image.voxels, voxels().astype(int) + HOUNSFIELD)
    corner = image.geometry.ijk_to_lps() @ [0, 0, 5, 1]
    assert np.allclose(corner[:3], [-50, -50 + 5 * rise, -50 + 5 * 2.5])
    assert image.geometry.voxel_volume_mm3 == pytest.approx(math.prod(SPACING_KJI))


def test_positions_rounded_to_a_tenth_are_one_grid(folder: Path) -> None:
    def rounded(made: Any, k: int) -> None:
        made.ImagePositionPatient = [-50, -50, round(-50 + k * 0.625, 1)]

    write_series(folder, change=rounded)
    assert read_all(folder)[""].geometry.spacing_kji_mm[0] == pytest.approx(0.625, rel=0.03)


def place(*z_mm: float) -> Any:
    def change(made: Any, k: int) -> None:
        made.ImagePositionPatient = [-50, -50, z_mm[k]]

    return change


def put(**values: Any) -> Any:
    def change(made: Any, k: int) -> None:
        for name, value in values.items():
            setattr(made, name, value(k) if callable(value) else value)

    return change


def without_position(made: Any, _k: int) -> None:
    del made.ImagePositionPatient


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a missing slice": ({"change": lambda made, k: k != 3}, "incomplete: 1 slice is missing, .* slice 3"),
    "two missing slices": ({"change": lambda made, k: k not in (2, 3)}, "2 slices are missing"),
    "mixed spacing": ({"change": place(0, 1, 2, 7, 12, 17)}, r"unequal distances \(1.00 to 5.00 mm\)"),
    "bent": ({"change": put(ImagePositionPatient=lambda k: [k * k, 0, 2.5 * k])}, "one straight line"),
    "a localiser": ({"change": put(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])}, "is a localiser"),
    "three planes": (
        {"change": put(ImageOrientationPatient=lambda k: [1, 0, 0, 0, *((1, 0) if k < 3 else (0, -1))])},
        "2 orientations, as a localiser has",
    ),
    "no positions": ({"change": without_position}, "without a position in space"),
    "no pixel size": ({"change": put(PixelSpacing=None)}, "how large its pixels are"),
    "several sizes": ({"change": lambda m, k: put_pixels(m, voxels()[k][: 10 - k])}, "several sizes"),
    "several pixel sizes": ({"change": put(PixelSpacing=lambda k: [1 + k % 2, 1])}, "pixels of several"),
    "one image": ({"shape": (1, 10, 12)}, "single image"),
    "skewed axes": ({"change": put(ImageOrientationPatient=[1, 0, 0, 0.5, 0.8, 0])}, "right angles"),
    "not a number": ({"change": put(ImagePositionPatient=lambda k: [0, 0, "1e400"])}, "not numbers"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", REFUSED)
def test_a_series_that_is_no_volume_is_refused_by_its_name(folder: Path, kind: str) -> None:
    how, words = REFUSED[kind]
    write_series(folder, **how)
    (series,) = scan(folder)[0]
    assert refusal(folder) == series.refusal
    with pytest.raises(ImageError, match=words):
        raise ImageError(series.refusal)
    assert series.refusal.startswith('Series 3 (CT, "portal venous") ') and series.refusal.endswith(".")


def test_a_screenshot_in_colour_is_refused(folder: Path) -> None:
    write_capture(folder / "shot")
    assert "in colour" in refusal(folder)


def test_a_multi_frame_image_without_positions_is_refused(folder: Path) -> None:
    path = write_enhanced(folder / "x")

    def strip(made: Any) -> None:
        del made.PerFrameFunctionalGroupsSequence, made.SharedFunctionalGroupsSequence

    resave(path, strip)
    assert "without a position" in refusal(folder)


TOLD_APART = {
    "echo times": ([{"EchoTime": 2.3}, {"EchoTime": 4.6}], ["echo 1", "echo 2"]),
    "time points": ([{"TemporalPositionIdentifier": n} for n in (1, 2, 3)], ["time 1", "time 2", "time 3"]),
    "b values": ([{"DiffusionBValue": b} for b in (0.0, 1000.0)], ["b 0.0", "b 1000.0"]),
    "magnitude and phase": (
        [{"ImageType": ["ORIGINAL", "PRIMARY", kind]} for kind in "MP"],
        ["type 1", "type 2"],
    ),
    "acquisitions": ([{"AcquisitionNumber": n} for n in (4, 5)], ["acquisition 4", "acquisition 5"]),
    "trigger times": ([{"TriggerTime": lambda k, n=n: 90 * n + k} for n in (0, 1)], ["time 1", "time 2"]),
}


@pytest.mark.parametrize("kind", TOLD_APART)
def test_several_volumes_in_one_series_are_several_cases(folder: Path, kind: str) -> None:
    marks, parts = TOLD_APART[kind]
    write_times(folder, marks, modality="MR")
    found = read_all(folder)
    assert sorted(found) == parts
    for number, part in enumerate(parts):
        assert np.array_equal(found[part].voxels, voxels() + 1000 * number)
    assert len({s.case_id() for s in scan(folder)[0]}) == len(parts)


def test_volumes_that_nothing_tells_apart_are_refused(folder: Path) -> None:
    write_times(folder, [{}, {}], modality="MR")
    assert "nothing in their headers that tells them apart" in refusal(folder)


def test_a_time_point_that_lacks_a_slice_is_refused_alone(folder: Path) -> None:
    write_times(folder, [{"TemporalPositionIdentifier": n} for n in (1, 2)], modality="MR")
    for path in folder.iterdir():
        made = pydicom.dcmread(path)
        if made.TemporalPositionIdentifier == 2 and made.InstanceNumber == 4:
            path.unlink()
    assert sorted(read_all(folder)) == ["time 1"]
    assert [s.refusal.partition(" is incomplete")[0] for s in scan(folder)[0] if s.refusal] == [
        'Series 3 (MR, "portal venous"), time 2'
    ]


def test_the_same_file_twice_counts_once(folder: Path) -> None:
    paths = write_series(folder)
    shutil.copy(paths[2], folder / "copy of it")
    assert np.array_equal(read_all(folder)[""].voxels, voxels().astype(int) + HOUNSFIELD)


def test_a_slice_present_twice_with_the_same_pixels_counts_once(folder: Path) -> None:
    paths = write_series(folder)
    shutil.copy(paths[2], folder / "again")
    resave(folder / "again", lambda made: setattr(made, "SOPInstanceUID", generate_uid()))
    assert read_all(folder)[""].voxels.shape == SHAPE


def test_a_slice_present_twice_with_other_pixels_is_refused(folder: Path) -> None:
    paths = write_series(folder)
    shutil.copy(paths[2], folder / "other")

    def change(made: Any) -> None:
        made.SOPInstanceUID = generate_uid()
        put_pixels(made, voxels()[2] + 1)

    resave(folder / "other", change)
    assert "two different images at the place of slice 3" in _reading(folder)


def _reading(folder: Path) -> str:
    with pytest.raises(ImageError) as refused:
        read_all(folder)
    return str(refused.value)


def test_a_localiser_image_among_the_others_is_left_out_and_said(folder: Path) -> None:
    localiser = put(ImageType=lambda k: ["ORIGINAL", "PRIMARY", "LOCALIZER" if k == 0 else "AXIAL"])
    write_series(folder, change=localiser)
    (series,) = scan(folder)[0]
    assert series.images == 5 and series.note == "1 localiser image left out"


def test_a_derived_series_is_read_and_said(folder: Path) -> None:
    write_series(folder, change=put(ImageType=["DERIVED", "SECONDARY", "MPR"]))
    (series,) = scan(folder)[0]
    assert series.note == "derived from other images" and not series.refusal


def test_frames_stored_in_any_order_are_put_in_order(folder: Path) -> None:
    write_enhanced(folder / "x", order=[3, 1, 0, 2, 5, 4])
    image = read_all(folder)[""]
    assert np.array_equal(image.voxels, voxels())
    assert image.geometry.spacing_kji_mm == pytest.approx(SPACING_KJI)
    assert image.geometry.origin_lps_mm == (-50, -50, -50)


def test_the_time_points_of_a_multi_frame_image_are_several_cases(folder: Path) -> None:
    write_enhanced(folder / "x", times=2)
    found = read_all(folder)
    assert np.array_equal(found["time 1"].voxels + 1000, found["time 2"].voxels)


def test_each_slice_and_each_frame_has_its_own_slope(folder: Path) -> None:
    expected = voxels() * (1 + np.arange(6) / 2)[:, None, None]
    write_series(
        folder / "pet", modality="PT", change=put(RescaleSlope=lambda k: 1 + k / 2, RescaleIntercept=0)
    )
    assert np.allclose(read_all(folder / "pet")[""].voxels, expected)
    write_enhanced(folder / "mr" / "x", slopes=[1 + k / 2 for k in range(6)])
    assert np.allclose(read_all(folder / "mr")[""].voxels, expected)


def compressed(kind: str) -> Any:
    def save(made: Any, path: Path) -> None:
        if kind == "rle":
            made.compress(pydicom.uid.RLELossless, encoding_plugin="pydicom")
        else:
            put_encoded(made, path.with_suffix(".encoded"), kind)
        made.save_as(path, enforce_file_format=True)

    return save


def put_encoded(made: Any, scratch: Path, compressor: str) -> None:
    """The same pixels as GDCM's own encoders write them."""
    image = np.frombuffer(made.PixelData, "<i2").reshape(1, made.Rows, made.Columns)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(scratch))
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(image))
    encoded_by_gdcm = pydicom.dcmread(scratch)
    scratch.unlink()
    made.PixelData = encoded_by_gdcm.PixelData
    made["PixelData"].is_undefined_length = True
    made.file_meta.TransferSyntaxUID = encoded_by_gdcm.file_meta.TransferSyntaxUID


def encoded(syntax: str) -> Any:
    def save(made: Any, path: Path) -> None:
        made.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            made.PixelData = np.frombuffer(made.PixelData, "<i2").astype(">i2").tobytes()
            plain, plain.file_meta = pydicom.Dataset(), made.file_meta
            plain.update(made)
            plain.save_as(path, enforce_file_format=True, implicit_vr=False, little_endian=False)
            return
        made.save_as(path, enforce_file_format=True)

    return save


SYNTAXES: dict[str, Any] = {
    "implicit": encoded(ImplicitVRLittleEndian),
    "big-endian": encoded(ExplicitVRBigEndian),
    "deflated": encoded(DeflatedExplicitVRLittleEndian),
    "rle": compressed("rle"),
    "jpeg": compressed("JPEG"),
    "jpeg-ls": compressed("JPEGLS"),
    "jpeg 2000": compressed("JPEG2000"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", SYNTAXES)
def test_every_usual_transfer_syntax_is_read(folder: Path, kind: str) -> None:
    shape = (6, 34, 36)  # JPEG 2000 wants 32 pixels
    write_series(folder, save=SYNTAXES[kind], shape=shape)
    assert np.array_equal(read_all(folder)[""].voxels, voxels(shape).astype(int) + HOUNSFIELD)


def test_a_syntax_that_is_not_known_is_refused_by_the_series_name_and_without_a_path(folder: Path) -> None:
    def save(made: Any, path: Path) -> None:
        from pydicom.encaps import encapsulate

        made.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(40)])
        made["PixelData"].is_undefined_length = True
        made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.201"
        made.save_as(path, enforce_file_format=True)

    write_series(folder, save=save)
    sentence = _reading(folder)
    assert sentence.startswith('Series 3 (CT, "portal venous") cannot be read')
    assert str(folder) not in sentence and "uncompressed" in sentence


def test_files_without_a_preamble_are_read(folder: Path) -> None:
    def bare(made: Any, path: Path) -> None:
        made.save_as(path, enforce_file_format=True)
        whole = path.read_bytes()
        path.write_bytes(whole[132:])

    write_series(folder, save=bare)
    assert np.array_equal(read_all(folder)[""].voxels, voxels().astype(int) + HOUNSFIELD)


def test_other_files_of_the_tree_are_no_series(folder: Path) -> None:
    write_series(folder)
    (folder / "README.TXT").write_text("PACS")
    (folder / "empty").write_bytes(b"")
    (folder / "damaged").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x60")
    assert len(scan(folder)[0]) == 1


def test_a_cut_file_is_named_by_its_series(folder: Path) -> None:
    paths = write_series(folder)
    paths[3].write_bytes(paths[3].read_bytes()[:-100])
    assert _reading(folder).startswith('Series 3 (CT, "portal venous") ')


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is no folder"):
        DicomIndex.of_folder(tmp_path / "nowhere")


def test_nothing_of_the_patient_gets_into_logs_or_sentences(
    folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    write_series(folder / "a", change=lambda made, k: k != 2)
    paths = write_series(folder / "Mustermann_Erika", number=4)
    for path in paths:  # values that pydicom quotes in its warnings and errors
        path.write_bytes(path.read_bytes().replace(b"1.2.3.4\0", b"Muster1\0"))
    paths[0].write_bytes(paths[0].read_bytes().replace(b"-1000", b"Muste"))
    cut = write_series(folder / "Mustermann_cut", number=5)[0]
    cut.write_bytes(cut.read_bytes()[:-50])
    caplog.clear()
    with caplog.at_level(0):
        listed, _ = scan(folder)
        refused = _refusals(folder)
    assert len(refused) == 2
    printed = capfd.readouterr()
    said = " ".join([printed.out, printed.err, caplog.text, *refused, *(s.case_id() for s in listed)])
    for secret in (PATIENT, "Muster", PATIENT_ID, "19640812"):
        assert secret not in said


def _refusals(folder: Path) -> list[str]:
    said = []
    with DicomIndex.of_folder(folder) as index:
        for series in index.series():
            try:
                read_volume(index.volume(series.key))
            except ImageError as error:
                said.append(str(error))
    return said
