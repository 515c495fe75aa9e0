"""A DICOM series that is no volume is refused in a sentence with its name, never the patient's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import dicom_reading
import pydicom
import pytest
from dicom_files import (
    PATIENT,
    PATIENT_ID,
    put_pixels,
    resave,
    voxels,
    write_capture,
    write_enhanced,
    write_series,
    write_times,
)
from dicom_reading import put, read_all, reading, refusal, scan
from pydicom.uid import (
    generate_uid,
)

from clopa_annotator.datasets.dicom_index import DicomIndex
from clopa_annotator.datasets.dicom_pixels import read_volume
from clopa_annotator.errors import DatasetError, ImageError

cache, folder = dicom_reading.cache, dicom_reading.folder


def place(*z_mm: float) -> Any:
    def change(made: Any, k: int) -> None:
        made.ImagePositionPatient = [-50, -50, z_mm[k]]

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


def test_volumes_that_nothing_tells_apart_are_refused(folder: Path) -> None:
    write_times(folder, [{}, {}], modality="MR")
    assert "nothing in their headers that tells them apart" in refusal(folder)


def test_a_slice_present_twice_with_other_pixels_is_refused(folder: Path) -> None:
    paths = write_series(folder)
    shutil.copy(paths[2], folder / "other")

    def change(made: Any) -> None:
        made.SOPInstanceUID = generate_uid()
        put_pixels(made, voxels()[2] + 1)

    resave(folder / "other", change)
    assert "two different images at the place of slice 3" in reading(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="There is no folder"):
        DicomIndex.of_folder(tmp_path / "nowhere")


def test_a_cut_file_is_named_by_its_series(folder: Path) -> None:
    paths = write_series(folder)
    paths[3].write_bytes(paths[3].read_bytes()[:-100])
    assert reading(folder).startswith('Series 3 (CT, "portal venous") ')


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


def test_a_syntax_that_is_not_known_is_refused_by_the_series_name_and_without_a_path(folder: Path) -> None:
    def save(made: Any, path: Path) -> None:
        from pydicom.encaps import encapsulate

        made.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(40)])
        made["PixelData"].is_undefined_length = True
        made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.201"
        made.save_as(path, enforce_file_format=True)

    write_series(folder, save=save)
    sentence = reading(folder)
    assert sentence.startswith('Series 3 (CT, "portal venous") cannot be read')
    assert str(folder) not in sentence and "uncompressed" in sentence
