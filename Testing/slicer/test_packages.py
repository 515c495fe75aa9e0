"""The client's packages in Slicer's Python: versions are looked at, the user is asked, nothing waits."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-in for Slicer's Python is a shell script")
OLD = "0.20.0"


@pytest.fixture
def old_httpx(tmp_path, monkeypatch):
    """An httpx that is too old, found before the environment's own; deleting the folder upgrades it."""
    site = tmp_path / "site"
    (site / f"httpx-{OLD}.dist-info").mkdir(parents=True)
    (site / f"httpx-{OLD}.dist-info" / "METADATA").write_text(f"Name: httpx\nVersion: {OLD}\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "httpx", raising=False)
    return site


@pytest.fixture
def pip(panel, tmp_path):
    """Makes the panel use a script instead of Slicer's Python; the test says what it does."""

    def use(body):
        script = tmp_path / "PythonSlicer"
        script.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path / "asked"}"\n{body}\n')
        script.chmod(0o700)
        panel.widget.campaignPanel.packages.findPython = lambda: str(script)
        return tmp_path / "asked"

    return use


def use_server(panel):
    from clopa_annotator.testing.fake_campaign import FakeCampaign
    from clopa_annotator.testing.fake_engine import FakeEngineClient

    panel.ui.serverRadio.checked = True
    panel.ui.serverUrl.text, panel.ui.serverToken.text = "http://127.0.0.1:1", "x" * 43
    panel.widget.campaignPanel.makeClient = lambda *_args: FakeEngineClient(FakeCampaign())


def test_an_old_version_is_asked_about_and_nothing_is_installed_before_the_answer(panel, old_httpx, pip):
    asked = pip("exit 1")
    use_server(panel)
    for button in (panel.ui.connectButton, panel.ui.testButton, panel.ui.connectButton):
        button.click()
        panel.host.spin(0.05)
    assert not panel.ui.packagesBox.isHidden() and not asked.exists()
    assert f"httpx>=0.27,<1 (version {OLD} is there)" in panel.ui.packagesPlan.text
    assert "blosc2" not in panel.ui.packagesPlan.text, "what is right is not asked for"
    assert not panel.workspace.isConnected and panel.ui.connectButton.text == "Connect"
    panel.ui.packagesCancel.click()
    assert panel.ui.packagesBox.isHidden() and "not installed" in panel.ui.engineLabel.text
    assert not asked.exists()


def test_installing_keeps_slicers_numpy_and_goes_on_connecting(panel, old_httpx, pip, tmp_path):
    import numpy as np

    copy = tmp_path / "constraints"
    asked = pip(f'for a in "$@"; do case "$a" in *constraints.txt) cp "$a" "{copy}";; esac; done\n'
                f'echo Collecting httpx; sleep 0.5; rm -r "{old_httpx}"')  # fmt: skip
    use_server(panel)
    panel.ui.connectButton.click()
    panel.ui.packagesInstall.click()
    packages = panel.widget.campaignPanel.packages
    assert packages.isRunning and not panel.ui.connectButton.enabled, "pip runs while Slicer goes on"
    panel.until(lambda: "Collecting httpx" in panel.ui.packagesPlan.text, "pip's words")
    assert not panel.ui.packagesProgress.isHidden()
    panel.until(lambda: panel.workspace.isConnected, "the engine")
    words = asked.read_text().split()
    assert words[:3] == ["-m", "pip", "install"] and words[-1] == "httpx>=0.27,<1"
    assert f"numpy=={np.__version__}" in copy.read_text().splitlines()
    assert panel.ui.packagesBox.isHidden() and panel.ui.connectButton.enabled


def test_an_installation_can_be_cancelled(panel, old_httpx, pip):
    pip("exec sleep 60")
    use_server(panel)
    panel.ui.connectButton.click()
    panel.ui.packagesInstall.click()
    panel.until(lambda: panel.widget.campaignPanel.packages.isRunning, "the start")
    panel.ui.packagesCancel.click()
    assert not panel.widget.campaignPanel.packages.isRunning and panel.ui.packagesBox.isHidden()
    assert "not installed" in panel.ui.engineLabel.text and panel.ui.connectButton.enabled


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo 'ERROR: No matching distribution found for httpx' >&2; echo hint >&2; exit 1", "No matching"),
        ("exit 0", "could not be installed"),
    ],
)
def test_a_failure_is_told_with_its_reason_and_can_be_tried_again(panel, old_httpx, pip, body, words):
    pip(body)
    use_server(panel)
    panel.ui.connectButton.click()
    panel.ui.packagesInstall.click()
    panel.until(lambda: words in panel.ui.engineLabel.text, "the failure")
    pip(f'rm -r "{old_httpx}"')
    panel.ui.connectButton.click()
    panel.ui.packagesInstall.click()
    panel.until(lambda: panel.workspace.isConnected, "the engine")


def test_a_version_that_slicer_has_loaded_already_needs_a_restart(panel, old_httpx, pip, monkeypatch):
    pip(f'rm -r "{old_httpx}"')
    use_server(panel)
    panel.ui.connectButton.click()
    monkeypatch.setitem(sys.modules, "httpx", sys)
    panel.ui.packagesInstall.click()
    panel.until(lambda: "Restart Slicer" in panel.ui.engineLabel.text, "the advice")
    assert not panel.workspace.isConnected


def test_nothing_is_installed_beside_another_modules_pip(panel, old_httpx, pip, monkeypatch):
    from slicer import packaging

    asked = pip("exit 0")
    monkeypatch.setattr(packaging, "isPipInstallInProgress", lambda: True)
    use_server(panel)
    panel.ui.connectButton.click()
    panel.ui.packagesInstall.click()
    panel.host.spin(0.2)
    assert "Another module is installing" in panel.ui.engineLabel.text and not asked.exists()


def test_before_slicer_5_11_it_is_asked_in_the_same_way(panel, old_httpx, pip, monkeypatch):
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)  # an import raises ImportError
    asked = pip(f'rm -r "{old_httpx}"')
    use_server(panel)
    panel.ui.connectButton.click()
    panel.host.spin(0.1)
    assert not asked.exists() and not panel.ui.packagesBox.isHidden()
    panel.ui.packagesInstall.click()
    panel.until(lambda: panel.workspace.isConnected, "the engine")


def test_a_slicer_whose_python_is_not_found_says_what_to_type(panel, old_httpx, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(sys, "executable", "/opt/Slicer/bin/SlicerApp-real")
    use_server(panel)
    panel.ui.connectButton.click()
    panel.ui.packagesInstall.click()
    assert "slicer.util.pip_install" in panel.ui.engineLabel.text


def test_loading_and_showing_the_module_looks_at_no_package(host, home, monkeypatch):
    """Slicer's generic tests load every module, on machines without the packages."""
    from conftest import MODULE

    from CLoPAAnnotatorLib.engine import Requirements

    monkeypatch.setattr(Requirements, "missingForClient", lambda: pytest.fail("asked for packages"))
    for name in ("httpx", "blosc2"):
        monkeypatch.setitem(sys.modules, name, None)
    module = host.loadModule(MODULE)
    widget = host.showModule(module)
    module.CLoPAAnnotatorTest().runTest()
    host.closeModule(widget)
