"""Adding DICOM in the panel, for tests."""

from __future__ import annotations

import pytest
from dicom_files import write_series

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
