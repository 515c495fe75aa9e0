"""The story of a case with three targets, by mouse and keyboard, with the pictures of the user guide.

The in-process engine answers: what is shown here is the panel and the slice views, not a model's quality.
"""

from __future__ import annotations

import numpy as np
import pytest
from three_targets import KIDNEY, LESION, LIVER, SECOND, TARGETS, a_client

from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_session import FakeSession
from clopa_annotator.types import Slot

BODY = (48, 96, 112)
"""A phantom as an axial slice of an abdomen is seen: (k, j, i), 2 x 1.5 x 1.5 mm."""
ORGANS = {
    LIVER: ((24, 40, 34), (17, 24, 22), 140),
    KIDNEY: ((22, 62, 80), (14, 12, 9), 190),
    LESION: ((24, 34, 30), (5, 5, 5), 90),
    SECOND: ((26, 50, 42), (4, 4, 4), 90),
}
"""Middle and half axes in voxels, and brightness; the lesions lie in the liver."""


def ellipsoid(middle, axes):
    return sum(((g - m) / a) ** 2 for g, m, a in zip(np.indices(BODY), middle, axes, strict=True)) < 1


def phantom(seed=0):
    """An abdomen of ellipsoids with noise; int16."""
    image = np.where(ellipsoid((24, 48, 56), (60, 44, 53)), 60.0, 0.0)
    for middle, axes, bright in ORGANS.values():
        image[ellipsoid(middle, axes)] = bright
    image[ellipsoid((24, 76, 56), (60, 9, 10))] = 230  # the spine
    return (image + np.random.default_rng(seed).normal(0, 5, BODY)).astype(np.int16)


@pytest.fixture
def driver(panel):
    """Connected, with the list of cases open and two cases in the scene."""
    client = a_client(FakeCampaign("abdomen", targets=TARGETS), "Dr. Example")
    client._first_session, client._make_session = FakeSession(radius=40), lambda: FakeSession(radius=40)
    panel.connect(client)
    panel.ui.campaignSection.collapsed = panel.ui.transferSection.collapsed = True
    panel.ui.learningSection.collapsed = True
    matrix = np.diag([1.5, -1.5, 2.0, 1.0])
    matrix[:3, 3] = (-84, 72, -48)
    for number in (1, 2):
        panel.add_volume(phantom(number), matrix, f"abdomen {number}")
    panel.ui.addSceneButton.click()
    panel.ui.nextCaseButton.click()
    panel.until(lambda: panel.session.isOpen, "the first case")
    return panel


def middle_of(driver, slot):
    return driver.world(None, ORGANS[slot][0])


def look_at(driver, slot):
    for view in driver.host.views.values():
        view.jumpTo(middle_of(driver, slot))


def click_on(driver, slot, kji=None):
    at = middle_of(driver, slot) if kji is None else driver.world(None, kji)
    driver.click(at)
    driver.settle()


def record(driver, slot, case="abdomen 1"):
    return driver.client.campaign.case(case).slot(slot)


def next_target(driver, slot: Slot):
    driver.until(lambda: driver.session.slot == slot, "the next target")
    driver.settle()


def test_the_story_of_three_targets(driver, artifacts):
    look_at(driver, LIVER)
    driver.picture(artifacts, "targets-1-open")
    annotate_the_liver(driver, artifacts)
    annotate_the_kidney(driver, artifacts)
    two_lesions(driver, artifacts)
    the_second_case(driver, artifacts)


def annotate_the_liver(driver, artifacts):
    """The liver first: a click, a look at the others, and its confirmation goes on to the kidney."""
    click_on(driver, LIVER, (24, 44, 22))
    driver.press("2")
    click_on(driver, KIDNEY)
    driver.press("1")
    driver.settle()
    look_at(driver, LIVER)
    assert [p.timed.prompt.position_kji for p in driver.session.prompts] == [(24, 44, 22)]
    driver.picture(artifacts, "targets-2-two-drafts")
    driver.press("Ctrl+Z")
    driver.settle()
    assert not driver.workspace.currentMask().any() and record(driver, KIDNEY).draft is not None
    driver.press("Ctrl+Y")
    driver.settle()
    driver.press("Ctrl+Return")
    next_target(driver, KIDNEY)


def annotate_the_kidney(driver, artifacts):
    assert driver.workspace.currentMask()[ORGANS[KIDNEY][0]], "its draft is there"
    driver.ui.confirmButton.click()
    next_target(driver, LESION)
    assert driver.ui.casesTable.item(0, 4).text() == "2/3"


def two_lesions(driver, artifacts):
    """A lesion, another one, and what is confirmed stays as it is."""
    look_at(driver, LESION)
    click_on(driver, LESION)
    driver.press("Ctrl+Shift+Return")
    driver.until(lambda: driver.session.isConfirmed, "the confirmation")
    driver.settle()
    driver.press("A")
    driver.settle()
    look_at(driver, SECOND)
    click_on(driver, SECOND)
    driver.picture(artifacts, "targets")
    liver = record(driver, LIVER).newest.mask
    for slot in (LESION, SECOND):
        mask = driver.workspace.case.mask(slot)
        assert mask[ORGANS[slot][0]] and not (mask & liver).any(), "a proposal takes nothing from the liver"
    driver.press("Ctrl+Return")
    driver.until(lambda: driver.session.caseId == "abdomen 2" and driver.session.isOpen, "the next case")
    assert driver.ui.casesTable.item(0, 4).text() == "4/4"


def the_second_case(driver, artifacts):
    """No kidney in this one; the form and the learning section as the lead sees them."""
    driver.press("2")
    driver.settle()
    driver.press("Ctrl+Shift+N")
    next_target(driver, LESION)
    assert not record(driver, KIDNEY, "abdomen 2").newest.mask.any()
    driver.picture(artifacts, "targets-4-not-present")
    driver.ui.casesSection.collapsed = driver.ui.annotateSection.collapsed = True
    driver.ui.campaignSection.collapsed = driver.ui.learningSection.collapsed = False
    driver.ui.segmentsButton.click()
    driver.host.spin(0.2)
    driver.panelPicture(artifacts, "targets-form")
    assert driver.ui.linesTable.rowCount == 3
