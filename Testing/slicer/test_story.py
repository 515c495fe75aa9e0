"""The whole story with a real model and a real engine process, on real hippocampus cases.

The engine runs in another interpreter when this one has no torch: ``CLOPA_ENGINE_PYTHON`` names it.
"""

from __future__ import annotations

import importlib.util
import os
import signal

import numpy as np
import pytest
from conftest import REPOSITORY
from story import correct, dice, inside, outline, reference
from surroundings import engine_python, inside_slicer

VIEWS = ("Red", "Yellow", "Green")
START_S, EPISODE_S = 300, 1200  # on two cores that five other suites share


@pytest.fixture
def interpreter(monkeypatch):
    chosen = os.environ.get("CLOPA_ENGINE_PYTHON")
    if not chosen:
        if not inside_slicer() and importlib.util.find_spec("torch") is None:
            pytest.skip("no torch here: set CLOPA_ENGINE_PYTHON to an interpreter that has it")
        chosen = engine_python()
    monkeypatch.setenv("CLOPA_ENGINE_PYTHON", chosen)
    return chosen


@pytest.fixture
def model():
    """A small trained model: ``CLOPA_TEST_MODEL``, or the bundled one."""
    if "CLOPA_TEST_MODEL" in os.environ:
        return os.environ["CLOPA_TEST_MODEL"]
    models = REPOSITORY / "CLoPAAnnotator" / "Resources" / "Models"
    if not any(models.glob("*/fold_0/checkpoint_final.pth")):
        pytest.skip("no trained model here: set CLOPA_TEST_MODEL to a model folder")
    return ""


@pytest.fixture
def started(panel, interpreter, model, tmp_path, artifacts):
    """The panel with an engine process on a new campaign."""
    ui = panel.ui
    ui.campaignPath.currentPath = "~/campaigns/hippocampus"
    ui.annotatorName.text = "Dr. Example"
    panel.panelPicture(artifacts, "1-start")
    (tmp_path / "campaigns").mkdir()  # the test's home
    if model:
        ui.modelBox.addItem("the test's", model)
        ui.modelBox.setCurrentIndex(ui.modelBox.count - 1)
    ui.scheduleBox.setCurrentIndex(ui.scheduleBox.findData("quick"))
    ui.connectButton.click()
    panel.until(lambda: panel.workspace.isConnected, "the engine", START_S)
    return panel


def wait(driver, condition, what, seconds=150):
    driver.until(condition, what, seconds)


def settle(driver):
    wait(driver, lambda: driver.session.isSettled, "the answer")


def annotate(driver, truth, clicks=2):
    """First click inside, then corrections, one orientation after the other; returns the first Dice."""
    centre = driver.world(None, inside(truth))
    for view in driver.host.views.values():
        view.jumpTo(centre)
    driver.click(centre, VIEWS[0])
    settle(driver)
    first = dice(driver.workspace.currentMask(), truth)
    for number in range(clicks):
        correct(driver, truth, VIEWS[(number + 1) % 3])
        settle(driver)
    return first


def accept_reference(driver, truth):
    """What is still wrong is painted by hand, as with the Segment Editor: the confirmed mask is right."""
    import slicer

    slicer.util.updateSegmentBinaryLabelmapFromArray(
        truth, driver.workspace.state.segmentation, "CLoPA_Proposal", driver.workspace.case.volume
    )


def next_case(driver):
    before = driver.session.caseId
    driver.press("Ctrl+Return")
    wait(driver, lambda: driver.session.caseId != before and driver.session.isOpen, "the next case")


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_the_whole_story(started, test_data, artifacts, tmp_path):
    driver = started
    list_the_cases(driver, test_data)
    driver.ui.nextCaseButton.click()
    wait(driver, lambda: driver.session.isOpen, "the first case")
    driver.picture(artifacts, "2-case-open")
    first_shown = {}
    for number in range(5):
        truth = reference(test_data, driver.session.caseId)
        first_shown[driver.session.caseId] = annotate(driver, truth, clicks=0 if number == 0 else 2)
        if number == 0:
            the_first_case(driver, truth, artifacts)
        accept_reference(driver, truth)
        if number < 4:
            next_case(driver)
    driver.ui.confirmButton.click()
    wait(driver, lambda: driver.session.isConfirmed, "the fifth confirmation")
    driver.picture(artifacts, "6-confirmed")
    wait(driver, lambda: "training: epoch" in driver.ui.learningLabel.text, "the episode", EPISODE_S)
    driver.picture(artifacts, "7-training")
    wait(driver, lambda: driver.widget.learningPanel.state.phase not in ("training", "checking"),
         "the decision", EPISODE_S)  # fmt: skip
    state = driver.widget.learningPanel.state
    assert state.phase == "promoted", state.sentence
    wait(driver, lambda: driver.ui.episodesTable.rowCount == 1, "the table")
    driver.picture(artifacts, "8-promoted")
    driver.ui.nextCaseButton.click()
    wait(driver, lambda: driver.session.isOpen and driver.session.caseId not in first_shown, "the next case")
    assert "New weights are in use: version 1" in driver.said
    truth = reference(test_data, driver.session.caseId)
    adapted = annotate(driver, truth, clicks=0)
    assert driver.session.weightsVersion == 1
    driver.picture(artifacts, "9-better-first-proposal")
    base = first_proposal_of_the_base(driver, truth)
    assert driver.session.weightsVersion == 0
    assert adapted > base, f"first proposal {base:.3f} before, {adapted:.3f} after the episode"
    accept_reference(driver, truth)
    next_case(driver)
    the_plots(driver, artifacts)
    save_and_reload(driver, test_data, tmp_path)


def list_the_cases(driver, test_data):
    """As a user: choose the dataset's folder, press Add."""
    folder = test_data / "Task04_Hippocampus"
    driver.ui.casesPath.currentPath = str(folder)
    driver.ui.addCasesButton.click()
    assert driver.ui.casesTable.rowCount == len(list((folder / "imagesTr").glob("*.nii.gz")))
    driver.ui.casesPath.currentPath = "~/data/Task04_Hippocampus"  # for the pictures


def the_first_case(driver, truth, artifacts):
    """Everything that can be done to a case, and a crash in the middle of it."""
    driver.picture(artifacts, "3-first-click")
    undo_and_scribble(driver, truth)
    lasso_and_negative_click(driver, truth)
    driver.picture(artifacts, "4-corrected")
    kill_and_restart(driver, artifacts)


def the_plots(driver, artifacts):
    from charts import draw_chart

    plots = driver.widget.learningPanel.plots
    wait(driver, lambda: len(plots._statistics) == 6, "the statistics")
    assert plots._statistics[-1].first_shown_dice > plots._statistics[-2].first_shown_dice
    charts = {chart.GetTitle(): chart for chart in plots.charts()}
    draw_chart(charts["Quality of the first proposal"], artifacts / "plot-first-proposal.png")
    draw_chart(charts["Training loss"], artifacts / "plot-training-loss.png")


def undo_and_scribble(driver, truth):
    before = driver.workspace.currentMask()
    centre = inside(truth)
    driver.press("C")
    view = driver.host.views["Yellow"]
    view.jumpTo(driver.world(None, centre))
    x, y = view.toXY(driver.world(None, centre))
    view.drag([(x - 24, y), (x - 8, y + 3), (x + 8, y + 3), (x + 24, y)])
    settle(driver)
    driver.press("Ctrl+Z")
    settle(driver)
    assert np.array_equal(driver.workspace.currentMask(), before)
    driver.press("Ctrl+Y")
    settle(driver)


def lasso_and_negative_click(driver, truth):
    """Around the target in the axial view; then a right click on what does not belong to it."""
    slice_k = inside(truth)[0]
    view = driver.host.views["Red"]
    driver.press("L")
    view.drag([view.toXY(driver.world(None, (slice_k, j, i))) for j, i in outline(truth[slice_k])])
    settle(driver)
    driver.press("O")
    shown = driver.workspace.currentMask()
    wrong = np.argwhere((shown > truth)[slice_k])
    j, i = wrong[0] if len(wrong) else (4, 4)
    driver.click(driver.world(None, (slice_k, j, i)), button="Right")
    settle(driver)
    assert [p.timed.prompt.positive for p in driver.session.prompts] == [True, True, True, False]


def kill_and_restart(driver, artifacts):
    """The engine dies at the worst moment: nothing is lost, Restart goes on."""
    driver.host.spin(1.0)
    mask, prompts = driver.workspace.currentMask(), len(driver.session.prompts)
    os.kill(driver.widget.campaignPanel.process.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    wait(driver, lambda: driver.ui.connectButton.text == "Restart", "noticing")
    assert np.array_equal(driver.workspace.currentMask(), mask)
    driver.picture(artifacts, "5-engine-lost")
    driver.ui.connectButton.click()
    wait(driver, lambda: driver.workspace.isConnected and driver.session.isOpen, "the engine", START_S)
    settle(driver)
    assert np.array_equal(driver.workspace.currentMask(), mask) and len(driver.session.prompts) == prompts


def roll_back(driver):
    box = driver.ui.versionBox
    box.setCurrentIndex(box.findData(0))
    driver.ui.rollBackButton.click()
    wait(driver, lambda: driver.widget.learningPanel.state.weights_version == 0, "rolling back")


def first_proposal_of_the_base(driver, truth):
    """The same case again, with the base model."""
    roll_back(driver)
    driver.ui.resetButton.click()
    settle(driver)
    return annotate(driver, truth, clicks=0)


def save_and_reload(driver, test_data, tmp_path):
    """An unfinished case, a saved scene, an empty one, and everything is back."""
    import slicer

    case, rows = driver.session.caseId, driver.ui.casesTable.rowCount
    annotate(driver, reference(test_data, case), clicks=1)
    mask, prompts = driver.workspace.currentMask(), len(driver.session.prompts)
    driver.host.spin(1.0)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(False)
    driver.host.spin(0.2)
    assert not driver.ui.casesTable.rowCount and driver.session.image is None
    slicer.util.loadScene(path)
    wait(driver, lambda: driver.session.isOpen and driver.session.caseId == case, "the reloaded case")
    assert np.array_equal(driver.workspace.currentMask(), mask) and mask.any()
    assert len(driver.session.prompts) == prompts and driver.ui.casesTable.rowCount == rows
    assert "6 of" in driver.ui.casesLabel.text


def test_a_wrong_token_and_a_wrong_address_are_told_in_words(started):
    panel, ui = started.widget.campaignPanel, started.ui
    for address, words in ((panel.address, "token"), ("http://127.0.0.1:9", "answer")):
        ui.serverUrl.text, ui.serverToken.text = address, "x" * 43
        started.workspace.attempt(panel.test)
        wait(started, lambda: panel._testing is None, "the answer")
        assert words in ui.engineLabel.text, ui.engineLabel.text
