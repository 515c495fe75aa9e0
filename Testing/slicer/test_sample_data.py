"""The tutorial from nothing: Slicer starts, Sample Data offers the volumes, a campaign runs on them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import MODULE, REPOSITORY

PATIENCE_S = 240
NAMES = [f"capsule-{number}" for number in range(1, 7)]


@pytest.fixture
def sample_data(host, monkeypatch):
    """Slicer's module Sample Data, empty as at the start."""
    import slicer

    import sample_data

    monkeypatch.setitem(sys.modules, "SampleData", sample_data.as_module())
    for name in ("sampleDataSources", "sampleDataSourceCategories"):
        monkeypatch.setattr(slicer.modules, name, {}, raising=False)
    return sample_data


def registered():
    import slicer

    return [s for kept in slicer.modules.sampleDataSources.values() for s in kept]


def test_slicers_start_registers_them_once(sample_data, host, home):
    import slicer

    host.loadModule(MODULE)
    assert not registered(), "not at import: other modules may not be there yet"
    for _ in range(2):
        slicer.app.startupCompleted.emit()
    (source,) = registered()
    assert source.nodeNames == NAMES and Path(source.thumbnailFileName).is_file()
    assert slicer.modules.sampleDataSourceCategories["CLoPA Annotator"]["title"]


def test_without_the_module_sample_data_nothing_happens_and_nothing_breaks(host, home, monkeypatch):
    import slicer

    monkeypatch.setitem(sys.modules, "SampleData", None)
    host.loadModule(MODULE)
    slicer.app.startupCompleted.emit()
    assert not host.errors


def test_a_sample_data_module_that_knows_no_categories_will_do(sample_data, host, home, monkeypatch):
    import slicer

    monkeypatch.delattr(sample_data.SampleDataLogic, "registerCustomSampleDataCategory")
    host.loadModule(MODULE)
    slicer.app.startupCompleted.emit()
    assert len(registered()) == 1


def test_the_tutorial_runs_on_them_from_nothing(sample_data, driver):
    """As the user guide says: Sample Data, From Slicer's scene, Next case, a click, Confirm and next case."""
    import slicer

    slicer.app.startupCompleted.emit()
    volumes = sample_data.SampleDataLogic().downloadSamples("CLoPACapsules")
    assert [v.GetName() for v in volumes] == NAMES
    driver.ui.addSceneButton.click()
    table = driver.ui.casesTable
    assert [table.item(row, 0).text() for row in range(table.rowCount)] == NAMES
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the first case")
    for name in NAMES:
        driver.until(lambda name=name: driver.session.isOpen and driver.session.caseId == name, name)
        middle = np.array(driver.workspace.case.grid.shape) // 2
        driver.click(driver.world(None, middle))
        driver.settle()
        assert driver.workspace.currentMask()[tuple(middle)]
        driver.press("Ctrl+Return")
    driver.until(lambda: "Every case in the list is confirmed" in driver.said, "the end")
    assert len(driver.client.campaign.statistics()) == len(NAMES)


@pytest.fixture
def installed_engine(panel, monkeypatch, tmp_path):
    """The panel, whose engine runs in this interpreter."""
    pytest.importorskip("torch", reason="the engine needs torch")
    monkeypatch.setenv("CLOPA_ENGINE_PYTHON", os.environ.get("CLOPA_ENGINE_PYTHON") or sys.executable)
    panel.ui.campaignPath.currentPath = str(tmp_path / "tutorial")
    return panel


@pytest.mark.slow
def test_the_tutorials_first_steps_work_with_the_bundled_model(sample_data, installed_engine):
    import slicer

    driver, ui = installed_engine, installed_engine.ui
    slicer.app.startupCompleted.emit()
    sample_data.SampleDataLogic().downloadSamples("CLoPACapsules")
    ui.campaignSize.value = 6
    ui.scheduleBox.setCurrentIndex(ui.scheduleBox.findData("quick"))
    ui.connectButton.click()
    driver.until(lambda: driver.workspace.isConnected, "the engine", PATIENCE_S)
    ui.addSceneButton.click()
    ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the first case", PATIENCE_S)
    driver.click(driver.world(None, capsule_centre(0)))
    driver.until(lambda: not driver.session.isBusy and driver.session.prompts, "the answer", PATIENCE_S)
    assert driver.workspace.currentMask()[capsule_centre(0)] == 1
    driver.press("Ctrl+Return")
    driver.until(lambda: driver.session.isOpen and driver.session.caseId == NAMES[1], "the next", PATIENCE_S)
    driver.until(lambda: "1 of 5" in ui.learningBar.text, "the count of cases", PATIENCE_S)


def capsule_centre(number):
    """The voxel (k, j, i) of the target that is nearest to its middle."""
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    import make_sample_data as maker
    from clopa_annotator.datasets.phantoms import PhantomSpec, make_phantom

    _, mask = make_phantom(PhantomSpec(), maker.FIRST_SEED + number)
    voxels = np.argwhere(mask)
    return tuple(int(v) for v in voxels[np.argmin(((voxels - voxels.mean(0)) ** 2).sum(1))])


def test_the_files_are_what_their_script_makes_and_small():
    pytest.importorskip("scipy")
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    import SimpleITK as sitk

    import make_sample_data as maker
    from CLoPAAnnotatorLib.scene.SampleVolumes import sampleFiles

    assert [path.name for path in sampleFiles()] == [maker.name_of(n) for n in range(maker.COUNT)]
    assert sum(path.stat().st_size for path in sampleFiles()) < 600_000
    for number, path in list(enumerate(sampleFiles()))[:2]:
        image, made = sitk.ReadImage(str(path)), maker.sample(number)
        assert np.array_equal(sitk.GetArrayFromImage(image), made.voxels)
        assert image.GetSpacing() == pytest.approx(made.geometry.spacing_ijk_mm)
        assert image.GetDirection() == pytest.approx(made.geometry.direction)
