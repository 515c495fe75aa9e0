"""Section 4 with several targets: a line each, and one that is shown in full, steered and plotted."""

from __future__ import annotations

import pytest
from three_targets import CENTRES, KIDNEY, LIVER, SHAPE, a_client, a_volume

from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Confirmation, Image, PointPrompt, TimedPrompt


@pytest.fixture
def driver(panel):
    panel.connect(a_client())
    return panel


def confirm_cases(driver, slot, count):
    campaign = driver.client.campaign
    for number in range(count):
        name = f"earlier {number}"
        image = Image(a_volume(number), Geometry(SHAPE))
        campaign.add(name, image, "")
        mask = (image.voxels > 0.5).astype("uint8")
        mask[:, :, 26:] *= slot == KIDNEY
        mask[:, :, :26] *= slot == LIVER
        prompts = (TimedPrompt(PointPrompt(CENTRES[slot]), 1.0),)
        campaign.confirm(Confirmation(f"{name} {slot}", name, mask, prompts, "Ada", 40.0, 0, 0.6, slot=slot))
    driver.host.spin(0.3)


def cells(driver):
    table = driver.ui.linesTable
    return [tuple(table.item(row, column).text() for column in range(4)) for row in range(table.rowCount)]


def test_each_target_has_a_line_and_learns_by_itself(driver):
    assert [line[0] for line in cells(driver)] == ["liver", "left kidney", "lesion"]
    driver.client.campaign.line("left-kidney").held = True
    confirm_cases(driver, KIDNEY, 5)
    driver.until(lambda: cells(driver)[1][2].startswith("training"), "the kidney's episode")
    assert driver.ui.learningSection.text == "4  Learning: training left kidney"
    assert "Nothing to learn" in driver.ui.learningLabel.text, "the liver is shown"
    driver.client.campaign.line("left-kidney").held = False
    driver.until(lambda: cells(driver)[1][1] == "version 0 → 1", "the promoted version")
    assert cells(driver)[0][1:] == ("version 0", "idle", "0")
    driver.open_volume(driver.add_volume(a_volume()))
    driver.until(lambda: cells(driver)[1][1] == "version 1", "the swap")
    driver.until(lambda: driver.ui.targetsTable.item(1, 3).text() == "version 1", "the list of the case")
    assert driver.ui.targetsTable.item(0, 3).text() == "version 0"


def test_the_chosen_target_is_shown_in_full_and_rolled_back(driver):
    confirm_cases(driver, KIDNEY, 5)
    driver.until(lambda: cells(driver)[1][1] == "version 0 → 1", "the promoted version")
    assert driver.ui.episodesTable.rowCount == 0 and driver.ui.versionBox.count == 1
    driver.ui.lineBox.setCurrentIndex(1)
    driver.until(lambda: driver.ui.episodesTable.rowCount == 1, "the kidney's episodes")
    assert "promoted" in driver.ui.learningLabel.text
    driver.until(lambda: driver.ui.versionBox.count == 2, "the kidney's versions")
    driver.open_volume(driver.add_volume(a_volume()))
    driver.until(lambda: "version 1" in driver.ui.weightsLabel.text, "the swap")
    driver.ui.versionBox.setCurrentIndex(driver.ui.versionBox.findData(0))
    driver.ui.rollBackButton.click()
    driver.until(lambda: "untouched" in driver.ui.weightsLabel.text, "rolling back")
    campaign = driver.client.campaign
    assert campaign.line("left-kidney").current == 0 and len(campaign.line("").versions) == 1


def test_pausing_is_of_the_chosen_target(driver):
    driver.ui.lineBox.setCurrentIndex(1)
    driver.ui.pauseButton.click()
    driver.until(lambda: cells(driver)[1][2] == "paused", "the line")
    assert driver.client.campaign.line("left-kidney").paused and not driver.client.campaign.learning.paused
    driver.ui.lineBox.setCurrentIndex(0)
    assert not driver.ui.pauseButton.checked


def test_each_target_has_charts_of_its_own(driver):
    confirm_cases(driver, KIDNEY, 5)
    confirm_cases(driver, LIVER, 2)
    plots = driver.widget.learningPanel.plots
    driver.until(lambda: len(plots.charts()) == 3, "the liver's charts")
    driver.ui.lineBox.setCurrentIndex(1)
    driver.until(lambda: len(plots.charts()) == 5, "the kidney's charts")
    charts = {chart.GetTitle(): chart for chart in plots.charts()}
    quality = charts["left kidney: Quality of the first proposal"]
    table = quality.GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    assert table.GetNumberOfRows() == 5
