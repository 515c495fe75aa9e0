"""Three targets against a real engine process: planned in the form, annotated, killed, and still there."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
from three_targets import CENTRES, KIDNEY, LIVER, a_volume

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="the stand-in for the engine's interpreter is a shell script"),
]
PATIENCE_S = 240


def until(driver, condition, what):
    driver.until(condition, what, PATIENCE_S)


def settle(driver):
    until(driver, lambda: driver.session.isSettled, "the answer")


def connect(driver):
    driver.ui.connectButton.click()
    until(driver, lambda: driver.workspace.isConnected, "the engine")


def mark(driver, slot):
    """A click in the middle, and by hand what the untrained network does not see."""
    import slicer

    driver.click(driver.world(None, CENTRES[slot]))
    settle(driver)
    segment, mask = driver.workspace.case.proposal, np.zeros(driver.workspace.currentMask().shape, np.uint8)
    k, j, i = CENTRES[slot]
    mask[k - 3 : k + 4, j - 3 : j + 4, i - 3 : i + 4] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        mask, segment.node, segment.segmentId, driver.workspace.case.volume
    )
    driver.host.spin(0.05)


def plan(driver):
    """Three targets for a campaign that is not there yet."""
    table = driver.ui.targetsFormTable
    driver.ui.segmentsButton.click()
    for row, name in enumerate(("liver", "left kidney", "lesion")):
        if row:
            driver.ui.addTargetButton.click()
            driver.host.spin(0.1)
        table.item(row, 0).setText(name)
        driver.host.spin(0.1)


@pytest.mark.timeout(1200)
def test_three_targets_go_through_a_real_engine(engine, tmp_path):
    driver = engine
    driver.ui.campaignPath.currentPath = str(tmp_path / "new")
    driver.ui.modelBox.addItem("tiny", str(tmp_path / "model"))
    driver.ui.modelBox.setCurrentIndex(driver.ui.modelBox.count - 1)
    plan(driver)
    connect(driver)
    until(driver, lambda: len(driver.workspace.targets.targets) == 3, "the planned targets")
    made = json.loads((tmp_path / "new" / "campaign.json").read_text("utf-8"))
    assert [target["name"] for target in made["targets"]] == ["liver", "left kidney", "lesion"]
    keys = [target.key for target in driver.workspace.targets.targets]
    driver.add_volume(a_volume())
    driver.ui.addSceneButton.click()
    driver.ui.nextCaseButton.click()
    until(driver, lambda: driver.session.isOpen, "the case")
    mark(driver, LIVER)
    driver.press("Ctrl+Return")
    until(driver, lambda: driver.session.slot.target == keys[1], "the next target")
    settle(driver)
    mark(driver, KIDNEY)
    driver.press("3")
    settle(driver)
    driver.press("Ctrl+Shift+N")
    until(driver, lambda: driver.session.slot.target == keys[1], "the one that is left")
    settle(driver)
    table = driver.ui.targetsTable
    assert [table.item(row, 2).text() for row in range(3)] == ["confirmed", "draft", "not present"]
    kill_and_go_on(driver)
    driver.press("Ctrl+Return")
    until(driver, lambda: driver.ui.casesTable.item(0, 4).text() == "3/3", "the last confirmation")
    assert driver.ui.casesTable.item(0, 1).text() == "confirmed"


def kill_and_go_on(driver):
    """The engine dies with a draft on one target: Restart brings every target back."""
    driver.host.spin(1.0)
    slot, shown = driver.session.slot, {s: p.mask() for s, p in driver.workspace.case.proposals.items()}
    os.kill(driver.widget.campaignPanel.process.pid, signal.SIGKILL)
    until(driver, lambda: driver.ui.connectButton.text == "Restart", "noticing")
    connect(driver)
    until(driver, lambda: driver.session.isOpen, "the case")
    settle(driver)
    assert driver.session.slot == slot
    for number, (each, mask) in enumerate(shown.items(), 1):
        driver.press(str(number))
        settle(driver)
        assert driver.session.slot == each and np.array_equal(driver.workspace.currentMask(), mask)
    driver.press(str(1 + [line.slot for line in driver.workspace.targets.lines()].index(slot)))
    settle(driver)
