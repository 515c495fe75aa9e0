"""Setting the engine up: the plan, progress, failure in words, Cancel; with a stand-in for the installer."""

from __future__ import annotations

import os
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in for the installer is a shell script")


@pytest.fixture
def installer(panel, tmp_path, monkeypatch):
    """Makes the panel use a script instead of uv; the test says what it does."""
    monkeypatch.delenv("CLOPA_ENGINE_PYTHON", raising=False)

    def use(body):
        script = tmp_path / "uv"
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o700)
        panel.widget.campaignPanel.setup.findUv = lambda _tools: str(script)

    return use


def test_the_plan_is_shown_before_anything_is_done(panel, installer):
    installer("exit 1")
    panel.ui.setupButton.click()
    text = panel.ui.setupPlan.text
    assert "GB" in text and str(panel.widget.campaignPanel._settings.environment) in text
    assert "Slicer's own packages are not changed" in text


def test_an_installation_that_works_makes_the_engine_available(panel, installer):
    target = panel.widget.campaignPanel._settings.environmentPython
    installer(f'echo working on "$1"; mkdir -p "{target.parent}"; ln -sf "{sys.executable}" "{target}"')
    panel.ui.setupButton.click()
    panel.ui.setupStart.click()
    panel.until(lambda: "is installed" in panel.ui.engineLabel.text, "the installation")
    assert panel.ui.setupLabel.text == "installed" and panel.widget.campaignPanel._settings.python


def test_a_failure_is_said_with_its_reason(panel, installer):
    installer("echo 'no space left on device' >&2; exit 3")
    panel.ui.setupButton.click()
    panel.ui.setupStart.click()
    panel.until(lambda: "no space left" in panel.ui.engineLabel.text, "the failure")
    assert not panel.widget.campaignPanel._settings.python


def test_it_can_be_cancelled(panel, installer):
    installer("exec sleep 60")
    panel.ui.setupButton.click()
    panel.ui.setupStart.click()
    panel.until(lambda: panel.widget.campaignPanel.setup.isRunning, "the start")
    panel.ui.setupCancel.click()
    assert "cancelled" in panel.ui.engineLabel.text and not panel.widget.campaignPanel.setup.isRunning
