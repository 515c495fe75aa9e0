"""Several targets in one case, by mouse and keyboard: the list, its keys, what is decided."""

from __future__ import annotations

import numpy as np
import pytest
from three_targets import (
    CENTRES,
    KIDNEY,
    LESION,
    LIVER,
    SECOND,
    TARGETS,
    a_client,
    a_volume,
    chosen,
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
    driver.press("Ctrl+Shift+N")
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
