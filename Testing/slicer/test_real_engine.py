"""The panel against a real engine process: what can be wrong is said in words, and the lead can steer it."""

from __future__ import annotations

import json
import os

import pytest
from double_engine import interpreter
from driving import a_ball

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="the stand-in for the engine's interpreter is a shell script"),
]
PATIENCE_S = 120


def connect(panel):
    panel.ui.connectButton.click()
    panel.until(lambda: panel.workspace.isConnected, "the engine", PATIENCE_S)


def confirm_another(panel, number):
    panel.add_volume(a_ball((24, 32, 36), seed=number), name=f"case {number}")
    panel.ui.addSceneButton.click()
    panel.workspace.openCase(f"case {number}")
    panel.until(lambda: panel.session.isOpen, "the case", PATIENCE_S)
    panel.click(panel.world(None, (12, 16, 18)))
    panel.until(lambda: not panel.session.isBusy, "the answer", PATIENCE_S)
    panel.ui.confirmButton.click()
    panel.host.spin(0.05)
    if "Nothing is marked" in panel.said:
        panel.ui.confirmButton.click()
    panel.until(lambda: panel.session.isConfirmed, "the confirmation", PATIENCE_S)


@pytest.mark.parametrize(("chosen", "schedule"), [(0, "thorough"), (1, "quick"), (2, "paper")])
def test_a_new_campaign_learns_as_long_as_was_chosen(engine, tmp_path, chosen, schedule):
    engine.ui.campaignPath.currentPath = str(tmp_path / "new")
    engine.ui.modelBox.addItem("tiny", str(tmp_path / "model"))
    engine.ui.modelBox.setCurrentIndex(engine.ui.modelBox.count - 1)
    engine.ui.scheduleBox.setCurrentIndex(chosen)
    engine.ui.campaignSize.value = 31
    connect(engine)
    made = json.loads((tmp_path / "new" / "campaign.json").read_text("utf-8"))
    assert made["settings"]["schedule"] == schedule and made["settings"]["strategy"] == "clopa-all"
    assert engine.workspace.info.campaign_size == 31


def test_an_engine_of_another_version_is_refused_in_words(engine, tmp_path):
    interpreter(tmp_path, CLOPA_DOUBLE_API="77")
    engine.ui.connectButton.click()
    label = engine.ui.engineLabel
    engine.until(
        lambda: engine.ui.connectButton.text == "Connect" and "engine" in label.text, "it", PATIENCE_S
    )
    assert "no CLoPA engine that this client knows" in label.text or "update the older" in label.text
    assert not engine.workspace.isConnected and not engine.widget.campaignPanel.process.isRunning


def test_a_full_engine_a_wrong_token_and_a_wrong_address_are_told_by_the_test_button(engine, tmp_path):
    interpreter(tmp_path, CLOPA_DOUBLE_PLACES="1")
    connect(engine)
    confirm_another(engine, 0)
    panel, ui = engine.widget.campaignPanel, engine.ui
    token = engine.workspace.link.client._transport._http.headers["Authorization"].split()[1]
    for address, given, words in (
        (panel.address, token, "It is full"),
        (panel.address, "x" * 43, "token"),
        ("http://127.0.0.1:9", token, "does not answer"),
    ):
        ui.serverUrl.text, ui.serverToken.text = address, given
        engine.workspace.attempt(panel.test)
        engine.until(lambda: panel._testing is None, "the answer", PATIENCE_S)
        assert words in ui.engineLabel.text, ui.engineLabel.text


def test_the_lead_trains_pauses_cancels_rolls_back_and_exports(engine, tmp_path):
    connect(engine)
    ui, learning = engine.ui, engine.widget.learningPanel

    def until(condition, what):
        engine.until(condition, what, PATIENCE_S)

    until(lambda: "Licence: " in ui.weightsLabel.text, "the licence")
    confirm_another(engine, 0)
    ui.trainButton.click()
    until(lambda: "at least two" in ui.learningLabel.text, "the refusal")
    confirm_another(engine, 1)
    ui.pauseButton.click()
    until(lambda: "paused" in ui.learningLabel.text, "pausing")
    ui.trainButton.click()
    until(lambda: ui.cancelEpisodeButton.enabled, "the episode")
    ui.cancelEpisodeButton.click()
    until(lambda: "cancelled" in ui.learningLabel.text and ui.trainButton.enabled, "cancelling")
    ui.pauseButton.click()
    for number in (2, 3):  # the cancelled episode has seen the first two
        confirm_another(engine, number)
    ui.trainButton.click()
    until(lambda: learning.state.phase == "promoted", "the decision")
    table = ui.episodesTable
    until(lambda: table.rowCount == 2 and table.item(0, 1).text() == "promoted", "the table")
    confirm_another(engine, 4)
    until(lambda: "version 1" in ui.weightsLabel.text, "the swap")
    until(lambda: ui.versionBox.count == 2, "the versions")
    ui.versionBox.setCurrentIndex(ui.versionBox.findData(0))
    ui.rollBackButton.click()
    until(lambda: "the untouched model" in ui.weightsLabel.text, "rolling back")
    (tmp_path / "out").mkdir()
    engine.widget.transferPanel.askForFolder = lambda: str(tmp_path / "out")
    ui.exportButton.click()
    until(lambda: "Exported" in engine.said, "the export")
    assert len(list((tmp_path / "out").rglob("*.seg.nrrd"))) == 5
    reopen_withdraw_and_skip(engine, until)


def reopen_withdraw_and_skip(engine, until):
    """What the list can do, on the engine's own records."""
    table, panel = engine.ui.casesTable, engine.widget.casesPanel
    table.selectRow(1)
    engine.ui.reopenButton.click()
    until(lambda: engine.session.caseId == "case 1" and engine.session.isOpen, "reopening")
    assert table.item(1, 1).text() == "in progress" and engine.workspace.currentMask().any()
    engine.ui.confirmButton.click()
    until(lambda: table.item(1, 1).text() == "confirmed (v2)", "the second version")
    panel.askForText = lambda *_args: "wrong side"
    table.selectRow(2)
    engine.ui.withdrawButton.click()
    until(lambda: table.item(2, 2).text() == "wrong side", "withdrawing")
    engine.add_volume(a_ball((24, 32, 36), seed=9), name="noisy")
    engine.ui.addSceneButton.click()
    engine.workspace.openCase("noisy")
    until(lambda: engine.session.isOpen, "the case")
    engine.widget.annotatePanel.marks.askForText = lambda *_args: "too noisy"
    engine.ui.skipButton.click()
    until(lambda: (table.item(5, 1).text(), table.item(5, 2).text()) == ("skipped", "too noisy"), "skipping")
