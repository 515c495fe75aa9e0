"""Several targets in Slicer's scene: a segment each, what is drawn how, saved, lost and painted on."""

from __future__ import annotations

import numpy as np
import pytest
from three_targets import (
    KIDNEY,
    LIVER,
    SHAPE,
    a_client,
    a_volume,
    click_on,
    lines,
    record,
    segments,
    voxels,
)


@pytest.fixture
def driver(panel):
    panel.connect(a_client())
    panel.open_volume(panel.add_volume(a_volume()))
    return panel


def test_markers_are_those_of_the_chosen_target(driver):
    click_on(driver, LIVER)
    marked = driver.workspace.case.markers.nodes()
    assert marked[0].GetNumberOfControlPoints() == 1
    driver.press("2")
    assert marked[0].GetNumberOfControlPoints() == 0
    driver.settle()
    driver.press("1")
    driver.settle()
    assert marked[0].GetNumberOfControlPoints() == 1


def test_the_chosen_target_is_filled_and_a_confirmed_one_is_an_outline(driver):
    click_on(driver, LIVER)
    driver.press("2")
    driver.settle()
    display, ids = driver.workspace.state.segmentation.GetDisplayNode(), segments(driver)
    drafted = display.GetSegmentOpacity2DFill(ids["liver"])
    assert drafted < display.GetSegmentOpacity2DFill(ids["left kidney"]) == pytest.approx(0.45)
    driver.press("1")
    driver.settle()
    driver.ui.confirmButton.click()
    driver.settle()
    assert display.GetSegmentOpacity2DFill(ids["liver"]) < drafted
    assert display.GetSegmentOpacity2DOutline(ids["liver"]) == 1.0
    driver.ui.opacitySlider.setValue(70)
    assert display.GetSegmentOpacity2DFill(ids["left kidney"]) == pytest.approx(0.7)
    assert display.GetSegmentOpacity2DFill(ids["liver"]) < drafted


def test_a_case_that_is_opened_again_shows_every_target_as_it_was_left(driver):
    driver.add_volume(a_volume(1), name="next")
    driver.ui.addSceneButton.click()
    click_on(driver, LIVER)
    driver.press("Ctrl+Return")
    driver.settle()
    click_on(driver, KIDNEY)
    shown = {name: voxels(driver, name) for name in ("liver", "left kidney", "lesion 1")}
    driver.workspace.openCase("next")
    driver.until(lambda: driver.session.isOpen and driver.session.caseId == "next", "the next case")
    driver.workspace.openCase("case")
    driver.until(lambda: driver.session.isOpen and driver.session.caseId == "case", "the first case")
    assert driver.session.slot == KIDNEY and len(driver.session.prompts) == 1
    for name, mask in shown.items():
        assert np.array_equal(voxels(driver, name), mask), name
    assert lines(driver) == [("liver", "confirmed"), ("left kidney", "draft"), ("lesion 1", "open")]


def test_a_saved_scene_comes_back_with_every_target_and_the_chosen_one(driver, tmp_path):
    import slicer

    click_on(driver, LIVER)
    driver.press("Ctrl+Return")
    driver.settle()
    click_on(driver, KIDNEY)
    driver.host.spin(0.5)
    shown = {name: voxels(driver, name) for name in segments(driver)}
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(False)
    driver.host.spin(0.2)
    assert not driver.ui.targetsBox.visible
    slicer.util.loadScene(path)
    driver.until(lambda: driver.session.isOpen and driver.session.slot == KIDNEY, "the reloaded case")
    driver.settle()
    for name, mask in shown.items():
        assert np.array_equal(voxels(driver, name), mask), name
    driver.press("Ctrl+Z")
    driver.settle()
    assert not voxels(driver, "left kidney").any() and voxels(driver, "liver").any()


def test_the_engine_is_lost_and_found_with_work_on_two_targets(driver):
    click_on(driver, LIVER)
    driver.press("2")
    driver.settle()
    click_on(driver, KIDNEY)
    driver.client.lost = True
    driver.workspace.engineLost()
    shown = {name: voxels(driver, name) for name in segments(driver)}
    driver.connect(a_client(driver.client.campaign))
    driver.until(lambda: driver.session.isOpen, "the case")
    driver.settle()
    assert driver.session.slot == KIDNEY and "nothing was lost" in driver.said
    driver.press("1")
    driver.settle()
    for name, mask in shown.items():
        assert np.array_equal(voxels(driver, name), mask), name
    assert len(driver.session.prompts) == 1


def test_painting_goes_to_the_chosen_target_and_what_it_takes_from_another_is_told(driver):
    import slicer

    click_on(driver, LIVER)
    driver.press("Ctrl+Return")
    driver.settle()
    editor = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    editor.SetAndObserveSegmentationNode(driver.workspace.state.segmentation)
    driver.press("3")
    driver.settle()
    assert editor.GetSelectedSegmentID() == segments(driver)["lesion 1"]
    node, volume = driver.workspace.state.segmentation, driver.workspace.case.volume
    painted = np.zeros(SHAPE, np.uint8)
    painted[13:17, 18:22, 13:17] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(painted, node, segments(driver)["lesion 1"], volume)
    rest = voxels(driver, "liver") & ~painted.astype(bool)  # the editor overwrites other segments
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        rest.astype(np.uint8), node, segments(driver)["liver"], volume
    )
    driver.host.spin(0.6)
    driver.settle()
    assert lines(driver)[0] == ("liver", "draft") and lines(driver)[2] == ("lesion 1", "draft")
    assert np.array_equal(record(driver, LIVER).draft.mask > 0, rest)
    assert "liver" in driver.said and "confirm it again" in driver.said


def test_what_somebody_else_confirms_in_the_open_case_is_drawn_and_kept_out_of(driver):
    from clopa_annotator.types import Confirmation

    mask = np.zeros(SHAPE, np.uint8)
    mask[10:20, 14:26, 10:15] = 1  # half of where the click's ball will be
    driver.client.campaign.confirm(Confirmation("Bob's", "case", mask, annotator="Bob", slot=KIDNEY))
    driver.until(lambda: lines(driver)[1] == ("left kidney", "confirmed"), "the list")
    driver.until(lambda: np.array_equal(voxels(driver, "left kidney"), mask > 0), "its mask")
    click_on(driver, LIVER)
    assert voxels(driver, "liver")[15, 20, 17] and not (voxels(driver, "liver") & (mask > 0)).any()


def test_all_shown_targets_are_in_3d(driver):
    click_on(driver, LIVER)
    driver.press("2")
    driver.settle()
    click_on(driver, KIDNEY)
    driver.press("D")

    def names():
        nodes = driver.host.scene.GetNodesByClass("vtkMRMLModelNode")
        nodes.UnRegister(None)
        found = map(nodes.GetItemAsObject, range(nodes.GetNumberOfItems()))
        return sorted(node.GetName() for node in found if not node.GetHideFromEditors())

    driver.until(lambda: names() == ["left kidney in 3D", "liver in 3D"], "both")
    driver.workspace.state.segmentation.GetDisplayNode().SetSegmentVisibility(
        segments(driver)["liver"], False
    )
    driver.until(lambda: names() == ["left kidney in 3D"], "the one that is shown")
    driver.press("D")
    assert not names()
