"""The story of a first campaign, told through widgets and mouse events on real data."""

from __future__ import annotations

import numpy as np


def reference(test_data, case):
    """The reference mask of a hippocampus case (k, j, i)."""
    import slicer

    path = test_data / "Task04_Hippocampus" / "labelsTr" / f"{case}.nii.gz"
    node = slicer.util.loadLabelVolume(str(path), {"show": False})
    mask = (slicer.util.arrayFromVolume(node) > 0).astype(np.uint8)
    slicer.mrmlScene.RemoveNode(node.GetStorageNode())
    slicer.mrmlScene.RemoveNode(node)
    return mask


def inside(mask):
    """A voxel (k, j, i) well inside a mask: the deepest of its middle slice."""
    voxels = np.argwhere(mask)
    middle = voxels.mean(0)
    return voxels[np.argmin(((voxels - middle) ** 2).sum(1))]


def wrong_voxel(mask, truth, missing):
    """A voxel of the target that is missing, or one that is too much; None if there is none."""
    wrong = (truth > mask) if missing else (mask > truth)
    voxels = np.argwhere(wrong)
    return None if not len(voxels) else voxels[np.argmin(((voxels - voxels.mean(0)) ** 2).sum(1))]


def outline(mask, corners=24):
    """A closed line around a 2D mask: its outermost voxel in every direction."""
    voxels = np.argwhere(mask).astype(float)
    offset = voxels - voxels.mean(0)
    sector = ((np.arctan2(offset[:, 0], offset[:, 1]) + np.pi) / (2 * np.pi) * corners).astype(int) % corners
    distance = np.hypot(*offset.T)
    return [
        voxels[sector == n][distance[sector == n].argmax()] for n in range(corners) if (sector == n).any()
    ]


def dice(a, b):
    return 2.0 * float((a & b).sum()) / max(float(a.sum() + b.sum()), 1.0)


def correct(driver, truth, view):
    """One click where the proposal is most wrong, in one orientation."""
    mask = driver.workspace.currentMask()
    missing = (truth > mask).sum() >= (mask > truth).sum()
    voxel = wrong_voxel(mask, truth, missing)
    if voxel is not None:
        driver.click(driver.world(None, voxel), view, button="Left" if missing else "Right")
        driver.settle()
