"""The story of a review by mouse and keyboard: returned with a comment and a place, mended, accepted.

Two people take turns at one computer; the in-process engine answers. Its pictures are the lead's guide's.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from driving import a_ball

from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient
from clopa_annotator.types import CaseState
from clopa_annotator.types.review import PairAgreement, Verdict

CENTRE = (15, 20, 25)
PLACE = (18, 20, 25)
"""Voxel (k, j, i) where the reviewer wants the annotator to look."""


class Turns:
    """Who sits at the computer: each with a client of their own on one campaign."""

    def __init__(self, driver):
        self.driver, self.campaign = driver, FakeCampaign("review")

    def sits(self, name):
        driver = self.driver
        if driver.workspace.isConnected:
            driver.workspace.disconnect()
        driver.ui.annotatorName.text = name
        driver.connect(FakeEngineClient(self.campaign, annotator=name))
        driver.ui.campaignSection.collapsed = driver.ui.learningSection.collapsed = True
        driver.ui.transferSection.collapsed = True
        driver.ui.reviewSection.collapsed = name == "Ada"
        driver.ui.annotateSection.collapsed = False
        driver.host.spin(0.1)

    def work(self, case="case 1"):
        return self.campaign.case(case).slot(next(iter(self.campaign.case(case).slots)))


@pytest.fixture
def turns(panel):
    turns = Turns(panel)
    for number in (1, 2):
        panel.add_volume(a_ball(seed=number), np.diag([1.5, -1.5, 2.0, 1.0]), f"case {number}")
    turns.sits("Ada")
    panel.ui.addSceneButton.click()
    return turns


def annotate(driver, case):
    driver.workspace.attempt(lambda: driver.workspace.openCase(case))
    driver.until(lambda: driver.session.isOpen, case)
    driver.click(driver.world(None, CENTRE))
    driver.settle()
    driver.press("Ctrl+Shift+Return")
    driver.until(lambda: driver.session.isConfirmed, "the confirmation")


def rows(driver):
    table = driver.ui.reviewTable
    return [
        tuple(str(table.item(row, column).text()) for column in (0, 2, 3)) for row in range(table.rowCount)
    ]


def listed(driver, count):
    driver.until(lambda: len(rows(driver)) == count, f"{count} rows; there are {rows(driver)}")


def looks_at(driver, case):
    reviewing = driver.widget.reviewPanel.reviewing
    driver.until(lambda: reviewing.isLooking and driver.session.caseId == case, f"a look at {case}")
    driver.settle()


def type_comment(driver, text):
    driver.ui.reviewComment.setFocus()
    driver.ui.reviewComment.text = text


def test_returned_with_a_comment_mended_and_accepted(turns, artifacts):
    driver = turns.driver
    for case in ("case 1", "case 2"):
        annotate(driver, case)
    the_reviewer_returns_one(turns, artifacts)
    the_annotator_mends_it(turns, artifacts)
    the_reviewer_accepts_it(turns, artifacts)


def the_reviewer_returns_one(turns, artifacts):
    """Page Down looks at the first; a click marks a place; R asks for a comment, Enter returns."""
    driver = turns.driver
    turns.sits("Bob")
    listed(driver, 2)
    assert rows(driver)[0] == ("case 1", "waits", "Ada")
    driver.press("PgDown")
    looks_at(driver, "case 1")
    driver.press("R")
    assert "Type what has to be mended" in driver.said and turns.work().verdict is Verdict.NONE
    driver.press("M")
    prompts = driver.session.prompts
    driver.click(driver.world(None, PLACE))
    driver.until(lambda: driver.widget.reviewPanel.reviewing.place is not None, "the place")
    assert driver.session.prompts == prompts, "the click is no prompt"
    type_comment(driver, "The upper end is missing.")
    driver.picture(artifacts, "review-return")
    driver.ui.reviewReturnButton.click()
    driver.until(lambda: turns.work().verdict is Verdict.RETURNED, "the verdict")
    looks_at(driver, "case 2")
    listed(driver, 1)
    assert turns.work().comment == "The upper end is missing." and not turns.campaign.statistics()[1:]
    geometry = turns.campaign.case("case 1").image.geometry
    assert geometry.index_kji(turns.work().place_lps_mm) == PLACE
    driver.press("Y")
    driver.until(lambda: turns.work("case 2").verdict is Verdict.ACCEPTED, "the second verdict")
    driver.until(lambda: "Nothing else waits" in driver.said, "the end of the list")


def the_annotator_mends_it(turns, artifacts):
    """Opening the returned case shows its mask, the comment and the place."""
    driver = turns.driver
    turns.sits("Ada")
    driver.until(lambda: driver.ui.casesTable.item(0, 1).text() == "returned", "the list of cases")
    assert driver.ui.casesTable.item(1, 1).text() == "accepted"
    driver.workspace.attempt(lambda: driver.workspace.openCase("case 1"))
    driver.until(lambda: driver.session.isOpen, "the case")
    driver.settle()
    assert (
        driver.ui.returnedLabel.visible and "Bob: The upper end is missing." in driver.ui.returnedLabel.text
    )
    assert driver.workspace.currentMask()[CENTRE], "it begins with the mask that was returned"
    marks = driver.widget.reviewPanel.marks
    shown = np.zeros(3)
    marks.place.GetNthControlPointPositionWorld(0, shown)
    assert np.allclose(shown, driver.world(None, PLACE), atol=0.75)
    driver.picture(artifacts, "review-returned")
    driver.click(driver.world(None, PLACE))
    driver.settle()
    driver.press("Ctrl+Shift+Return")
    driver.until(lambda: driver.session.isConfirmed, "the confirmation")
    driver.host.spin(0.05)
    assert not driver.ui.returnedLabel.visible and marks.place is None
    assert turns.work().state is CaseState.CONFIRMED and turns.work().verdict is Verdict.NONE


def the_reviewer_accepts_it(turns, artifacts):
    """V compares with the version before; Y accepts."""
    driver = turns.driver
    turns.sits("Bob")
    listed(driver, 1)
    assert rows(driver) == [("case 1", "waits (v2)", "Ada")]
    driver.ui.reviewNextButton.click()
    looks_at(driver, "case 1")
    driver.press("V")
    marks = driver.widget.reviewPanel.marks
    driver.until(lambda: marks.outlines is not None, "the outline")
    assert "version 1" in driver.said
    driver.picture(artifacts, "review-compare")
    driver.press("Y")
    driver.until(lambda: turns.work().verdict is Verdict.ACCEPTED, "the verdict")
    driver.ui.reviewVerdictBox.setCurrentIndex(3)
    listed(driver, 2)
    assert {state for _, state, _ in rows(driver)} == {"accepted", "accepted (v2)"}


def test_an_accepted_case_asks_before_it_is_confirmed_anew(turns):
    driver = turns.driver
    annotate(driver, "case 1")
    turns.sits("Bob")
    listed(driver, 1)
    driver.press("PgDown")
    looks_at(driver, "case 1")
    driver.ui.reviewAcceptButton.click()
    driver.until(lambda: turns.work().verdict is Verdict.ACCEPTED, "the verdict")
    turns.sits("Ada")
    driver.workspace.attempt(lambda: driver.workspace.openCase("case 1"))
    driver.until(lambda: driver.session.isOpen, "the case")
    driver.click(driver.world(None, PLACE))
    driver.settle()
    driver.press("Ctrl+Shift+Return")
    driver.until(lambda: "Bob accepted this case" in driver.said, "the question")
    assert len(turns.work().versions) == 1 and not driver.session.isConfirmed
    driver.settle()
    driver.press("Ctrl+Shift+Return")
    driver.until(lambda: driver.session.isConfirmed, "the confirmation")
    assert len(turns.work().versions) == 2 and turns.work().verdict is Verdict.NONE


def test_a_mask_that_the_reviewer_changed_is_not_what_would_be_accepted(turns):
    driver = turns.driver
    annotate(driver, "case 1")
    turns.sits("Bob")
    listed(driver, 1)
    driver.press("PgDown")
    looks_at(driver, "case 1")
    driver.click(driver.world(None, PLACE))
    driver.settle()
    driver.press("Y")
    assert "You have changed this mask" in driver.said and turns.work().verdict is Verdict.NONE


def test_keys_of_a_review_do_nothing_while_its_section_is_closed(turns):
    driver = turns.driver
    annotate(driver, "case 1")
    turns.sits("Bob")
    listed(driver, 1)
    driver.press("PgDown")
    looks_at(driver, "case 1")
    driver.ui.reviewSection.collapsed = True
    driver.press("Y")
    driver.host.spin(0.1)
    assert turns.work().verdict is Verdict.NONE


def test_a_verdict_that_comes_too_late_is_told_and_the_list_is_asked_for_again(turns):
    driver = turns.driver
    annotate(driver, "case 1")
    turns.sits("Bob")
    listed(driver, 1)
    driver.press("PgDown")
    looks_at(driver, "case 1")
    turns.work().owner = ""
    eve = FakeEngineClient(turns.campaign, annotator="Eve")
    eve.accept("case 1")
    eve.poll()
    driver.press("Y")
    driver.until(lambda: "accepted by Eve" in driver.said, "the sentence")
    listed(driver, 0)


def test_the_list_is_filtered_by_what_is_chosen_above_it(turns):
    driver = turns.driver
    annotate(driver, "case 1")
    turns.sits("Eve")
    annotate(driver, "case 2")
    turns.sits("Bob")
    listed(driver, 2)
    box = driver.ui.reviewAnnotatorBox
    assert [str(box.itemText(n)) for n in range(3)] == ["Anybody", "Ada", "Eve"]
    box.setCurrentIndex(2)
    listed(driver, 1)
    assert rows(driver) == [("case 2", "waits", "Eve")]
    box.setCurrentIndex(0)
    driver.ui.reviewExpectedSpin.value = 0.9
    listed(driver, 0)
    driver.ui.reviewExpectedSpin.value = 0.0
    listed(driver, 2)
    driver.ui.reviewVerdictBox.setCurrentIndex(1)
    listed(driver, 0)


def test_the_lead_sees_how_well_people_agree_and_an_annotator_does_not(turns):
    driver = turns.driver
    turns.campaign.agreement.append(PairAgreement("Ada", "Eve", "", 4, 0.91, 0.85, 0.953, 0.04))
    turns.campaign.agreement.append(PairAgreement("Ada", "Bob", "", 1, 0.8, 0.8, math.nan, math.nan))
    turns.sits("Bob")
    label = driver.ui.agreementLabel
    driver.until(lambda: label.visible, "the agreement")
    lines = str(label.text).splitlines()
    assert lines[1] == "Ada and Bob: 1 case, Dice 0.80 (lowest 0.80), NSD –, volumes differ by – %"
    assert lines[2] == "Ada and Eve: 4 cases, Dice 0.91 (lowest 0.85), NSD 0.95, volumes differ by 4 %"
    driver.workspace.info = replace(driver.workspace.info, may_review=False)
    driver.widget.reviewPanel.refresh()
    assert not driver.ui.reviewComment.enabled
    assert "look only" in driver.ui.reviewComment.placeholderText
