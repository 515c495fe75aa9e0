"""DICOM in the panel: a folder of it, Slicer's database, and from there to a confirmed mask."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dicom_files import put_pixels, voxels, write_report, write_series, write_times

SHAPE = (24, 30, 32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CLOPA_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    write_series(tmp_path / "export" / "a" / "b", shape=SHAPE)
    return tmp_path / "export"


def add(driver, folder):
    driver.ui.casesPath.currentPath = str(folder)
    driver.ui.addCasesButton.click()
    driver.until(lambda: not driver.widget.casesPanel.dicom.isScanning, "the scan")


def listed(driver):
    table = driver.ui.casesTable
    return [str(table.item(row, 3).text()) for row in range(table.rowCount)]


def choosing(driver, pick=lambda series: [s for s in series if not s.refusal], withPatient=False):
    """Answer the dialog; returns what it was asked about."""
    asked = []

    def choose(series):
        asked.extend(series)
        return pick(series), withPatient

    driver.widget.casesPanel.dicom.choose = choose
    return asked


def test_a_folder_with_one_series_is_listed_and_opened_without_a_question(driver, folder):
    driver.widget.casesPanel.dicom.choose = lambda _: pytest.fail("a question was asked")
    add(driver, folder)
    assert listed(driver) == ["CT 3 portal venous"] and "1 case added" in driver.said
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
    image = driver.session.image
    assert np.array_equal(image.voxels, voxels(SHAPE).astype(int) - 1000)
    assert image.geometry.origin_lps_mm == (-50, -50, -50)
    row = driver.client.campaign.case(driver.session.caseId).row
    assert row.source == str((folder / "a" / "b").resolve()) and "Muster" not in row.case_id


def test_the_panel_and_the_command_line_have_the_same_image_and_name(driver, folder, tmp_path):
    from clopa_annotator.cache.images import prepare
    from clopa_annotator.datasets.dicom_index import DicomIndex
    from clopa_annotator.datasets.dicom_pixels import read_volume

    rise = 2.5 * math.tan(math.radians(11))
    write_series(folder / "tilted", shape=SHAPE, step=(0, rise, 2.5), number=4)
    choosing(driver)
    add(driver, folder)
    with DicomIndex.of_folder(folder, tmp_path / "other.sqlite") as index:
        list(index.scan())
        for series in index.series():
            driver.workspace.openCase(series.case_id())
            driver.until(lambda: driver.session.isOpen, "the case")
            image, shown = read_volume(index.volume(series.key)), driver.session.image
            assert shown.geometry.agrees_with(image.geometry, 1e-6)
            assert (
                np.array_equal(shown.voxels, image.voxels) and prepare(shown)[0].dtype == image.voxels.dtype
            )


@pytest.mark.parametrize("view", ["Red", "Yellow", "Green"])
def test_a_click_in_a_tilted_series_lands_on_its_voxel_in_every_view(driver, tmp_path, view):
    rise = 2.5 * math.tan(math.radians(20))
    write_series(tmp_path / "tilted", shape=SHAPE, step=(0, rise, 2.5))
    add(driver, tmp_path / "tilted")
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
    assert all(logic.GetLowestVolumeSliceSpacing()[2] > 0 for logic in logics(driver))
    target = np.array([15, 12, 20])
    driver.host.views[view].fit()
    driver.click(driver.world(None, target), view)
    driver.settle()
    assert driver.session.prompts, driver.said
    position = driver.session.prompts[0].timed.prompt.position_kji
    assert np.abs(np.array(position) - target).max() <= 1


def test_after_a_tilted_series_slicer_chooses_the_slice_distance_again(driver, tmp_path):
    write_series(tmp_path / "tilted", shape=SHAPE, step=(0, 1.2, 2.5))
    add(driver, tmp_path / "tilted")
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
    nodes = [view.node for view in driver.host.views.values()]
    assert {node.GetSliceSpacingMode() for node in nodes} == {nodes[0].PrescribedSliceSpacingMode}
    driver.workspace.closeCase()
    assert {node.GetSliceSpacingMode() for node in nodes} == {nodes[0].AutomaticSliceSpacingMode}


def logics(driver):
    return [view.logic for view in driver.host.views.values()]


def test_of_several_series_the_user_chooses(driver, folder):
    write_series(folder / "late", number=5, description="late")
    write_report(folder / "report")
    asked = choosing(driver, lambda series: series[1:2], withPatient=True)
    add(driver, folder)
    assert [s.title.number for s in asked] == ["3", "5", "99"]
    assert listed(driver) == ["CT 5 late"]
    assert driver.ui.casesTable.item(0, 0).text().startswith("Mustermann_Erika-CT-5-")


def test_nothing_chosen_adds_nothing(driver, folder):
    write_series(folder / "late", number=5)
    choosing(driver, lambda _: [])
    add(driver, folder)
    assert listed(driver) == [] and "0 cases added" in driver.said


def test_the_same_folder_again_adds_nothing(driver, folder):
    add(driver, folder)
    add(driver, folder)
    assert len(listed(driver)) == 1 and "already" in driver.said


def test_the_chooser_shows_what_a_series_is_and_why_one_cannot_be_taken(host, folder):
    from clopa_annotator.datasets.dicom_index import DicomIndex
    from CLoPAAnnotatorLib.SeriesChooser import SeriesChooser

    write_series(folder / "gap", number=5, change=lambda made, k: k != 2)
    with DicomIndex.of_folder(folder) as index:
        list(index.scan())
        chooser = SeriesChooser(None, index.series())
    cells = [[str(chooser.table.item(row, n).text()) for n in range(6)] for row in range(2)]
    assert cells[0][:5] == ["CT portal venous", "3", "Mustermann Erika", "20240131 Thorax Abdomen", "24"]
    assert "1 slice is missing" in cells[1][5]
    assert [s.title.number for s in chooser.chosen()] == ["3"] and not chooser.withPatient()
    import qt

    chooser.table.item(0, 0).setCheckState(qt.Qt.Unchecked)
    assert chooser.chosen() == []


def test_a_long_scan_can_be_stopped_and_goes_on_the_next_time(driver, folder, monkeypatch):
    from CLoPAAnnotatorLib import DicomCases

    monkeypatch.setattr(DicomCases, "SLICE_S", 0)
    driver.ui.casesPath.currentPath = str(folder)
    driver.ui.addCasesButton.click()
    driver.until(lambda: "Reading DICOM headers" in driver.ui.casesLabel.text, "progress")
    assert driver.ui.addCasesButton.text == "Stop"
    driver.ui.addCasesButton.click()
    assert driver.ui.addCasesButton.text == "Add" and "Stopped" in driver.said and listed(driver) == []
    add(driver, folder)
    assert listed(driver) == ["CT 3 portal venous"]


def test_a_folder_without_dicom_says_what_was_looked_for(driver, tmp_path):
    (tmp_path / "empty").mkdir()
    driver.ui.casesPath.currentPath = str(tmp_path / "empty")
    driver.ui.addCasesButton.click()
    assert "holds no images" in driver.said


def test_a_series_that_cannot_be_annotated_is_refused_by_its_name(driver, tmp_path):
    write_series(tmp_path / "gap", change=lambda made, k: k != 2)
    choosing(driver, list)
    add(driver, tmp_path / "gap")
    assert "1 slice is missing" in driver.said and listed(driver) == []


def test_files_that_went_away_are_said_and_the_open_case_stays(driver, folder):
    add(driver, folder)
    for path in (folder / "a" / "b").iterdir():
        path.unlink()
    driver.ui.nextCaseButton.click()
    driver.host.spin(0.05)
    assert "not where it was" in driver.said and not driver.session.isOpen


def test_a_saved_scene_knows_its_series_again(driver, folder, tmp_path):
    import slicer

    add(driver, folder)
    path = str(tmp_path / "scene.mrb")
    assert slicer.util.saveScene(path)
    slicer.mrmlScene.Clear(False)
    driver.host.spin(0.1)
    driver.widget.casesPanel.dicom._titles.clear()
    slicer.util.loadScene(path)
    driver.host.spin(0.1)
    assert listed(driver) == ["CT 3 portal venous"]
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")


class Database:
    """The documented interface of Slicer's DICOM database over generated files."""

    isOpen = True

    def __init__(self, folder):
        import pydicom

        self.files = {}
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            uid = str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)
            self.files.setdefault(uid, []).append(str(path))

    def patients(self):
        return ["1"] if self.files else []

    def studiesForPatient(self, _patient):
        return ["1.2.3.4"]

    def seriesForStudy(self, _study):
        return list(self.files)

    def filesForSeries(self, uid):
        return self.files.get(uid, [])

    def fileValue(self, file, tag):
        import pydicom

        group, element = (int(part, 16) for part in tag.split(","))
        found = pydicom.dcmread(file, stop_before_pixels=True).get((group, element))
        return str(found.value) if found is not None else ""


@pytest.fixture
def database(folder, monkeypatch):
    import slicer

    write_times(folder / "dynamic", [{"TemporalPositionIdentifier": n} for n in (1, 2)], number=8)
    made = Database(folder)
    monkeypatch.setattr(slicer, "dicomDatabase", made, raising=False)
    return made


def test_series_of_slicers_database_become_cases(driver, database):
    asked = choosing(driver)
    driver.ui.addDicomButton.click()
    driver.until(lambda: not driver.widget.casesPanel.dicom.isScanning, "the headers")
    assert sorted((s.title.number, s.images) for s in asked) == [("3", 24), ("8", 12)]
    assert sorted(listed(driver)) == ["CT 3 portal venous", "CT 8 portal venous time 1",
                                      "CT 8 portal venous time 2"]  # fmt: skip
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")


def test_only_the_chosen_series_of_the_database_are_read(driver, database):
    choosing(driver, lambda series: [s for s in series if s.title.number == "8"])
    driver.ui.addDicomButton.click()
    driver.until(lambda: not driver.widget.casesPanel.dicom.isScanning, "the headers")
    assert len(listed(driver)) == 2


def test_a_series_that_left_the_database_is_said(driver, database):
    choosing(driver)
    driver.ui.addDicomButton.click()
    driver.until(lambda: not driver.widget.casesPanel.dicom.isScanning, "the headers")
    database.files.clear()
    driver.ui.nextCaseButton.click()
    assert "not in Slicer's DICOM database any more" in driver.said


@pytest.mark.parametrize(
    ("state", "words"),
    [("absent", "has no DICOM database"), ("closed", "is not open"), ("empty", "is empty")],
)
def test_without_a_database_the_panel_says_what_to_do(driver, database, monkeypatch, state, words):
    import slicer

    if state == "absent":
        monkeypatch.delattr(slicer, "dicomDatabase")
    database.isOpen = state != "closed"
    database.files.clear()
    driver.ui.addDicomButton.click()
    assert words in driver.said


def test_from_a_dicom_folder_to_the_first_confirmed_mask(engine, tmp_path):
    """The story of the user guide, with a real engine and a tiny network."""
    from clopa_annotator.cache.store import CampaignStore
    from clopa_annotator.datasets.dicom_index import DicomIndex

    def ball(made, k):
        distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(SHAPE), (12, 15, 16), strict=True)))
        put_pixels(made, (400 * (distance < 7) + np.arange(30)[:, None]).astype(np.int16)[k])

    write_series(tmp_path / "export" / "DICOM" / "0001", shape=SHAPE, change=ball)
    engine.ui.connectButton.click()
    engine.until(lambda: engine.workspace.isConnected, "the engine", seconds=90)
    add(engine, tmp_path / "export")
    engine.ui.nextCaseButton.click()
    engine.until(lambda: engine.session.isOpen, "the case", seconds=60)
    engine.host.views["Red"].fit()
    engine.click(engine.world(None, np.array([12, 15, 16])))
    engine.until(lambda: not engine.session.isBusy, "the answer", seconds=60)
    case = engine.session.caseId
    engine.ui.confirmButton.click()
    engine.until(lambda: "Confirmed" in engine.said, "the confirmation", seconds=60)
    engine.workspace.disconnect()
    with CampaignStore.open(tmp_path / "campaign") as store:
        (ref,) = store.confirmed()
        stored = store.read_image(ref.image_hash)
    with DicomIndex.of_folder(tmp_path / "export") as index:
        (series,) = index.series()
        assert ref.case_id == case == series.case_id()
        assert stored.geometry.agrees_with(index.volume(series.key).geometry, 1e-6)
