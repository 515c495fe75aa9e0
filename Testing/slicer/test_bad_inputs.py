"""Thirty ways to go wrong: each ends in a sentence and an intact scene."""

from __future__ import annotations

import numpy as np
import pytest
from driving import a_ball

from clopa_annotator.errors import ClopaError, DatasetError


def test_a_click_outside_the_volume(driver):
    driver.open_volume(driver.add_volume())
    driver.host.views["Red"].click(3, 3)
    driver.host.spin(0.05)
    assert "outside" in driver.said and not driver.session.prompts


@pytest.mark.parametrize("tool", ["box", "scribble", "lasso"])
def test_a_drawing_outside_the_volume(driver, tool):
    driver.open_volume(driver.add_volume())
    driver.widget.annotatePanel.setTool(tool)
    view = driver.host.views["Red"]
    view.node.SetFieldOfView(*(2 * size for size in view.node.GetFieldOfView()))
    view.drag([(2, 2), (12, 2), (12, 8), (3, 9)])
    driver.host.spin(0.05)
    assert "outside" in driver.said and not driver.session.prompts and not driver.session.isBusy


@pytest.mark.parametrize("tool", ["box", "lasso"])
def test_a_drawing_too_small_to_mean_anything(driver, tool):
    driver.open_volume(driver.add_volume())
    driver.widget.annotatePanel.setTool(tool)
    driver.host.views["Red"].click(180, 180)
    driver.host.spin(0.05)
    assert "too small" in driver.said and not driver.session.prompts


VOLUMES = {
    "nan": (lambda a: np.where(a > 0.9, np.nan, a).astype(np.float32), "not numbers"),
    "infinite": (lambda a: np.where(a > 0.9, np.inf, a).astype(np.float32), "not numbers"),
    "constant": (lambda a: np.full_like(a, 7.0), "same everywhere"),
    "zero": (np.zeros_like, "same everywhere"),
    "one slice": (lambda a: a[:1], "single slice"),
}


@pytest.mark.parametrize("kind", VOLUMES)
def test_a_volume_that_cannot_be_annotated(driver, kind):
    change, words = VOLUMES[kind]
    driver.add_volume(change(a_ball()))
    driver.ui.addSceneButton.click()
    driver.workspace.attempt(lambda: driver.workspace.openCase("case"))
    assert words in driver.said and driver.session.image is None
    assert driver.workspace.state.segmentation is None


def test_a_colour_volume_is_not_offered_or_refused(driver):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colour")
    slicer.util.updateVolumeFromArray(node, np.zeros((10, 12, 14, 3), np.uint8))
    driver.ui.addSceneButton.click()
    driver.workspace.attempt(lambda: driver.workspace.openCase("colour"))
    assert "values per voxel" in driver.said and driver.session.image is None


def test_a_volume_node_without_voxels(driver):
    import slicer

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    driver.ui.addSceneButton.click()
    driver.workspace.attempt(lambda: driver.workspace.openCase("empty"))
    assert "no voxels" in driver.said


def test_an_empty_scene(driver):
    driver.ui.addSceneButton.click()
    assert "No volume is open" in driver.said


def test_a_volume_deleted_after_it_was_listed(driver):
    import slicer

    volume = driver.add_volume()
    driver.ui.addSceneButton.click()
    slicer.mrmlScene.RemoveNode(volume)
    driver.workspace.attempt(lambda: driver.workspace.openCase("case"))
    assert "not in the scene" in driver.said


def test_a_volume_deleted_while_it_is_open(driver):
    import slicer

    volume = driver.add_volume()
    driver.open_volume(volume)
    slicer.mrmlScene.RemoveNode(volume)
    driver.host.views["Red"].click(180, 180)
    driver.host.spin(0.05)
    assert "deleted" in driver.said


def test_a_volume_moved_while_it_is_open(driver):
    volume = driver.add_volume()
    driver.open_volume(volume)
    volume.SetOrigin(100, 100, 100)
    driver.host.views["Red"].click(180, 180)
    driver.host.spin(0.05)
    assert "moved" in driver.said and not driver.session.prompts


def test_another_image_under_a_known_name(driver):
    import slicer

    driver.open_volume(driver.add_volume())
    driver.workspace.closeCase()
    slicer.mrmlScene.Clear(False)
    driver.add_volume(a_ball(seed=9))
    driver.ui.addSceneButton.click()
    driver.workspace.attempt(lambda: driver.workspace.openCase("case"))
    driver.until(lambda: "another image" in driver.said, "the refusal")
    assert driver.session.image is None


def test_a_case_that_somebody_else_has_open(driver):
    from clopa_annotator.testing.fake_engine import FakeEngineClient

    other = FakeEngineClient(driver.client.campaign, annotator="Ada")
    volume = driver.add_volume()
    image = driver.workspace.case.image(volume)
    other.open_case("case", image)
    other.poll()
    driver.ui.addSceneButton.click()
    driver.workspace.attempt(lambda: driver.workspace.openCase("case"))
    driver.until(lambda: "Ada" in driver.said, "the refusal")
    assert not driver.session.isOpen


def test_prompts_and_buttons_without_a_case(driver):
    driver.workspace.gesture("point", True, np.zeros((1, 2)), None)
    assert "No case is open" in driver.said
    for action in (driver.session.undo, driver.session.reset, driver.widget.annotatePanel.confirm):
        driver.workspace.say("", "calm")
        driver.workspace.attempt(action)
        assert "No case is open" in driver.said


def test_a_case_without_an_engine(panel):
    panel.add_volume()
    panel.ui.addSceneButton.click()
    panel.workspace.attempt(lambda: panel.workspace.openCase("case"))
    assert "No engine" in panel.said


PATHS = {
    "nothing chosen": (lambda p: "", "Choose a folder"),
    "missing": (lambda p: str(p / "nowhere"), "does not exist"),
    "empty folder": (str, "no images"),
    "a text file": (lambda p: write(p / "a.txt", "x"), "not an image"),
    "a CSV without images": (lambda p: write(p / "a.csv", "name\nx\n"), "column 'image'"),
    "a CSV naming a missing file": (lambda p: write(p / "a.csv", "image\nx.nii\n"), "does not exist"),
    "a CSV that is binary": (lambda p: write(p / "a.csv", b"\xff\xfe\x00\x9d"), "cannot be read"),
    "a damaged dataset": (lambda p: dataset(p), "damaged"),  # noqa: PLW0108  (defined below),
}


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def dataset(path):
    (path / "imagesTr").mkdir()
    (path / "dataset.json").write_text("{")
    return str(path)


@pytest.mark.parametrize("kind", PATHS)
def test_a_list_of_cases_that_cannot_be_read(driver, tmp_path, kind):
    make, words = PATHS[kind]
    folder = tmp_path / "data"
    folder.mkdir()
    driver.ui.casesPath.currentPath = make(folder)
    driver.ui.addCasesButton.click()
    assert words in driver.said and driver.ui.casesTable.rowCount == 0


def test_two_cases_of_one_name(tmp_path):
    from CLoPAAnnotatorLib.scene.CaseSources import listCases

    for name in ("a.nii", "a.nrrd"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DatasetError, match="Two cases"):
        listCases(tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_a_file_that_is_no_image(driver, tmp_path):
    (tmp_path / "bad.nrrd").write_text("this is not an image")
    driver.ui.casesPath.currentPath = str(tmp_path / "bad.nrrd")
    driver.ui.addCasesButton.click()
    driver.workspace.attempt(lambda: driver.workspace.openCase("bad"))
    assert "cannot be read" in driver.said
    driver.host.errors.clear()  # Slicer's own reader logs what it could not read
    driver.host.complaints()


def test_an_image_file_deleted_after_it_was_listed(driver, tmp_path):
    (tmp_path / "gone.nrrd").write_text("x")
    driver.ui.casesPath.currentPath = str(tmp_path / "gone.nrrd")
    driver.ui.addCasesButton.click()
    (tmp_path / "gone.nrrd").unlink()
    driver.workspace.attempt(lambda: driver.workspace.openCase("gone"))
    assert "does not exist any more" in driver.said


CAMPAIGNS = {
    "nothing chosen": (lambda p: "", "Choose a folder"),
    "a file": (lambda p: write(p / "f", "x"), "is a file"),
    "a folder with other files": (lambda p: write(p / "f", "x") and str(p), "other files"),
    "a folder in nowhere": (lambda p: str(p / "a" / "b"), "does not exist"),
}


@pytest.mark.parametrize("kind", CAMPAIGNS)
def test_a_campaign_folder_that_cannot_be_one(panel, tmp_path, kind):
    make, words = CAMPAIGNS[kind]
    folder = tmp_path / "campaign"
    folder.mkdir()
    panel.ui.campaignPath.currentPath = make(folder)
    panel.ui.connectButton.click()
    assert words in panel.ui.engineLabel.text and not panel.workspace.isConnected


@pytest.mark.parametrize("missing", ["address", "token"])
def test_a_server_without_address_or_token(panel, missing):
    panel.ui.serverRadio.setChecked(True)
    panel.ui.serverUrl.text = "" if missing == "address" else "gpu:8443"
    panel.ui.serverToken.text = "" if missing == "token" else "secret"
    panel.ui.connectButton.click()
    assert missing in panel.ui.engineLabel.text


def test_an_engine_that_is_not_installed(panel, tmp_path, monkeypatch):
    monkeypatch.delenv("CLOPA_ENGINE_PYTHON", raising=False)
    panel.ui.campaignPath.currentPath = str(tmp_path / "new")
    panel.ui.connectButton.click()
    assert "not installed" in panel.ui.engineLabel.text


def test_an_engine_that_cannot_start(panel, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOPA_ENGINE_PYTHON", str(tmp_path / "no-python"))
    panel.ui.campaignPath.currentPath = str(tmp_path / "new")
    panel.ui.connectButton.click()
    panel.until(lambda: "could not be started" in panel.ui.engineLabel.text, "the sentence")
    assert panel.ui.connectButton.enabled


def test_every_refusal_is_a_sentence():
    from CLoPAAnnotatorLib.scene import Drawing

    with pytest.raises(ClopaError) as refused:
        Drawing.lassoRegion(np.zeros((2, 2)), lambda p: p, (1, 1, 1), 1.0)
    assert str(refused.value).endswith(".")
