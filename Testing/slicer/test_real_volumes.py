"""Clicks on real images with flipped axes and thick slices land within a voxel."""

from __future__ import annotations

import numpy as np
import pytest

FOLDERS = ("TotalSegmentator_CT", "pyradiomics")
SUFFIXES = (".nrrd", ".nii.gz")


def image_in(folder):
    """The largest image of a folder: the labels beside it compress to less."""
    files = [p for p in sorted(folder.rglob("*")) if p.name.endswith(SUFFIXES)]
    return max(files, key=lambda p: p.stat().st_size)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_click_lands_on_its_voxel(driver, test_data, folder):
    driver.ui.casesPath.currentPath = str(image_in(test_data / folder))
    driver.ui.addCasesButton.click()
    driver.ui.nextCaseButton.click()
    driver.until(lambda: driver.session.isOpen, "the case")
    target = np.array(driver.workspace.case.grid.shape) // 2
    for number, view in enumerate(("Red", "Yellow", "Green")):
        driver.host.views[view].fit()
        driver.click(driver.world(None, target + number), view)
        driver.settle()
        position = driver.session.prompts[number].timed.prompt.position_kji
        assert np.abs(position - target - number).max() <= 1
