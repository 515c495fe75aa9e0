"""DICOM series become volumes with the scanner's geometry, one case each."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import dicom_reading
import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import (
    PATIENT,
    SHAPE,
    SPACING_KJI,
    resave,
    voxels,
    write_report,
    write_series,
    write_times,
)
from dicom_reading import HOUNSFIELD, put, read_all, scan
from pydicom.uid import (
    generate_uid,
)

from clopa_annotator.datasets.dicom_index import DicomIndex

cache, folder = dicom_reading.cache, dicom_reading.folder


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


def test_the_source_of_a_case_says_which_series_of_a_folder_it_is(folder: Path) -> None:
    write_series(folder / "alone")
    write_series(folder / "flat", number=4, name="A{:04d}")
    write_series(folder / "flat", number=5, name="B{:04d}")
    with DicomIndex.of_folder(folder) as index:
        list(index.scan())
        volumes = [index.volume(s.key) for s in index.series()]
    alone, first, second = (v.source for v in volumes)
    assert alone == str((folder / "alone").resolve())
    assert first == f"{(folder / 'flat').resolve()}?series={volumes[1].series.key}"
    assert second != first and second.endswith(volumes[2].series.key)


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


def test_the_same_file_twice_counts_once(folder: Path) -> None:
    paths = write_series(folder)
    shutil.copy(paths[2], folder / "copy of it")
    assert np.array_equal(read_all(folder)[""].voxels, voxels().astype(int) + HOUNSFIELD)


def test_a_slice_present_twice_with_the_same_pixels_counts_once(folder: Path) -> None:
    paths = write_series(folder)
    shutil.copy(paths[2], folder / "again")
    resave(folder / "again", lambda made: setattr(made, "SOPInstanceUID", generate_uid()))
    assert read_all(folder)[""].voxels.shape == SHAPE


def test_a_localiser_image_among_the_others_is_left_out_and_said(folder: Path) -> None:
    localiser = put(ImageType=lambda k: ["ORIGINAL", "PRIMARY", "LOCALIZER" if k == 0 else "AXIAL"])
    write_series(folder, change=localiser)
    (series,) = scan(folder)[0]
    assert series.images == 5 and series.note == "1 localiser image left out"


def test_a_derived_series_is_read_and_said(folder: Path) -> None:
    write_series(folder, change=put(ImageType=["DERIVED", "SECONDARY", "MPR"]))
    (series,) = scan(folder)[0]
    assert series.note == "derived from other images" and not series.refusal
