"""Every odd file of the table in the panel: opened right, or refused in words with no case left behind."""

from __future__ import annotations

import re

import numpy as np
import pytest
from odd_files import TABLE, kept, nifti, shorten

RAS = np.diag([-1.0, -1, 1, 1])


def add(driver, path):
    driver.ui.casesPath.currentPath = str(path)
    driver.ui.addCasesButton.click()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("odd", TABLE, ids=lambda odd: odd.about)
def test_the_panel_opens_it_right_or_says_why_not(driver, odd, tmp_path):
    path = tmp_path / odd.name
    odd.write(path)
    add(driver, path)
    driver.ui.nextCaseButton.click()
    if odd.voxels is None:
        driver.host.spin(0.05)
        assert re.search(odd.panel or odd.sentence, driver.said), driver.said
        assert not driver.session.isOpen and not driver.client.campaign.cases
        driver.host.errors.clear()  # Slicer's own reader logs what it could not read
        driver.host.complaints()
        return
    driver.until(lambda: driver.session.isOpen, "the case")
    image, (voxels, lps) = driver.session.image, kept(odd)
    assert np.array_equal(image.voxels, voxels)
    shown = driver.workspace.state.volume.GetImageData().GetScalarTypeAsString()
    assert "long" not in shown, "Slicer 5.12 ends when a slice view shows one"
    if voxels.dtype.itemsize == 8 and voxels.dtype.kind in "iu":
        driver.host.complaints()  # Slicer's reader has looked at them before
    assert np.allclose(image.geometry.ijk_to_lps(), lps, atol=1e-4)


@pytest.mark.parametrize("kind", ["int64", "uint64"])
def test_what_slicer_cannot_show_goes_to_the_engine_as_it_is(driver, kind, tmp_path):
    voxels = (2**40 + np.arange(6 * 10 * 12).reshape(6, 10, 12)).astype(kind)
    nifti(tmp_path / "wide.nii.gz", voxels)
    add(driver, tmp_path / "wide.nii.gz")
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
    assert driver.session.image.voxels.dtype == kind and np.array_equal(driver.session.image.voxels, voxels)
    assert driver.workspace.state.volume.GetImageData().GetScalarTypeAsString() == "double"
    driver.host.complaints()


def test_whole_numbers_that_no_type_can_show_are_refused(driver, tmp_path):
    nifti(tmp_path / "huge.nii.gz", (2**60 + np.arange(720).reshape(6, 10, 12)).astype(np.int64))
    add(driver, tmp_path / "huge.nii.gz")
    driver.ui.nextCaseButton.click()
    driver.host.spin(0.05)
    assert "whole numbers up to" in driver.said and not driver.session.isOpen
    driver.host.complaints()


def test_a_read_only_folder_is_enough(driver, tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    nifti(folder / "a.nii.gz", TABLE[0].voxels)
    folder.chmod(0o555)
    add(driver, folder)
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
    assert [p.name for p in folder.iterdir()] == ["a.nii.gz"]


@pytest.mark.filterwarnings("ignore")
def test_a_cut_image_that_was_loaded_in_slicer_is_refused_too(driver, tmp_path):
    import slicer

    nifti(tmp_path / "scan.nii.gz", np.random.default_rng(0).integers(0, 900, (6, 10, 12)).astype("i2"))
    shorten(tmp_path / "scan.nii.gz")
    slicer.util.loadVolume(str(tmp_path / "scan.nii.gz"))
    driver.ui.addSceneButton.click()
    driver.workspace.attempt(driver.workspace.openNext)
    assert "is cut" in driver.said and not driver.session.isOpen
    driver.host.errors.clear()


def test_a_folder_lists_images_of_every_name_and_no_segmentations(driver, tmp_path):
    for name in ("patient_0001", "patient_0002", "patient_0003"):
        nifti(tmp_path / f"{name}.nii.gz", TABLE[0].voxels)
    (tmp_path / "patient_0001.seg.nrrd").write_bytes(b"")
    add(driver, tmp_path)
    assert [s.caseId for s in driver.workspace.state.sources] == [
        "patient_0001", "patient_0002", "patient_0003",
    ]  # fmt: skip
