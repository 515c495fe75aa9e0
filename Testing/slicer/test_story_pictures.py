"""The pictures of the user guide: the main story on a real case, with the in-process engine."""

from __future__ import annotations

import numpy as np
from story import inside, reference

from clopa_annotator.session.fake import FakeSession


def outline(mask, corners=24):
    """A closed line around a 2D mask: its outermost voxel in every direction."""
    voxels = np.argwhere(mask).astype(float)
    offset = voxels - voxels.mean(0)
    sector = ((np.arctan2(offset[:, 0], offset[:, 1]) + np.pi) / (2 * np.pi) * corners).astype(int) % corners
    distance = np.hypot(*offset.T)
    return [
        voxels[sector == n][distance[sector == n].argmax()] for n in range(corners) if (sector == n).any()
    ]


def test_the_story_in_pictures(driver, test_data, artifacts):
    from test_learning_panel import confirm_cases

    from clopa_annotator.engine.fake import FakeEngineClient
    from clopa_annotator.engine.fake_campaign import FakeCampaign

    ui = driver.ui
    driver.workspace.disconnect()
    ui.campaignPath.currentPath = "~/campaigns/hippocampus"
    ui.annotatorName.text = "Dr. Example"
    ui.campaignSection.collapsed = False
    driver.picture(artifacts, "1-start")
    driver.connect(FakeEngineClient(FakeCampaign("hippocampus", 26), FakeSession(tolerance=0.8)))
    driver.widget.campaignPanel._connected(driver.workspace.info)
    ui.casesPath.currentPath = str(test_data / "Task04_Hippocampus")
    ui.addCasesButton.click()
    confirm_cases(driver, 4)
    ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
    truth = reference(test_data, driver.session.caseId)
    centre = inside(truth)
    for view in driver.host.views.values():
        view.jumpTo(driver.world(None, centre))
    ui.casesPath.currentPath = "~/data/Task04_Hippocampus"
    driver.picture(artifacts, "2-case-open")
    driver.click(driver.world(None, centre))
    driver.settle()
    assert driver.workspace.currentMask().any()
    driver.picture(artifacts, "3-first-click")
    driver.press("L")
    view = driver.host.views["Red"]
    view.drag([view.toXY(driver.world(None, (centre[0], j, i))) for j, i in outline(truth[centre[0]])])
    driver.settle()
    driver.press("O")
    driver.click(driver.world(None, (centre[0], 4, 4)), button="Right")
    driver.settle()
    driver.picture(artifacts, "4-lasso-and-negative")
    driver.client.delay_s = 0.6
    driver.click(driver.world(None, centre))
    driver.until(lambda: ui.busyBar.visible, "the spinner")
    driver.picture(artifacts, "5-waiting-for-an-answer")
    driver.settle()
    driver.client.delay_s = 0.0
    driver.client.campaign.learning.held = True
    ui.confirmButton.click()
    driver.settle()
    driver.host.spin(0.3)
    driver.picture(artifacts, "6-confirmed")
    learning = driver.client.campaign.learning
    learning.held = False
    driver.client.poll()
    driver.client.poll()
    learning.held = True
    ui.learningSection.collapsed = False
    driver.until(lambda: "epoch" in ui.learningLabel.text, "training")
    driver.picture(artifacts, "7-training")
    learning.held = False
    driver.until(lambda: "promoted" in ui.learningLabel.text, "the decision")
    driver.host.spin(0.2)
    driver.picture(artifacts, "8-promoted")
    driver.client.lost = True
    driver.press("Ctrl+Z")
    driver.until(lambda: driver.workspace.isLost, "losing the engine")
    driver.settle()
    driver.picture(artifacts, "9-engine-lost")
