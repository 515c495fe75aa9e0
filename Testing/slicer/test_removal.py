"""Removing what was downloaded: asked for first, told how much it was, never while an engine runs."""

from __future__ import annotations

import os

import pytest

from clopa_annotator.models import OFFICIAL
from clopa_annotator.models.presence import FileRecord, seal


@pytest.fixture
def downloaded(panel, tmp_path, monkeypatch):
    """An engine of 3 MB of which 1 MB is shared with the installer's cache, a model of 2 MB, other things."""
    monkeypatch.delenv("CLOPA_ENGINE_PYTHON", raising=False)
    monkeypatch.setenv("CLOPA_MODEL_DIR", str(tmp_path / "models"))
    settings = panel.widget.campaignPanel._settings
    python = settings.environmentPython
    python.parent.mkdir(parents=True)
    python.write_bytes(bytes(2_000_000))
    (settings.environment / "ready").touch()
    settings.uvCache.mkdir()
    (settings.uvCache / "wheel").write_bytes(bytes(1_000_000))
    os.link(settings.uvCache / "wheel", settings.environment / "library")
    model = tmp_path / "models" / OFFICIAL.folder
    model.mkdir(parents=True)
    (model / "weights").write_bytes(bytes(2_000_000))
    seal(model, {"weights": FileRecord(2_000_000, "")})
    settings.spool.mkdir()
    (settings.spool / "waiting").write_text("a confirmation")
    (tmp_path / "models" / "my own").mkdir()
    return settings


def ask(panel):
    panel.ui.removeButton.click()
    panel.until(lambda: panel.ui.removeStart.enabled or panel.ui.removeBox.isHidden(), "the question")


def test_it_is_asked_first_and_told_how_much_was_freed(panel, downloaded, tmp_path):
    ask(panel)
    plan = panel.ui.removePlan.text
    assert "5.0 MB" in plan and str(downloaded.environment) in plan and OFFICIAL.folder in plan
    assert downloaded.python, "nothing is removed before the answer"
    panel.ui.removeStart.click()
    panel.until(lambda: "5.0 MB are free again" in panel.ui.engineLabel.text, "the end")
    left = {p.name for p in downloaded.home.iterdir()} | {p.name for p in (tmp_path / "models").iterdir()}
    assert left == {"spool", "my own"} and (downloaded.spool / "waiting").is_file()
    assert panel.ui.setupLabel.text == "not installed yet" and panel.ui.removeBox.isHidden()
    panel.ui.removeButton.click()
    assert "nothing to remove" in panel.ui.engineLabel.text and panel.ui.removeBox.isHidden()


def test_a_second_press_and_cancel_take_the_question_back(panel, downloaded):
    for button in (panel.ui.removeButton, panel.ui.removeCancel):
        ask(panel)
        assert not panel.ui.removeBox.isHidden()
        button.click()
        assert panel.ui.removeBox.isHidden() and downloaded.python


def test_while_an_engine_is_in_use_nothing_is_removed(driver, downloaded):
    assert not driver.ui.removeButton.isEnabled()
    driver.widget.campaignPanel.removal.ask()
    assert "Press Disconnect first" in driver.ui.engineLabel.text and driver.ui.removeBox.isHidden()
    driver.widget.campaignPanel.disconnect()
    ask(driver)
    driver.connect()  # between the question and the answer
    driver.ui.removeStart.click()
    driver.host.spin(0.1)
    assert "Press Disconnect first" in driver.ui.engineLabel.text and downloaded.python


def test_a_campaign_in_one_of_the_folders_stops_it(panel, downloaded):
    (downloaded.environment / "mine").mkdir()
    (downloaded.environment / "mine" / "campaign.json").write_text("{}")
    ask(panel)
    assert "There is a campaign in" in panel.ui.engineLabel.text and panel.ui.removeBox.isHidden()
    assert downloaded.python


def test_removing_does_not_stop_the_interface_and_can_be_stopped(panel, downloaded, monkeypatch):
    from CLoPAAnnotatorLib.engine import Removal

    ask(panel)
    monkeypatch.setattr(Removal, "SLICE_S", 0.0)  # as slow as can be: nothing at a time
    panel.ui.removeStart.click()
    removal = panel.widget.campaignPanel.removal
    assert removal.isRunning and not downloaded.python, "half an engine is none"
    panel.ui.setupStart.click()
    assert "Wait until removing has ended" in panel.ui.engineLabel.text
    panel.host.spin(0.05)
    panel.ui.removeCancel.click()
    assert "Stopped" in panel.ui.engineLabel.text and not removal.isRunning
    assert downloaded.environment.exists()


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid"), reason="needs links")
def test_links_are_removed_and_not_followed(panel, downloaded, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "patient.nii.gz").write_text("x")
    (downloaded.environment / "link").symlink_to(tmp_path / "data")
    ask(panel)
    panel.ui.removeStart.click()
    panel.until(lambda: "are free again" in panel.ui.engineLabel.text, "the end")
    assert (tmp_path / "data" / "patient.nii.gz").is_file() and not downloaded.environment.exists()
