"""Fixtures of the shell's tests: the headless host, the module's panel, a place for screenshots."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Testing" / "host"))
MODULE = REPOSITORY / "CLoPAAnnotator" / "CLoPAAnnotator.py"


@pytest.fixture(scope="session")
def application():
    pytest.importorskip("PySide6", reason="the shell's tests need PySide6-Essentials==6.8.3")
    pytest.importorskip("slicer", reason="the shell's tests need slicer-core")
    from host import Host

    host = Host()
    yield host
    for view in host.views.values():
        view.finalize()


@pytest.fixture
def host(application):
    """The application with an empty scene; anything in ``host.errors`` afterwards fails the test."""
    application.watch()
    application.scene.Clear(False)
    application.errors.clear()
    application.vtkErrors.clear()
    yield application
    assert not application.errors, application.errors[0]


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
    import slicer
    from driving import Driver

    slicer.app.userSettings().clear()
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
    pytest.importorskip("torch", reason="the engine needs torch")
    monkeypatch.syspath_prepend(str(REPOSITORY / "Testing"))
    from double_engine import interpreter

    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.config import CampaignConfig
    from clopa_annotator.testing.random_model import write_random_model

    monkeypatch.setenv("CLOPA_ENGINE_PYTHON", interpreter(tmp_path))
    model = write_random_model(tmp_path / "model", patch_size_kji=(56, 56, 56), features=(4, 8, 8))
    config = CampaignConfig("Real", 100, model=str(model), strategy="clopa-in")
    Campaign.create(tmp_path / "campaign", config, device="cpu").close()
    panel.ui.campaignPath.currentPath = str(tmp_path / "campaign")
    return panel
