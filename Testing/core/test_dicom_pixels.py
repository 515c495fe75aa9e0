"""Every usual way to store DICOM pixels gives the same voxels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dicom_reading
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import (
    SPACING_KJI,
    voxels,
    write_enhanced,
    write_series,
)
from dicom_reading import HOUNSFIELD, put, read_all, scan
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)

cache, folder = dicom_reading.cache, dicom_reading.folder


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


def test_files_without_a_preamble_are_read(folder: Path) -> None:
    def bare(made: Any, path: Path) -> None:
        made.save_as(path, enforce_file_format=True)
        whole = path.read_bytes()
        path.write_bytes(whole[132:])

    write_series(folder, save=bare)
    assert np.array_equal(read_all(folder)[""].voxels, voxels().astype(int) + HOUNSFIELD)


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


def test_other_files_of_the_tree_are_no_series(folder: Path) -> None:
    write_series(folder)
    (folder / "README.TXT").write_text("PACS")
    (folder / "empty").write_bytes(b"")
    (folder / "damaged").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x60")
    assert len(scan(folder)[0]) == 1
