"""The whole story with a real model and a real engine process, on real hippocampus cases.

The engine runs in another interpreter when this one has no torch: ``CLOPA_ENGINE_PYTHON`` names it.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys

import numpy as np
import pytest
from conftest import REPOSITORY
from story import correct, dice, inside, reference

CASES = 7
VIEWS = ("Red", "Yellow", "Green")
START_S, EPISODE_S = 300, 1200  # on two cores that five other suites share


@pytest.fixture
def engine_python(monkeypatch):
    chosen = os.environ.get("CLOPA_ENGINE_PYTHON")
    if not chosen:
        if importlib.util.find_spec("torch") is None:
            pytest.skip("no torch here: set CLOPA_ENGINE_PYTHON to an interpreter that has it")
        chosen = sys.executable
    monkeypatch.setenv("CLOPA_ENGINE_PYTHON", chosen)
    return chosen


@pytest.fixture
def model():
    """A small trained model: ``CLOPA_TEST_MODEL``, or the bundled one."""
    if "CLOPA_TEST_MODEL" in os.environ:
        return os.environ["CLOPA_TEST_MODEL"]
    if not any((REPOSITORY / "Resources" / "Models").glob("*/fold_0/checkpoint_final.pth")):
        pytest.skip("no trained model here: set CLOPA_TEST_MODEL to a model folder")
    return ""


@pytest.fixture
def started(panel, test_data, engine_python, model, tmp_path, monkeypatch):
    """The panel with an engine process on a new campaign, and the first cases listed."""
    folder = tmp_path / "hippocampus"
    lines = ["image,case"]
    images = test_data / "Task04_Hippocampus" / "imagesTr"
    for path in sorted(images.glob("*.nii.gz"))[:CASES]:
        lines.append(f"{path},{path.name.split('.')[0]}")
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    panel.ui.campaignPath.currentPath = str(folder)
    panel.ui.campaignSize.setValue(20)
    panel.ui.annotatorName.text = "Dr. Example"
    if model:
        panel.ui.modelBox.addItem("the test's", model)
        panel.ui.modelBox.setCurrentIndex(panel.ui.modelBox.count - 1)
    panel.ui.connectButton.click()
    panel.until(lambda: panel.workspace.isConnected, "the engine", START_S)
    panel.ui.casesPath.currentPath = str(tmp_path / "cases.csv")
    panel.ui.addCasesButton.click()
    return panel


def wait(driver, condition, what, seconds=150):
    driver.until(condition, what, seconds)


def settle(driver):
    wait(driver, lambda: not driver.session.isBusy and not driver.session._waiting, "the answer")


def annotate(driver, truth, clicks=2):
    """First click inside, then corrections, one orientation after the other; returns the first Dice."""
    driver.click(driver.world(None, inside(truth)), VIEWS[0])
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
    import slicer

    driver = started
    driver.ui.nextCaseButton.click()
    wait(driver, lambda: driver.session.isOpen, "the first case")
    first_shown = {}
    for number in range(5):
        truth = reference(test_data, driver.session.caseId)
        first_shown[driver.session.caseId] = annotate(driver, truth)
        if number == 0:
            undo_and_scribble(driver, truth)
            driver.picture(artifacts, "story-1-annotating")
            kill_and_restart(driver)
        accept_reference(driver, truth)
        if number < 4:
            next_case(driver)
    driver.ui.confirmButton.click()
    wait(driver, lambda: driver.session.isConfirmed, "the fifth confirmation")
    wait(driver, lambda: "training" in driver.ui.learningSection.text, "the episode")
    driver.picture(artifacts, "story-2-training")
    wait(driver, lambda: driver.widget.learningPanel.state.phase not in ("training", "checking"),
         "the decision", EPISODE_S)  # fmt: skip
    state = driver.widget.learningPanel.state
    assert state.phase == "promoted", state.sentence
    wait(driver, lambda: driver.ui.episodesTable.rowCount == 1, "the table")
    driver.picture(artifacts, "story-3-promoted")
    driver.ui.nextCaseButton.click()
    wait(driver, lambda: driver.session.isOpen and driver.session.caseId not in first_shown, "the next case")
    truth = reference(test_data, driver.session.caseId)
    adapted = annotate(driver, truth, clicks=0)
    assert driver.session.weightsVersion == 1
    mask = driver.workspace.currentMask()
    roll_back(driver)
    driver.ui.resetButton.click()
    settle(driver)
    base = annotate(driver, truth, clicks=0)
    assert driver.session.weightsVersion == 0
    assert adapted > base, f"first proposal {base:.3f} before, {adapted:.3f} after the episode"
    save_and_reload(driver, tmp_path, slicer)
    assert dice(driver.workspace.currentMask(), truth) == pytest.approx(base)
    assert mask.any() and driver.ui.casesTable.rowCount == CASES
    driver.picture(artifacts, "story-4-reloaded")


def undo_and_scribble(driver, truth):
    before = driver.workspace.currentMask()
    centre = inside(truth)
    driver.press("C")
    view = driver.host.views["Red"]
    view.jumpTo(driver.world(None, centre))
    x, y = view.toXY(driver.world(None, centre))
    view.drag([(x - 8, y), (x, y), (x + 8, y)])
    settle(driver)
    driver.press("Ctrl+Z")
    settle(driver)
    assert np.array_equal(driver.workspace.currentMask(), before)
    driver.press("Ctrl+Y")
    settle(driver)
    driver.press("O")


def kill_and_restart(driver):
    """The engine dies at the worst moment: nothing is lost, Restart goes on."""
    driver.host.spin(1.0)
    mask, prompts = driver.workspace.currentMask(), len(driver.session.prompts)
    os.kill(driver.widget.campaignPanel.process.pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    wait(driver, lambda: driver.ui.connectButton.text == "Restart", "noticing")
    assert np.array_equal(driver.workspace.currentMask(), mask)
    driver.ui.connectButton.click()
    wait(driver, lambda: driver.workspace.isConnected and driver.session.isOpen, "the engine", START_S)
    settle(driver)
    assert np.array_equal(driver.workspace.currentMask(), mask) and len(driver.session.prompts) == prompts


def roll_back(driver):
    box = driver.ui.versionBox
    box.setCurrentIndex(box.findData(0))
    driver.ui.rollBackButton.click()
    wait(driver, lambda: driver.widget.learningPanel.state.weights_version == 0, "rolling back")


def save_and_reload(driver, tmp_path, slicer):
    case = driver.session.caseId
    driver.host.spin(1.0)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(False)
    driver.host.spin(0.2)
    slicer.util.loadScene(path)
    wait(driver, lambda: driver.session.isOpen and driver.session.caseId == case, "the reloaded case")


def test_a_wrong_token_and_a_wrong_address_are_told_in_words(started):
    panel, ui = started.widget.campaignPanel, started.ui
    for address, words in ((panel.address, "token"), ("http://127.0.0.1:9", "answer")):
        ui.serverUrl.text, ui.serverToken.text = address, "x" * 43
        started.workspace.attempt(panel.test)
        wait(started, lambda: panel._testing is None, "the answer")
        assert words in ui.engineLabel.text, ui.engineLabel.text
