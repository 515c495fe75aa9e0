"""Series of Slicer's own DICOM database become cases; and the story from a DICOM folder to a mask."""

from __future__ import annotations

import os

import dicom_driving
import numpy as np
import pytest
from dicom_driving import SHAPE, add, choosing, listed
from dicom_files import put_pixels, write_series, write_times

cache, folder = dicom_driving.cache, dicom_driving.folder


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


def write_ball(folder):
    """A series with something to click on."""

    def ball(made, k):
        distance = np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(SHAPE), (12, 15, 16), strict=True)))
        put_pixels(made, (400 * (distance < 7) + np.arange(30)[:, None]).astype(np.int16)[k])

    write_series(folder, shape=SHAPE, change=ball)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the stand-in for the engine's interpreter is a shell script")
@pytest.mark.parametrize("addedBefore", [False, True], ids=["by the panel", "by the command line"])
def test_from_a_dicom_folder_to_the_first_confirmed_mask(engine, tmp_path, addedBefore):
    """The story of the user guide, with a real engine and a tiny network."""
    from clopa_annotator import cli
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.datasets.dicom_index import DicomIndex

    export, campaign = tmp_path / "export", tmp_path / "campaign"
    write_ball(export / "DICOM" / "0001")
    if addedBefore:
        assert cli.main(["cases", "add", str(campaign), "--dicom", str(export)]) == 0
    engine.ui.connectButton.click()
    engine.until(lambda: engine.workspace.isConnected, "the engine", seconds=90)
    add(engine, export)
    engine.ui.nextCaseButton.click()
    engine.until(lambda: engine.session.isOpen, "the case", seconds=60)
    engine.host.views["Red"].fit()
    engine.click(engine.world(None, np.array([12, 15, 16])))
    engine.until(lambda: not engine.session.isBusy, "the answer", seconds=60)
    engine.ui.confirmButton.click()
    engine.until(lambda: "Confirmed" in engine.said, "the confirmation", seconds=60)
    engine.workspace.disconnect()
    with CampaignStore.open(campaign) as store, DicomIndex.of_folder(export) as index:
        (ref,), (series,), (case,) = store.confirmed(), index.series(), store.cases()
        assert ref.case_id == case.case_id == series.case_id()
        assert case.source == index.volume(series.key).source == series.folder
        assert store.geometry(ref.image_hash).agrees_with(index.volume(series.key).geometry, 1e-6)
