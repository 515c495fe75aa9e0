"""Fixtures of the shell's tests: the headless host, the module's panel, a place for screenshots."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from surroundings import engine_python, inside_slicer

REPOSITORY = Path(__file__).resolve().parents[2]
TESTING = REPOSITORY / "Testing"
if inside_slicer():
    sys.path[:0] = [str(TESTING / "slicer" / "real")]
    sys.path.append(str(TESTING / "host"))  # for what draws charts; ``qt`` and ``ctk`` are Slicer's own
else:
    sys.path[:0] = [str(TESTING / "host"), str(REPOSITORY / "CLoPAAnnotator")]
MODULE = REPOSITORY / "CLoPAAnnotator" / "CLoPAAnnotator.py"


@pytest.fixture(scope="session")
def application():
    if inside_slicer():
        from real_host import Host
    else:
        pytest.importorskip("PySide6", reason="the shell's tests need PySide6-Essentials==6.8.3")
        pytest.importorskip("slicer", reason="the shell's tests need slicer-core")
        from host import Host

    host = Host()
    yield host
    host.close()


@pytest.fixture
def host(application):
    """The application with an empty scene; anything in ``host.errors`` afterwards fails the test."""
    application.watch()
    application.scene.Clear(False)
    application.errors.clear()
    application.vtkErrors.clear()
    application.restore()
    application.complaints()
    yield application
    assert not application.errors, application.errors[0]
    complaints = application.complaints()
    assert not complaints, complaints[0]


@pytest.fixture(scope="session")
def artifacts():
    """Where screenshots are kept: ``CLOPA_ARTIFACTS``, or ``build/screenshots``."""
    folder = Path(os.environ.get("CLOPA_ARTIFACTS") or REPOSITORY / "build" / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder of its own, so that nothing of the developer's is read or changed."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


@pytest.fixture
def panel(host, home):
    """The module, shown, without an engine."""
    from driving import Driver

    host.forgetSettings()
    module = host.loadModule(MODULE)
    widget = host.showModule(module)
    driver = Driver(host, widget)
    yield driver
    host.closeModule(driver.widget)  # a test may have opened the module anew


@pytest.fixture
def driver(panel):
    """The module, connected to an in-process engine."""
    from clopa_annotator.testing.fake_campaign import FakeCampaign
    from clopa_annotator.testing.fake_engine import FakeEngineClient

    panel.connect(FakeEngineClient(FakeCampaign()))
    return panel


@pytest.fixture
def engine(panel, tmp_path, monkeypatch):
    """The module, ready to connect to a real engine process whose campaign has a tiny network."""
    from double_engine import interpreter

    monkeypatch.setenv("CLOPA_ENGINE_PYTHON", interpreter(tmp_path))
    make_campaign(tmp_path)
    panel.ui.campaignPath.currentPath = str(tmp_path / "campaign")
    return panel


def make_campaign(folder):
    """A campaign with a tiny network; in Slicer the engine's own Python makes it, as there is no torch."""
    if inside_slicer():
        command = [engine_python(), str(TESTING / "slicer" / "campaign_folder.py"), str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "CLoPAAnnotator")}
        subprocess.run(command, check=True, env=environment)
        return
    pytest.importorskip("torch", reason="the engine needs torch")
    from campaign_folder import make

    make(folder)
