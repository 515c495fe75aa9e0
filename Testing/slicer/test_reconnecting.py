"""Connecting, failing to, losing the engine and coming back: what the user reads, and what is still there."""

from __future__ import annotations

import numpy as np
import pytest
from driving import a_ball

from clopa_annotator.errors import EngineError, VersionMismatch, WrongToken
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient
from clopa_annotator.types import Event

CENTRE = (15, 20, 25)


def use_server(panel, client):
    panel.widget.campaignPanel.makeClient = lambda *_args: client
    panel.ui.serverRadio.setChecked(True)
    panel.ui.serverUrl.text, panel.ui.serverToken.text = "https://gpu:8443", "secret"


def refusing(error):
    client = FakeEngineClient(FakeCampaign())
    client._hello = lambda: (_ for _ in ()).throw(error)
    return client


def lose_and_reconnect(driver, campaign=None):
    """The engine goes away between two clicks, and another one serves the same campaign."""
    driver.client.lost = True
    driver.workspace.engineLost()
    driver.connect(FakeEngineClient(campaign or driver.client.campaign))
    driver.settle()


@pytest.mark.parametrize("error", [WrongToken("The token is not known here."), VersionMismatch("Too old.")])
def test_connect_says_why_it_was_refused_and_can_be_pressed_again(panel, error):
    use_server(panel, refusing(error))
    panel.ui.connectButton.click()
    panel.until(lambda: str(error) in panel.ui.engineLabel.text, "the refusal")
    assert panel.ui.connectButton.text == "Connect" and panel.ui.serverToken.enabled
    use_server(panel, FakeEngineClient(FakeCampaign()))
    panel.ui.connectButton.click()
    panel.until(lambda: panel.workspace.isConnected, "the engine")
    assert panel.ui.connectButton.text == "Disconnect"


def test_waiting_for_an_engine_can_be_cancelled(panel):
    client = FakeEngineClient(FakeCampaign())
    client._do = lambda *_args: client._calls.start("connect")  # it never answers
    use_server(panel, client)
    panel.ui.connectButton.click()
    assert panel.ui.connectButton.text == "Cancel" and not panel.ui.serverUrl.enabled
    panel.ui.connectButton.click()
    assert panel.ui.connectButton.text == "Connect" and panel.ui.serverUrl.enabled


def test_packages_that_cannot_be_installed_are_told_beside_the_button(panel):
    def refuse(*_args):
        raise EngineError("The packages httpx could not be installed: no network.")

    use_server(panel, None)
    panel.widget.campaignPanel.makeClient = refuse
    panel.ui.connectButton.click()
    assert "no network" in panel.ui.engineLabel.text and panel.ui.connectButton.text == "Connect"


def test_an_engine_that_dies_between_clicks_stops_every_button_and_click(driver):
    driver.open_volume(driver.add_volume())
    driver.click(driver.world(None, CENTRE))
    driver.settle()
    driver.widget.campaignPanel._onEnded("The engine ended unexpectedly.")
    assert driver.ui.connectButton.text == "Restart" and not driver.ui.campaignSection.collapsed
    assert not driver.ui.pointTool.enabled and not driver.ui.confirmButton.enabled
    assert not driver.ui.nextCaseButton.enabled and not driver.ui.trainButton.enabled
    driver.click(driver.world(None, CENTRE))
    assert "Press Restart" in driver.said and len(driver.session.prompts) == 1


def test_a_confirmed_case_stays_confirmed_over_a_restart(driver):
    driver.open_volume(driver.add_volume())
    driver.click(driver.world(None, CENTRE))
    driver.settle()
    driver.ui.confirmButton.click()
    driver.settle()
    lose_and_reconnect(driver)
    assert driver.session.isConfirmed and driver.said.startswith("Confirmed: case, version 1")
    assert driver.ui.confirmNextButton.text == "Next case"
    driver.host.spin(0.6)
    assert driver.client.campaign.case("case").draft is None


def test_a_confirmation_that_was_on_its_way_is_found_confirmed(driver):
    driver.open_volume(driver.add_volume())
    driver.click(driver.world(None, CENTRE))
    driver.settle()
    campaign = driver.client.campaign
    confirm = driver.client.confirm
    driver.client.confirm = lambda c: campaign.confirm(c) and driver.client._calls.start("confirm")
    driver.ui.confirmButton.click()  # stored, but the answer never comes
    driver.client.confirm = confirm
    lose_and_reconnect(driver)
    assert driver.session.isConfirmed and len(campaign.statistics()) == 1


def test_undo_after_a_restart_agrees_with_the_engine(driver):
    driver.open_volume(driver.add_volume())
    for j in (18, 20, 22):
        driver.click(driver.world(None, (15, j, 25)))
        driver.settle()
    mask = driver.workspace.currentMask()
    for draft in (True, False):
        if not draft:
            driver.client.campaign.case("case").draft = None
        lose_and_reconnect(driver)
        assert len(driver.session.prompts) == 3 and np.array_equal(driver.workspace.currentMask(), mask)
        assert np.array_equal(driver.client._session.proposal.mask, mask)
        while driver.session.work.canUndo:
            driver.press("Ctrl+Z")
            driver.settle()
        assert not driver.workspace.currentMask().any() and not driver.session.prompts
        while driver.session.work.canRedo:
            driver.press("Ctrl+Y")
            driver.settle()
        assert len(driver.session.prompts) == 3 and np.array_equal(driver.workspace.currentMask(), mask)


def test_work_done_while_the_engine_was_away_reaches_it(driver):
    import slicer

    volume = driver.add_volume()
    driver.open_volume(volume)
    driver.click(driver.world(None, CENTRE))
    driver.settle()
    driver.client.lost = True
    driver.workspace.engineLost()
    edited = driver.workspace.currentMask().copy()
    edited[2:5, 2:5, 2:5] = 1
    node = driver.workspace.state.segmentation
    slicer.util.updateSegmentBinaryLabelmapFromArray(edited, node, "CLoPA_Proposal", volume)
    driver.connect(FakeEngineClient(driver.client.campaign))
    driver.settle()
    assert driver.client._session.proposal.mask[3, 3, 3] == 1
    case = driver.client.campaign.case("case")
    driver.until(lambda: case.draft is not None and case.draft.mask[3, 3, 3] == 1, "the draft")


def test_a_line_that_comes_back_by_itself_is_taken_up_again(driver):
    driver.open_volume(driver.add_volume())
    driver.client.lost = True
    driver.click(driver.world(None, CENTRE))
    driver.settle()
    assert driver.workspace.isLost
    driver.client.lost = False
    driver.workspace._heard(Event(0, "connection", {"up": True, "sentence": ""}))
    driver.until(lambda: driver.workspace.isConnected and driver.session.isOpen, "the engine")
    driver.click(driver.world(None, CENTRE))
    driver.settle()
    assert driver.workspace.currentMask()[CENTRE] == 1


def test_a_kept_confirmation_that_is_refused_is_told(driver):
    driver.workspace._heard(Event(0, "confirmation_refused", {"case_id": "a", "reason": "No room."}))
    assert "No room." in driver.said and "Confirm it again" in driver.said


def test_disconnect_takes_the_last_draft_along(driver):
    driver.open_volume(driver.add_volume())
    driver.click(driver.world(None, CENTRE))
    driver.settle()
    campaign = driver.client.campaign
    assert campaign.case("case").draft is None  # it is not due yet
    driver.ui.connectButton.click()
    assert campaign.case("case").draft.mask[CENTRE] == 1 and driver.ui.connectButton.text == "Connect"


def test_clicks_in_quick_succession_leave_no_answer_without_a_draft(driver):
    driver.open_volume(driver.add_volume(a_ball()))
    drafts = []
    keep = driver.client.save_draft
    driver.client.save_draft = lambda draft, slot=None: drafts.append(len(draft.prompts)) or keep(draft, slot)
    driver.client.delay_s = 0.5  # a real view takes a tenth of a second to draw
    for j in (16, 18, 20, 22):
        driver.click(driver.world(None, (15, j, 25)))
        driver.until(lambda: driver.session._sender.steps.running is not None, "the call")
        driver.host.spin(0.3)
    driver.settle()
    driver.host.spin(0.5)
    assert drafts[-1] == 4 and len(drafts) >= 2


def test_sentences_are_seen_while_the_annotate_section_is_closed(panel):
    panel.ui.addSceneButton.click()
    assert panel.ui.annotateSection.collapsed and "No volume is open" in panel.ui.casesLabel.text
