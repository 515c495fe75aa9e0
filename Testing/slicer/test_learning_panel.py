"""What the lead sees: every phase of an episode, the table, the plots, the controls."""

from __future__ import annotations

import pytest
from driving import a_ball

from clopa_annotator.testing.fake_learning import ScriptedEpisode

CENTRE = (15, 20, 25)


@pytest.fixture
def busy(driver):
    """Five cases confirmed, an episode running and held."""
    driver.client.campaign.learning.held = True
    confirm_cases(driver, 5)
    return driver


def confirm_cases(driver, count, first=0):
    from clopa_annotator.geometry import Geometry
    from clopa_annotator.types import Confirmation, Image, PointPrompt, TimedPrompt

    for number in range(first, first + count):
        image = Image(a_ball(seed=number), Geometry((30, 40, 50)))
        name = f"earlier {number}"
        driver.client.campaign.add(name, image, "")
        mask = (image.voxels > 0.5).astype("uint8")
        prompts = tuple(TimedPrompt(PointPrompt(CENTRE), float(i)) for i in range(9 - number % 5))
        driver.client.campaign.confirm(
            Confirmation(
                name, name, mask, prompts, "Ada", 70.0 - 6 * (number % 5), 0, 0.5 + 0.05 * (number % 5)
            )
        )
    driver.host.spin(0.3)


def test_it_shows_waiting_training_and_promoted(driver, artifacts):
    learning = driver.client.campaign.learning
    assert "Nothing to learn" in driver.ui.learningLabel.text
    learning.held = True
    confirm_cases(driver, 3)
    assert "3 of 5" in driver.ui.learningLabel.text and driver.ui.learningBar.value == 3
    confirm_cases(driver, 2, first=3)
    learning.held = False
    driver.client.poll()
    learning.held = True
    driver.client.poll()
    driver.until(lambda: "epoch" in driver.ui.learningLabel.text, "training")
    assert "loss" in driver.ui.learningLabel.text and "left" in driver.ui.learningLabel.text
    assert driver.ui.cancelEpisodeButton.enabled and not driver.ui.trainButton.enabled
    assert "training" in driver.ui.learningSection.text
    learning.held = False
    driver.until(lambda: "promoted" in driver.ui.learningLabel.text, "the decision")
    driver.until(lambda: driver.ui.episodesTable.item(0, 1).text() == "promoted", "the table")
    assert driver.ui.episodesTable.item(0, 5).text() == "4/1"
    assert "0.600" in driver.ui.episodesTable.item(0, 2).text()
    assert "Version 1 comes into use with the next case" in driver.ui.weightsLabel.text
    assert "CC BY-NC-SA" in driver.ui.weightsLabel.text


def test_new_weights_come_with_the_next_case_and_can_be_rolled_back(driver):
    confirm_cases(driver, 5)
    driver.until(lambda: "promoted" in driver.ui.learningLabel.text, "the decision")
    driver.open_volume(driver.add_volume())
    driver.until(lambda: "version 1" in driver.ui.weightsLabel.text, "the swap")
    box = driver.ui.versionBox
    driver.until(lambda: box.count == 2, "the versions")
    box.setCurrentIndex(box.findData(0))
    driver.ui.rollBackButton.click()
    driver.until(lambda: "the untouched model" in driver.ui.weightsLabel.text, "rolling back")


def test_weights_can_be_used_at_once(driver):
    driver.ui.swapAtOnce.click()
    confirm_cases(driver, 5)
    driver.until(lambda: "version 1" in driver.ui.weightsLabel.text, "the swap")
    assert "New weights are in use" in driver.said


def test_a_rejected_and_a_failed_episode_say_why(driver):
    learning = driver.client.campaign.learning
    learning.script = (
        ScriptedEpisode(after=(0.5, 0.5), promoted=False),
        ScriptedEpisode(failure="The device ran out of memory; close other programs."),
    )
    confirm_cases(driver, 5)
    driver.until(lambda: "rejected" in driver.ui.learningLabel.text, "the decision")
    assert "0.50 after" in driver.ui.learningLabel.text
    driver.ui.trainButton.click()
    driver.until(lambda: "out of memory" in driver.ui.learningLabel.text, "the failure")
    assert driver.ui.episodesTable.rowCount == 2


def test_pause_train_now_and_cancel(driver):
    learning = driver.client.campaign.learning
    driver.ui.pauseButton.click()
    driver.until(lambda: learning.paused, "pausing")
    confirm_cases(driver, 6)
    driver.until(lambda: "paused" in driver.ui.learningLabel.text, "the sentence")
    assert "paused" in driver.ui.learningLabel.text and not learning.episodes
    learning.held = True
    driver.ui.trainButton.click()
    driver.until(lambda: learning.running, "the episode")
    driver.until(lambda: driver.ui.cancelEpisodeButton.enabled, "the button")
    driver.ui.cancelEpisodeButton.click()
    driver.until(lambda: "cancelled" in driver.ui.learningLabel.text, "cancelling")


def test_training_too_early_is_refused_in_words(driver):
    driver.ui.trainButton.click()
    driver.until(lambda: "at least two" in driver.ui.learningLabel.text, "the refusal")


def test_a_refusal_can_be_read_although_the_next_event_follows_at_once(driver):
    driver.ui.trainButton.click()
    driver.until(lambda: "at least two" in driver.ui.learningLabel.text, "the refusal")
    driver.widget.learningPanel._engineChanged()
    driver.host.spin(0.3)
    assert "at least two" in driver.ui.learningLabel.text
    driver.ui.pauseButton.click()
    driver.until(lambda: "paused" in driver.ui.learningLabel.text, "what was asked for next")


def test_an_annotator_who_is_not_the_owner_cannot_steer(driver):
    from dataclasses import replace

    driver.workspace.info = replace(driver.workspace.info, is_owner=False)
    driver.widget.learningPanel._engineChanged()
    driver.host.spin(0.2)
    for button in ("trainButton", "pauseButton", "rollBackButton", "exportButton"):
        assert not getattr(driver.ui, button).enabled


def test_plots_are_slicers_own_nodes_with_episode_marks(driver, artifacts):
    from charts import draw_chart

    confirm_cases(driver, 5)
    driver.until(lambda: "promoted" in driver.ui.learningLabel.text, "the decision")
    confirm_cases(driver, 4, first=5)
    charts = {c.GetTitle(): c for c in driver.widget.learningPanel.plots.charts()}
    driver.until(lambda: len(driver.widget.learningPanel.plots.charts()) == 5, "the charts")
    charts = {c.GetTitle(): c for c in driver.widget.learningPanel.plots.charts()}
    quality = charts["Quality of the first proposal"]
    assert quality.GetNumberOfPlotSeriesNodes() == 2
    table = quality.GetNthPlotSeriesNode(0).GetTableNode().GetTable()
    assert table.GetNumberOfRows() == 9 and table.GetValueByName(0, "Dice").ToDouble() == pytest.approx(0.5)
    driver.ui.plotsButton.click()
    draw_chart(quality, artifacts / "plot-first-proposal.png")
    draw_chart(charts["Training loss"], artifacts / "plot-training-loss.png")


def test_export_writes_where_the_lead_says(driver, tmp_path):
    confirm_cases(driver, 1)
    driver.widget.learningPanel.askForFolder = lambda: str(tmp_path)
    driver.ui.exportButton.click()
    driver.until(lambda: "Exported" in driver.said, "the export")
    driver.widget.learningPanel.askForFolder = lambda: str(tmp_path / "nowhere")
    driver.ui.exportButton.click()
    driver.until(lambda: "not a folder" in driver.said, "the refusal")


def test_closing_the_scene_takes_the_plots_away_and_they_come_back(driver):
    import slicer

    confirm_cases(driver, 2)
    driver.until(driver.widget.learningPanel.plots.charts, "the charts")
    slicer.mrmlScene.Clear(False)
    assert not driver.widget.learningPanel.plots.charts()
    confirm_cases(driver, 1, first=2)
    driver.until(driver.widget.learningPanel.plots.charts, "the charts")
