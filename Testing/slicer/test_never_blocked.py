"""The interface goes on while an answer is awaited, and after the engine is gone."""

from __future__ import annotations

import numpy as np

from clopa_annotator.testing.fake_engine import FakeEngineClient

CENTRE = (15, 20, 25)


def at(driver, *kji):
    return driver.workspace.case.grid.worldOf(np.array([kji], float))[0]


def test_clicks_during_a_prediction_wait_and_go_out_together(driver):
    driver.open_volume(driver.add_volume())
    driver.client.delay_s = 0.2
    calls = []
    add = driver.client.add_prompts
    driver.client.add_prompts = lambda prompts: calls.append(len(prompts)) or add(prompts)
    for j in (18, 20, 22, 24):
        driver.click(at(driver, 15, j, 25))
    assert len(driver.session.prompts) == 4 and len(calls) == 1
    driver.settle()
    assert calls == [1, 3] and driver.client._session.proposal.mask.any()
    assert np.array_equal(driver.workspace.currentMask(), driver.client._session.proposal.mask)


def test_the_spinner_appears_and_goes(driver):
    driver.open_volume(driver.add_volume())
    assert not driver.ui.busyBar.visible
    driver.client.delay_s = 2.0
    driver.click(at(driver, *CENTRE))
    driver.until(lambda: driver.ui.busyBar.visible, "the spinner", 1.9)
    assert driver.ui.cancelButton.visible
    driver.settle()
    assert not driver.ui.busyBar.visible and not driver.ui.cancelButton.visible


def test_qt_goes_on_while_an_answer_is_awaited(driver):
    import qt

    driver.open_volume(driver.add_volume())
    ticks = []
    timer = qt.QTimer()
    timer.setInterval(10)
    timer.connect("timeout()", lambda: ticks.append(1))
    timer.start()
    driver.client.delay_s = 0.5
    driver.click(at(driver, *CENTRE))
    driver.settle()
    timer.stop()
    assert len(ticks) > 5


def test_cancel_takes_the_prompt_back(driver):
    driver.open_volume(driver.add_volume())
    driver.click(at(driver, *CENTRE))
    driver.settle()
    before = driver.workspace.currentMask()
    driver.client.delay_s = 0.2
    driver.click(at(driver, 15, 5, 5))
    driver.click(at(driver, 15, 6, 6))
    driver.press("Esc")
    assert len(driver.session.prompts) == 1
    driver.settle()
    assert np.array_equal(driver.workspace.currentMask(), before)
    assert len(driver.client._session.prompts) == 1
    assert np.array_equal(driver.client._session.proposal.mask, before)


def test_undo_while_waiting_takes_back_what_waits(driver):
    driver.open_volume(driver.add_volume())
    driver.client.delay_s = 0.2
    driver.click(at(driver, *CENTRE))
    driver.click(at(driver, 15, 5, 5))
    driver.press("Ctrl+Z")
    assert len(driver.session.prompts) == 1
    driver.settle()
    assert len(driver.client._session.prompts) == 1


def test_an_answer_for_a_case_that_was_left_is_dropped(driver):
    first = driver.add_volume(name="first")
    second = driver.add_volume(name="second")
    driver.open_volume(first)
    driver.client.delay_s = 0.2
    driver.click(at(driver, *CENTRE))
    driver.open_volume(second)
    driver.host.spin(0.5)
    assert driver.session.caseId == "second" and not driver.workspace.currentMask().any()
    assert not driver.session.prompts


def test_a_failed_prediction_takes_its_prompt_off_the_screen(driver):
    driver.open_volume(driver.add_volume())
    driver.click(at(driver, *CENTRE))
    driver.settle()
    before = driver.workspace.currentMask()
    driver.client._session.fail_next = "Out of memory on the graphics card. Close other programs."
    driver.click(at(driver, 15, 24, 25))
    driver.settle()
    assert "Out of memory" in driver.said and len(driver.session.prompts) == 1
    assert np.array_equal(driver.workspace.currentMask(), before)
    driver.click(at(driver, 15, 24, 25))
    driver.settle()
    assert len(driver.session.prompts) == 2


def test_a_lost_engine_is_said_and_restart_goes_on_where_one_was(driver):
    driver.open_volume(driver.add_volume())
    driver.click(at(driver, *CENTRE))
    driver.settle()
    mask = driver.workspace.currentMask()
    driver.client.lost = True
    driver.click(at(driver, 15, 24, 25))
    driver.settle()
    assert "does not answer" in driver.said and driver.ui.connectButton.text == "Restart"
    assert len(driver.session.prompts) == 1 and np.array_equal(driver.workspace.currentMask(), mask)
    driver.connect(FakeEngineClient(driver.client.campaign))
    driver.settle()
    assert "nothing was lost" in driver.said and driver.ui.connectButton.text == "Disconnect"
    driver.click(at(driver, 15, 24, 25))
    driver.settle()
    assert (driver.workspace.currentMask() & mask).sum() == mask.sum()
    driver.ui.confirmButton.click()
    driver.settle()
    assert len(driver.client.campaign.statistics()) == 1


def test_a_confirmation_to_a_lost_engine_is_kept_and_said(driver):
    driver.open_volume(driver.add_volume())
    driver.click(at(driver, *CENTRE))
    driver.settle()
    driver.client.lost = True
    driver.ui.confirmButton.click()
    driver.settle()
    assert "kept" in driver.said and not driver.session.isConfirmed


def test_the_clock_stops_when_nothing_happens():
    from CLoPAAnnotatorLib.annotation.ActiveClock import ActiveClock

    now = [0.0]
    clock = ActiveClock(30.0, lambda: now[0])
    clock.start(5.0)
    now[0] = 10
    clock.touch()
    now[0] = 1000
    assert clock.seconds == 45 and clock.isPaused
    clock.touch()
    clock.pause()
    now[0] = 2000
    clock.resume()
    now[0] = 2001
    assert clock.seconds == 46
