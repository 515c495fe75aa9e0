"""The guides' two ways in, with a real engine on a real CT: a DICOM folder, TotalSegmentator's result."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
import test_story
from dicom_driving import add, choosing
from dicom_files import put_pixels, write_series
from story import dice, inside
from test_transfer_panel import bring

interpreter, model = test_story.interpreter, test_story.model
LIVER, SPLEEN, KIDNEY = 5, 1, 2


@pytest.fixture
def organs(test_data, tmp_path, monkeypatch):
    """A PACS' folder with the CT, and TotalSegmentator's folder for the same CT as a NIfTI file."""
    monkeypatch.setenv("CLOPA_CACHE_DIR", str(tmp_path / "cache"))
    ct = sitk.ReadImage(str(test_data / "TotalSegmentator_CT" / "ct.nii.gz"))
    labels = sitk.ReadImage(str(test_data / "TotalSegmentator_CT" / "organs.nii.gz"))
    voxels, values = sitk.GetArrayFromImage(ct), sitk.GetArrayFromImage(labels)

    def change(made, k):
        put_pixels(made, voxels[k] + 1000)
        made.PixelSpacing, made.SliceThickness = list(ct.GetSpacing()[:2]), ct.GetSpacing()[2]

    export = tmp_path / "PACS export"
    write_series(
        export / "ST0001" / "SE0003",
        change=change,
        shape=voxels.shape,
        orientation=(-1, 0, 0, 0, -1, 0),
        step=(0, 0, ct.GetSpacing()[2]),
    )
    write_series(export / "ST0001" / "SE0001", number=1, description="scout", shape=(1, 60, 60))
    (tmp_path / "images").mkdir()
    sitk.WriteImage(ct, str(tmp_path / "images" / "case_1.nii.gz"))
    result = tmp_path / "labels" / "case_1"
    result.mkdir(parents=True)
    for name, value in (("liver", LIVER), ("spleen", SPLEEN), ("kidney_right", KIDNEY)):
        sitk.WriteImage(sitk.Cast(labels == value, sitk.sitkUInt8), str(result / f"{name}.nii.gz"))
    return (values == LIVER).astype(np.uint8)


def wait(driver, condition, what):
    driver.until(condition, what, test_story.START_S)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_dicom_folder_and_totalsegmentators_result_lead_to_masks(
    panel, organs, interpreter, model, artifacts, tmp_path
):
    driver, ui = panel, panel.ui
    ui.campaignPath.currentPath = str(tmp_path / "liver")
    ui.annotatorName.text = "Dr. Example"
    ui.connectButton.click()
    wait(driver, lambda: driver.workspace.isConnected, "the engine")
    asked = choosing(driver)
    add(driver, tmp_path / "PACS export")
    assert [(s.title.number, bool(s.refusal)) for s in asked] == [("1", True), ("3", False)]
    ui.nextCaseButton.click()
    wait(driver, lambda: driver.session.isOpen, "the series")
    middle = driver.world(None, inside(organs))
    for view in driver.host.views.values():
        view.jumpTo(middle)
    driver.click(middle, "Red")
    wait(driver, lambda: not driver.session.isBusy and driver.workspace.currentMask().any(), "the first mask")
    assert dice(driver.workspace.currentMask(), organs) > 0.1
    ui.casesPath.currentPath = "~/PACS export"
    driver.picture(artifacts, "10-dicom-first-mask")

    ui.casesPath.currentPath = str(tmp_path / "images")
    ui.addCasesButton.click()
    ui.transferSection.collapsed = False
    said = bring(driver, tmp_path / "labels", target="target=liver")
    assert "1 of 1 labels imported as suggestions." in said
    driver.workspace.attempt(lambda: driver.workspace.openCase("case_1"))
    wait(driver, lambda: driver.session.caseId == "case_1" and driver.session.isOpen, "the case")
    assert "suggestion from" in driver.said
    assert dice(driver.workspace.currentMask(), organs[:, :, :]) == 1
    for view in driver.host.views.values():
        view.jumpTo(driver.world(None, inside(organs)))
    ui.labelsPath.currentPath, ui.casesPath.currentPath = "~/labels", "~/images"
    driver.picture(artifacts, "11-suggestion")
