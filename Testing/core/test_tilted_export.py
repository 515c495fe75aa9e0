"""A case with sheared axes leaves the campaign in formats that can hold it, and in no other."""

from __future__ import annotations

import json
import math
from pathlib import Path

import dicom_reading
import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import write_series

from clopa_annotator import cli
from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.datasets.volumes import read_image, write_volume
from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Confirmation

cache = dicom_reading.cache
RISE = 2.5 * math.tan(math.radians(20))


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    folder = tmp_path / "campaign"
    CampaignStore.create(folder, CampaignManifest("x", 1)).close()
    write_series(tmp_path / "export", step=(0, RISE, 2.5))
    assert cli.main(["cases", "add", str(folder), "--dicom", str(tmp_path / "export")]) == 0
    with CampaignStore.open(folder, writer=True) as store:
        (case,) = store.cases()
        mask = np.zeros((6, 10, 12), np.uint8)
        mask[2:4, 3:6, 4:7] = 1
        store.confirm(Confirmation("1", case.case_id, mask))
    return folder


def export(campaign: Path, format: str, out: Path) -> None:
    assert cli.main(["export", str(campaign), "--format", format, "--out", str(out)]) == 0


def test_nifti_leaves_it_out_and_says_why(campaign: Path, tmp_path: Path) -> None:
    export(campaign, "nifti", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "cases.json").read_text(encoding="utf-8"))
    assert told["cases"] == [] and "sheared" in told["left_out"][0]["reason"]


def test_seg_nrrd_keeps_its_place(campaign: Path, tmp_path: Path) -> None:
    export(campaign, "segnrrd", tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.seg.nrrd")
    geometry = read_image(path).geometry
    with CampaignStore.open(campaign) as store:
        assert geometry.agrees_with(store.geometry(store.confirmed()[0].image_hash), 1e-4)


def test_a_dicom_segmentation_lies_on_the_series_own_slices(campaign: Path, tmp_path: Path) -> None:
    export(campaign, "dicomseg", tmp_path / "out")
    (path,) = (tmp_path / "out").glob("*.dcm")
    segmentation = highdicom.seg.segread(path)
    frames = segmentation.PerFrameFunctionalGroupsSequence
    places = {tuple(map(float, f.PlanePositionSequence[0].ImagePositionPatient)) for f in frames}
    assert np.allclose(sorted(places), [(-50, -50 + k * RISE, -50 + k * 2.5) for k in (2, 3)])


def test_itk_would_have_written_other_axes(tmp_path: Path) -> None:
    """Why NIfTI is refused: if this fails, ITK has learned it, and the refusal can go."""
    sheared = Geometry((4, 5, 6), direction=(1, 0, 0, 0, 1, 0.3, 0, 0, 0.9539))
    assert not sheared.is_rectangular and Geometry((4, 5, 6)).is_rectangular
    voxels = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    with pytest.raises(GeometryError, match="sheared axes"):
        write_volume(tmp_path / "a.nii.gz", voxels, sheared)
    write_volume(tmp_path / "a.nrrd", voxels, sheared)
    assert read_image(tmp_path / "a.nrrd").geometry.agrees_with(sheared)
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "a.nrrd")), str(tmp_path / "b.nii.gz"))
    assert not read_image(tmp_path / "b.nii.gz").geometry.agrees_with(sheared)


def test_of_two_series_on_one_grid_the_segmentation_refers_to_its_own(tmp_path: Path) -> None:
    folder, flat = tmp_path / "campaign", tmp_path / "flat"
    CampaignStore.create(folder, CampaignManifest("x", 1)).close()
    write_series(flat, number=4, name="A{:04d}")
    write_series(flat, number=5, name="B{:04d}")
    assert cli.main(["cases", "add", str(folder), "--dicom", str(flat)]) == 0
    with CampaignStore.open(folder, writer=True) as store:
        for number, case in enumerate(store.cases()):
            store.confirm(Confirmation(str(number), case.case_id, np.ones((6, 10, 12), np.uint8)))
    export(folder, "dicomseg", tmp_path / "out")
    found = {}
    for path in (tmp_path / "out").glob("*.dcm"):
        (series,) = highdicom.seg.segread(path).ReferencedSeriesSequence
        found[path.name[:4]] = series.SeriesInstanceUID
    numbers = {pydicom.dcmread(p).SeriesInstanceUID: pydicom.dcmread(p).SeriesNumber for p in flat.iterdir()}
    assert {name: numbers[uid] for name, uid in found.items()} == {"CT-4": 4, "CT-5": 5}
