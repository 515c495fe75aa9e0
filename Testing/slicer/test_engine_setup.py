"""Setting the engine up: the plan, progress, failure in words, Cancel; with a stand-in for the installer."""

from __future__ import annotations

import os
import shutil
import time

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
    link = f'mkdir -p "{target.parent}"; printf "#!/bin/sh\\nexit 0\\n" > "{target}"; chmod +x "{target}"'
    installer(f'echo working on "$1" >&2; {link}')
    panel.widget.campaignPanel.refresh()
    assert panel.ui.setupButton.styleSheet and not panel.ui.connectButton.styleSheet, "what to press first"
    panel.ui.setupButton.click()
    panel.ui.setupStart.click()
    panel.until(lambda: "is installed" in panel.ui.engineLabel.text, "the installation")
    assert panel.ui.setupLabel.text == "installed" and panel.widget.campaignPanel._settings.python
    assert panel.ui.connectButton.styleSheet and not panel.ui.setupButton.styleSheet, "what to press now"
    assert panel.ui.setupProgress.maximum == 4 and not panel.ui.setupBox.isVisible()


def test_what_the_installer_says_is_shown_step_by_step(panel, installer):
    installer("echo 'Downloading torch (180 MiB)' >&2; exec sleep 60")
    panel.ui.setupButton.click()
    panel.ui.setupStart.click()
    panel.until(lambda: "Downloading torch (180 MiB)" in panel.ui.setupPlan.text, "the line")
    assert panel.ui.setupPlan.text.startswith("Make a Python of its own") and panel.ui.setupProgress.visible
    assert panel.ui.setupProgress.text == "step 1 of 4"
    panel.ui.setupCancel.click()


def test_a_firewall_that_lets_only_pypi_through_is_got_round(panel, installer, tmp_path):
    target = panel.widget.campaignPanel._settings.environmentPython
    link = f'mkdir -p "{target.parent}"; printf "#!/bin/sh\\nexit 0\\n" > "{target}"; chmod +x "{target}"'
    log = tmp_path / "log"
    installer(f'echo "$@" >> "{log}"; {link}; case "$*" in *torch-backend*) exit 2;; esac')
    panel.ui.setupButton.click()
    panel.ui.setupStart.click()
    panel.until(lambda: "is installed" in panel.ui.engineLabel.text, "the installation")
    lines = log.read_text().splitlines()
    assert ["torch-backend" in line for line in lines] == [False, True, False, True, False]


def test_an_environment_that_does_not_work_is_not_called_installed(panel, installer):
    target = panel.widget.campaignPanel._settings.environmentPython
    broken = f'printf "#!/bin/sh\\necho no torch >&2\\nexit 1\\n" > "{target}"; chmod +x "{target}"'
    installer(f'mkdir -p "{target.parent}"; {broken}')
    panel.ui.setupButton.click()
    panel.ui.setupStart.click()
    panel.until(lambda: "no torch" in panel.ui.engineLabel.text, "the failure")
    assert not panel.widget.campaignPanel._settings.python


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


def test_the_installer_is_fetched_beside_slicers_packages(panel, tmp_path, monkeypatch):
    import slicer

    from CLoPAAnnotatorLib.engine.EngineSetup import findUv

    asked = []

    def install(requirements):
        asked.append(requirements)
        program.parent.mkdir(parents=True)
        program.touch()

    program = tmp_path / "tools" / "bin" / "uv"
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(slicer.util, "pip_install", install)
    assert findUv(tmp_path / "tools") == findUv(tmp_path / "tools") == str(program)
    assert asked == [["--target", str(tmp_path / "tools"), "--upgrade", "uv"]]


@pytest.mark.skipif(
    "CLOPA_REAL_SETUP" not in os.environ, reason="downloads gigabytes: set CLOPA_REAL_SETUP=1"
)
@pytest.mark.timeout(3600)
def test_the_real_installation_gives_an_engine_that_answers(panel, tmp_path, monkeypatch):
    """Everything as a user presses it: Set up, Install, Connect, a click."""
    import slicer

    from host import pip

    monkeypatch.delenv("CLOPA_ENGINE_PYTHON", raising=False)
    monkeypatch.setattr(slicer.util, "pip_install", pip)
    ui, start, lines = panel.ui, time.monotonic(), []
    ui.setupButton.click()
    ui.setupStart.click()
    ui.engineLabel.text = ""  # the next sentence there is the end's

    def ended():
        if not lines or lines[-1][1] != ui.setupPlan.text:
            lines.append((round(time.monotonic() - start, 1), str(ui.setupPlan.text)))
        return ui.engineLabel.text

    panel.until(ended, "the installation", 3500)
    print(*(f"{seconds:7.1f} s  {text}" for seconds, text in lines), ui.engineLabel.text, sep="\n")
    assert "is installed" in ui.engineLabel.text
    ui.campaignPath.currentPath = str(tmp_path / "campaign")
    ui.connectButton.click()
    panel.until(lambda: panel.workspace.isConnected, "the engine", 300)
    panel.open_volume(panel.add_volume())
    panel.click(panel.world(None, (15, 20, 25)))
    panel.until(lambda: not panel.session.isBusy, "the answer", 120)
    assert panel.workspace.currentMask().any()
