"""DICOM in the panel: a folder of it, Slicer's database, and from there to a confirmed mask."""

from __future__ import annotations

import math

import dicom_driving
import numpy as np
import pytest
from dicom_driving import SHAPE, add, choosing, listed
from dicom_files import voxels, write_report, write_series

cache, folder = dicom_driving.cache, dicom_driving.folder


def test_a_folder_with_one_series_is_listed_and_opened_without_a_question(driver, folder):
    driver.widget.casesPanel.dicom.choose = lambda _: pytest.fail("a question was asked")
    add(driver, folder)
    assert listed(driver) == ["CT 3 portal venous"] and "1 case added" in driver.said
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
    image = driver.session.image
    assert np.array_equal(image.voxels, voxels(SHAPE).astype(int) - 1000)
    assert image.geometry.origin_lps_mm == (-50, -50, -50)
    row = driver.client.campaign.case(driver.session.caseId).row
    assert row.source == str((folder / "a" / "b").resolve()) and "Muster" not in row.case_id


def test_the_panel_and_the_command_line_have_the_same_image_and_name(driver, folder, tmp_path):
    from clopa_annotator.cache.format.images import prepare
    from clopa_annotator.datasets.dicom_index import DicomIndex
    from clopa_annotator.datasets.dicom_pixels import read_volume

    rise = 2.5 * math.tan(math.radians(11))
    write_series(folder / "tilted", shape=SHAPE, step=(0, rise, 2.5), number=4)
    choosing(driver)
    add(driver, folder)
    with DicomIndex.of_folder(folder, tmp_path / "other.sqlite") as index:
        list(index.scan())
        for series in index.series():
            driver.workspace.openCase(series.case_id())
            driver.until(lambda: driver.session.isOpen, "the case")
            image, shown = read_volume(index.volume(series.key)), driver.session.image
            assert shown.geometry.agrees_with(image.geometry, 1e-6)
            assert (
                np.array_equal(shown.voxels, image.voxels) and prepare(shown)[0].dtype == image.voxels.dtype
            )


@pytest.mark.parametrize("view", ["Red", "Yellow", "Green"])
def test_a_click_in_a_tilted_series_lands_on_its_voxel_in_every_view(driver, tmp_path, view):
    rise = 2.5 * math.tan(math.radians(20))
    write_series(tmp_path / "tilted", shape=SHAPE, step=(0, rise, 2.5))
    add(driver, tmp_path / "tilted")
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
    assert all(logic.GetLowestVolumeSliceSpacing()[2] > 0 for logic in logics(driver))
    target = np.array([15, 12, 20])
    driver.host.views[view].fit()
    driver.click(driver.world(None, target), view)
    driver.settle()
    assert driver.session.prompts, driver.said
    position = driver.session.prompts[0].timed.prompt.position_kji
    assert np.abs(np.array(position) - target).max() <= 1


def test_after_a_tilted_series_slicer_chooses_the_slice_distance_again(driver, tmp_path):
    write_series(tmp_path / "tilted", shape=SHAPE, step=(0, 1.2, 2.5))
    add(driver, tmp_path / "tilted")
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
    nodes = [view.node for view in driver.host.views.values()]
    assert {node.GetSliceSpacingMode() for node in nodes} == {nodes[0].PrescribedSliceSpacingMode}
    driver.workspace.closeCase()
    assert {node.GetSliceSpacingMode() for node in nodes} == {nodes[0].AutomaticSliceSpacingMode}


def logics(driver):
    return [view.logic for view in driver.host.views.values()]


def test_of_several_series_the_user_chooses(driver, folder):
    write_series(folder / "late", number=5, description="late")
    write_report(folder / "report")
    asked = choosing(driver, lambda series: series[1:2], withPatient=True)
    add(driver, folder)
    assert [s.title.number for s in asked] == ["3", "5", "99"]
    assert listed(driver) == ["CT 5 late"]
    assert driver.ui.casesTable.item(0, 0).text().startswith("Mustermann_Erika-CT-5-")


def test_files_with_damaged_headers_are_said(driver, folder):
    (folder / "damaged").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00" + bytes(3))
    add(driver, folder)
    assert "1 DICOM files have damaged headers." in driver.said and len(listed(driver)) == 1


def test_nothing_chosen_adds_nothing(driver, folder):
    write_series(folder / "late", number=5)
    choosing(driver, lambda _: [])
    add(driver, folder)
    assert listed(driver) == [] and "0 cases added" in driver.said


def test_the_same_folder_again_adds_nothing(driver, folder):
    add(driver, folder)
    add(driver, folder)
    assert len(listed(driver)) == 1 and "already" in driver.said


def test_the_chooser_shows_what_a_series_is_and_why_one_cannot_be_taken(host, folder):
    from clopa_annotator.datasets.dicom_index import DicomIndex
    from CLoPAAnnotatorLib.caselist.SeriesChooser import SeriesChooser

    write_series(folder / "gap", number=5, change=lambda made, k: k != 2)
    with DicomIndex.of_folder(folder) as index:
        list(index.scan())
        chooser = SeriesChooser(None, index.series())
    cells = [[str(chooser.table.item(row, n).text()) for n in range(6)] for row in range(2)]
    assert cells[0][:5] == ["CT portal venous", "3", "Mustermann Erika", "20240131 Thorax Abdomen", "24"]
    assert "1 slice is missing" in cells[1][5]
    assert [s.title.number for s in chooser.chosen()] == ["3"] and not chooser.withPatient()
    import qt

    chooser.table.item(0, 0).setCheckState(qt.Qt.Unchecked)
    assert chooser.chosen() == []


def test_a_long_scan_can_be_stopped_and_goes_on_the_next_time(driver, folder, monkeypatch):
    from CLoPAAnnotatorLib.caselist import DicomCases

    monkeypatch.setattr(DicomCases, "SLICE_S", 0)
    driver.ui.casesPath.currentPath = str(folder)
    driver.ui.addCasesButton.click()
    driver.until(lambda: "Reading DICOM headers" in driver.ui.casesLabel.text, "progress")
    assert driver.ui.addCasesButton.text == "Stop"
    driver.ui.addCasesButton.click()
    assert driver.ui.addCasesButton.text == "Add" and "Stopped" in driver.said and listed(driver) == []
    add(driver, folder)
    assert listed(driver) == ["CT 3 portal venous"]


def test_a_folder_without_dicom_says_what_was_looked_for(driver, tmp_path):
    (tmp_path / "empty").mkdir()
    driver.ui.casesPath.currentPath = str(tmp_path / "empty")
    driver.ui.addCasesButton.click()
    assert "holds no images" in driver.said


def test_a_series_that_cannot_be_annotated_is_refused_by_its_name(driver, tmp_path):
    write_series(tmp_path / "gap", change=lambda made, k: k != 2)
    choosing(driver, list)
    add(driver, tmp_path / "gap")
    assert "1 slice is missing" in driver.said and listed(driver) == []


def test_files_that_went_away_are_said_and_the_open_case_stays(driver, folder):
    add(driver, folder)
    for path in (folder / "a" / "b").iterdir():
        path.unlink()
    driver.ui.nextCaseButton.click()
    driver.host.spin(0.05)
    assert "not where it was" in driver.said and not driver.session.isOpen


def test_a_saved_scene_knows_its_series_again(driver, folder, tmp_path):
    import slicer

    add(driver, folder)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(False)
    driver.host.spin(0.1)
    driver.widget.casesPanel.dicom._titles.clear()
    slicer.util.loadScene(path)
    driver.host.spin(0.1)
    assert listed(driver) == ["CT 3 portal venous"]
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
