"""Section 1's form of targets: for a new campaign, and changed later by its owner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from three_targets import KIDNEY, LIVER, TARGETS, a_client, a_volume, click_on

from clopa_annotator.errors import ConfigError
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient
from clopa_annotator.types import CodedTerm


@pytest.fixture
def form(panel):
    """The form, open, without an engine."""
    panel.ui.segmentsButton.click()
    return panel


@pytest.fixture
def connected(panel):
    panel.ui.segmentsButton.click()
    panel.connect(a_client())
    return panel


def rows(driver):
    table = driver.ui.targetsFormTable
    return [(table.item(row, 0).text(), table.item(row, 2).text()) for row in range(table.rowCount)]


def write(driver, row, column, text):
    driver.ui.targetsFormTable.item(row, column).setText(text)
    driver.host.spin(0.1)


def tick(driver, row, column):
    import qt

    driver.ui.targetsFormTable.item(row, column).setCheckState(qt.Qt.Checked)
    driver.host.spin(0.1)


def names(driver):
    return [target.name for target in driver.client.campaign.targets]


def test_a_new_campaign_gets_the_targets_that_were_planned(form):
    form.ui.addTargetButton.click()
    form.host.spin(0.1)
    write(form, 0, 0, "liver")
    write(form, 1, 0, "lesion")
    write(form, 0, 2, "SCT:10200004:Liver")
    tick(form, 1, 3)
    assert rows(form) == [("liver", "SCT:10200004:Liver"), ("lesion", "")]
    assert "liver, lesion" in form.ui.segmentsLabel.text
    form.connect(FakeEngineClient(FakeCampaign()))
    form.until(lambda: names(form) == ["liver", "lesion"], "the campaign's targets")
    liver, lesion = form.client.campaign.targets
    assert liver.key == "" and liver.code == CodedTerm("SCT", "10200004", "Liver")
    assert lesion.key == "target-2" and lesion.instances and not liver.instances


def test_what_was_planned_does_not_change_another_campaign_that_was_connected_instead(form):
    form.ui.addTargetButton.click()
    form.host.spin(0.1)
    form.connect(a_client())
    form.host.spin(0.3)
    assert names(form) == [target.name for target in TARGETS]
    assert [name for name, _ in rows(form)] == names(form)


def test_the_owner_renames_recolours_reorders_adds_and_ticks_while_a_case_is_open(connected):
    driver = connected
    driver.open_volume(driver.add_volume(a_volume()))
    click_on(driver, LIVER)
    write(driver, 0, 0, "whole liver")
    driver.until(lambda: names(driver)[0] == "whole liver", "the name")
    driver.until(lambda: driver.ui.targetsTable.item(0, 1).text() == "whole liver", "the list")
    driver.widget.targetsForm.askForColour = lambda *_args: (10, 20, 250)
    driver.widget.targetsForm._onDoubleClick(0, 1)
    driver.until(lambda: driver.client.campaign.targets[0].colour == (10, 20, 250), "the colour")
    segment = driver.workspace.case.proposal.segment
    driver.until(
        lambda: np.allclose(segment.GetColor(), (10 / 255, 20 / 255, 250 / 255)), "the segment's colour"
    )
    assert segment.GetName() == "whole liver" and len(driver.session.prompts) == 1
    driver.ui.targetsFormTable.setCurrentCell(1, 0)
    driver.ui.targetUpButton.click()
    driver.until(lambda: names(driver)[0] == "left kidney", "the order")
    driver.until(lambda: driver.ui.targetsTable.item(0, 1).text() == "left kidney", "the list")
    driver.press("1")
    driver.settle()
    assert driver.session.slot == KIDNEY
    tick(driver, 2, 4)
    driver.until(lambda: driver.client.campaign.targets[2].overlaps, "overlapping")
    driver.ui.addTargetButton.click()
    driver.until(lambda: driver.ui.targetsTable.rowCount == 4, "one more line")
    assert driver.workspace.case.proposals, "the case is still open"


def test_a_target_with_masks_is_not_removed_and_the_sentence_is_the_engines(connected):
    driver = connected
    driver.open_volume(driver.add_volume(a_volume()))
    driver.press("2")
    driver.settle()
    click_on(driver, KIDNEY)
    driver.ui.confirmButton.click()
    driver.settle()
    driver.ui.targetsFormTable.setCurrentCell(1, 0)
    driver.ui.removeTargetButton.click()
    driver.until(lambda: "left kidney has masks" in driver.ui.targetsFormLabel.text, "the refusal")
    assert len(names(driver)) == 3 and len(rows(driver)) == 3
    driver.ui.targetsFormTable.setCurrentCell(2, 0)
    driver.ui.removeTargetButton.click()
    driver.until(lambda: len(names(driver)) == 2, "the other one goes")
    driver.until(lambda: driver.ui.targetsTable.rowCount == 2, "from the list too")
    driver.settle()
    assert driver.session.slot == LIVER, "the chosen one is there"
    assert not driver.ui.targetsFormLabel.text


@pytest.mark.parametrize(
    ("column", "text", "words"),
    [(0, "Left Kidney", "its own name"), (0, "  ", "needs a name"), (2, "Liver", "SCT:10200004:Liver"),
     (2, "SCT::Liver", "colons between")],
)  # fmt: skip
def test_what_cannot_be_is_told_and_the_table_shows_what_holds(connected, column, text, words):
    before = rows(connected)
    write(connected, 0, column, text)
    assert words in connected.ui.targetsFormLabel.text
    connected.host.spin(0.1)
    assert rows(connected) == before and names(connected) == [target.name for target in TARGETS]


def test_who_is_not_the_owner_reads_only(connected):
    import qt

    connected.workspace.info = replace(connected.workspace.info, is_owner=False)
    connected.widget.targetsForm.refresh()
    assert not connected.ui.addTargetButton.enabled
    assert not connected.ui.targetsFormTable.item(0, 0).flags() & qt.Qt.ItemIsEditable


def test_somebody_elses_change_is_shown(connected):
    campaign = connected.client.campaign
    campaign.set_targets(campaign.targets.with_new(replace(TARGETS[1], name="spleen")))
    connected.until(lambda: len(rows(connected)) == 4 and rows(connected)[3][0] == "spleen", "the new target")


def test_an_existing_campaign_on_this_computer_is_not_planned_anew(form, tmp_path):
    (tmp_path / "campaign.json").write_text("{}")
    form.ui.campaignPath.currentPath = str(tmp_path)
    form.until(lambda: not form.ui.segmentsBox.visible, "the line to go")
    assert not form.ui.targetsForm.visible


def test_terms_are_read_as_they_are_written():
    from CLoPAAnnotatorLib.scene.Terminology import readTerm, termText

    term = CodedTerm("SCT", "1", "a: b")
    assert readTerm(termText(term)) == term and readTerm("  ") is None and termText(None) == ""
    with pytest.raises(ConfigError, match="10200004"):
        readTerm("SCT 1 a")


def test_slicers_own_terminology_is_asked_for_a_name(host, monkeypatch):
    """With the methods that vtkSlicerTerminologiesModuleLogic really has."""
    import slicer

    from CLoPAAnnotatorLib.scene.SegmentLook import CONTEXT
    from CLoPAAnnotatorLib.scene.Terminology import findTerm

    for name in ("GetNumberOfCategoriesInTerminology", "GetNthCategoryInTerminology",
                 "GetNumberOfTypesInTerminologyCategory", "GetNthTypeInTerminologyCategory"):  # fmt: skip
        assert hasattr(slicer.vtkSlicerTerminologiesModuleLogic, name), name
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    path = Path(host.temporaryPath) / "terminology.json"
    path.write_text(TERMINOLOGY % CONTEXT, encoding="utf-8")
    assert logic.LoadTerminologyFromFile(str(path)) == CONTEXT
    monkeypatch.setattr(
        slicer.modules, "terminologies", type("Module", (), {"logic": lambda _self: logic})(), raising=False
    )
    category, kind = findTerm("liver")
    assert (kind.value, kind.meaning, category.value) == ("10200004", "Liver", "85756007")
    assert findTerm("no organ") is None


TERMINOLOGY = """{
 "SegmentationCategoryTypeContextName": "%s",
 "@schema": "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/segment-context-schema.json#",
 "SegmentationCodes": {"Category": [{
  "CodeMeaning": "Tissue", "CodingSchemeDesignator": "SCT", "CodeValue": "85756007", "showAnatomy": false,
  "Type": [
   {"recommendedDisplayRGBValue": [128, 174, 128], "CodeMeaning": "Tissue", "CodingSchemeDesignator": "SCT",
    "3dSlicerLabel": "tissue", "CodeValue": "85756007"},
   {"recommendedDisplayRGBValue": [221, 130, 101], "CodeMeaning": "Liver", "CodingSchemeDesignator": "SCT",
    "3dSlicerLabel": "liver", "CodeValue": "10200004"}]}]}
}"""
