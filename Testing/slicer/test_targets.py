"""Several targets in one case, by mouse and keyboard: list, keys, one segment each, what is drawn how."""

from __future__ import annotations

import numpy as np
import pytest
from three_targets import CENTRES, KIDNEY, LESION, LIVER, SECOND, SHAPE, TARGETS, a_client, a_volume, click_on


@pytest.fixture
def driver(panel):
    panel.connect(a_client())
    panel.open_volume(panel.add_volume(a_volume()))
    return panel


def lines(driver):
    table = driver.ui.targetsTable
    return [tuple(table.item(row, column).text() for column in range(1, 3)) for row in range(table.rowCount)]


def chosen(driver):
    return driver.ui.targetsTable.currentRow()


def segments(driver):
    segmentation = driver.workspace.state.segmentation.GetSegmentation()
    return {
        segmentation.GetNthSegment(n).GetName(): segmentation.GetNthSegmentID(n)
        for n in range(segmentation.GetNumberOfSegments())
    }


def voxels(driver, name):
    import slicer

    node, volume = driver.workspace.state.segmentation, driver.workspace.case.volume
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segments(driver)[name], volume) > 0


def record(driver, slot, case="case"):
    return driver.client.campaign.case(case).slot(slot)


def test_with_one_target_there_is_no_list(panel):
    from clopa_annotator.testing.fake_campaign import FakeCampaign
    from clopa_annotator.testing.fake_engine import FakeEngineClient

    panel.connect(FakeEngineClient(FakeCampaign()))
    panel.open_volume(panel.add_volume())
    for name in ("targetsBox", "linesBox", "skipCaseButton"):
        assert not getattr(panel.ui, name).visible, name
    assert panel.ui.casesTable.isColumnHidden(4) and panel.ui.skipButton.text == "Skip…"
    panel.press("2")
    assert list(segments(panel)) == ["Proposal"]


def test_every_target_has_a_line_and_a_segment_of_its_name_colour_and_term(driver):
    assert lines(driver) == [("liver", "open"), ("left kidney", "open"), ("lesion 1", "open")]
    assert list(segments(driver)) == ["liver", "left kidney", "lesion 1"] and chosen(driver) == 0
    segmentation = driver.workspace.state.segmentation.GetSegmentation()
    for target, segment in zip(TARGETS, segments(driver).values(), strict=True):
        colour = segmentation.GetSegment(segment).GetColor()
        assert np.allclose(colour, np.array(target.colour) / 255, atol=0.01)
    import slicer
    import vtk

    term = vtk.mutable("")
    liver = segmentation.GetSegment(segments(driver)["liver"])
    assert liver.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), term)
    assert "~SCT^10200004^Liver~" in str(term)


def test_a_number_and_a_click_on_the_list_choose_what_prompts_change(driver):
    click_on(driver, LIVER)
    driver.press("2")
    driver.settle()
    assert chosen(driver) == 1 and driver.session.slot == KIDNEY
    click_on(driver, KIDNEY)
    driver.ui.targetsTable.setCurrentCell(2, 1)
    driver.settle()
    assert driver.session.slot == LESION
    click_on(driver, LESION)
    for name, slot in (("liver", LIVER), ("left kidney", KIDNEY), ("lesion 1", LESION)):
        mask = voxels(driver, name)
        assert mask[CENTRES[slot]] and sum(mask[CENTRES[s]] for s in (LIVER, KIDNEY, LESION)) == 1, name
    assert [state for _, state in lines(driver)] == ["draft"] * 3
    driver.press("9")
    assert driver.session.slot == LESION, "there are three"


def test_after_confirm_the_next_open_target_is_chosen_and_after_the_last_the_next_case(driver):
    driver.add_volume(a_volume(1), name="next")
    driver.ui.addSceneButton.click()
    click_on(driver, LIVER)
    assert driver.ui.confirmNextButton.text == "Confirm and next target"
    driver.press("Ctrl+Return")
    driver.until(lambda: driver.session.slot == KIDNEY, "the next target")
    driver.settle()
    assert lines(driver)[0] == ("liver", "confirmed") and "left kidney" in driver.said
    driver.ui.casesTable.selectRow(0)
    driver.until(lambda: driver.ui.casesTable.item(0, 4).text() == "1/3", "the count")
    click_on(driver, KIDNEY)
    driver.ui.confirmButton.click()
    driver.until(lambda: driver.session.slot == LESION, "the next target")
    driver.settle()
    assert driver.ui.confirmNextButton.text == "Confirm and next case"
    click_on(driver, LESION)
    driver.press("Ctrl+Return")
    driver.until(lambda: driver.session.caseId == "next" and driver.session.isOpen, "the next case")
    driver.until(lambda: driver.ui.casesTable.item(0, 4).text() == "3/3", "the count")
    assert driver.session.slot == LIVER and not driver.workspace.currentMask().any()
    for slot in (LIVER, KIDNEY, LESION):
        (version,) = record(driver, slot).versions
        assert version.mask[CENTRES[slot]]


def test_not_present_is_stored_at_once_and_the_next_target_is_chosen(driver):
    driver.press("2")
    driver.settle()
    driver.press("Ctrl+0")
    driver.until(lambda: driver.session.slot == LESION, "the next target")
    driver.settle()
    (version,) = record(driver, KIDNEY).versions
    assert not version.mask.any() and lines(driver)[1] == ("left kidney", "not present")
    driver.ui.absentButton.click()
    driver.until(lambda: driver.session.slot == LIVER, "the one that is left")


def test_another_one_is_a_segment_of_its_own(driver):
    driver.press("A")
    assert driver.session.slot == LIVER, "there is one liver"
    driver.press("3")
    driver.settle()
    click_on(driver, LESION)
    driver.press("Ctrl+Shift+Return")
    driver.settle()
    driver.press("3")
    driver.settle()
    assert driver.ui.anotherButton.text == "Another lesion"
    driver.ui.anotherButton.click()
    driver.settle()
    assert driver.session.slot == SECOND and lines(driver)[3] == ("lesion 2", "open")
    click_on(driver, SECOND)
    assert voxels(driver, "lesion 2")[CENTRES[SECOND]] and not voxels(driver, "lesion 1")[CENTRES[SECOND]]
    driver.ui.confirmButton.click()
    driver.settle()
    assert len(record(driver, SECOND).versions) == 1


def test_one_more_that_was_begun_for_nothing_is_gone_with_the_next_choice(driver):
    driver.press("3")
    driver.settle()
    driver.press("A")
    driver.settle()
    assert "lesion 2" in segments(driver)
    driver.press("1")
    driver.settle()
    assert "lesion 2" not in segments(driver) and len(lines(driver)) == 3


def test_a_target_and_a_whole_case_can_be_skipped(driver):
    driver.widget.annotatePanel.marks.askForText = lambda *_args: "cut off"
    driver.press("2")
    driver.settle()
    driver.ui.skipButton.click()
    driver.until(lambda: driver.session.slot == LESION, "the next target")
    driver.settle()
    assert lines(driver)[1] == ("left kidney", "skipped") and record(driver, KIDNEY).note == "cut off"
    driver.ui.skipCaseButton.click()
    driver.until(lambda: "confirmed or skipped" in driver.said, "the end of the list")
    assert [state for _, state in lines(driver)] == ["skipped"] * 3


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


def test_two_people_work_on_two_targets_of_one_case(driver):
    driver.client.campaign.take("case", "Bob", KIDNEY)
    driver.until(lambda: driver.ui.targetsTable.item(1, 4).text() == "open at Bob", "the note")
    driver.press("2")
    driver.settle()
    assert driver.session.slot == LIVER and chosen(driver) == 0
    assert any("Bob is working on left kidney" in driver.said for _ in (1,))
    click_on(driver, LIVER)
    driver.press("Ctrl+Return")
    driver.until(lambda: driver.session.slot == LESION, "the next that is free")


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
