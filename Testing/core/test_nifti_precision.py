"""What a NIfTI file can say of a grid: its header holds single precision, and no less than that is kept."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from clopa_annotator.datasets.volumes import read_image, write_volume
from clopa_annotator.geometry import Geometry

SHARE = 2.0**-22
"""Of the sizes that are added up to a position: four roundings to single precision, 2**-24 each."""
SHAPE = (5, 6, 7)
FAR_KJI = (400, 511, 511)


def a_grid(seed: int, kind: str) -> Geometry:
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=seed)
    if kind == "half a turn":  # where a quaternion in single precision says least
        axis = rng.normal(size=3)
        turn = Rotation.from_rotvec(np.pi * (1 - 10.0 ** -rng.uniform(2, 8)) * axis / np.linalg.norm(axis))
    if kind == "along the axes":
        turn = Rotation.from_rotvec(np.pi * np.eye(3)[seed % 3])
    spacing = tuple(float(mm) for mm in np.exp(rng.uniform(np.log(0.2), np.log(6), 3)))
    origin = tuple(float(mm) for mm in rng.uniform(-900, 900, 3))
    return Geometry(SHAPE, spacing, origin, tuple(float(x) for x in turn.as_matrix().ravel()))


def off_by(found: np.ndarray, meant: np.ndarray) -> float:
    """Largest distance along an axis at a corner of a large volume, as a share of what is added up there."""
    k, j, i = FAR_KJI
    corners = np.array([[x, y, z, 1] for x in (0, i) for y in (0, j) for z in (0, k)]).T
    return float((np.abs(found @ corners - meant @ corners) / (np.abs(meant) @ corners))[:3].max())


@pytest.mark.parametrize("kind", ["any turn", "half a turn", "along the axes"])
def test_a_grid_comes_back_to_single_precision_for_us_and_for_nibabel(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    voxels = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    for seed in range(40):
        grid = a_grid(seed, kind)
        write_volume(path, voxels, grid)
        meant = grid.ijk_to_lps()
        assert off_by(read_image(path).geometry.ijk_to_lps(), meant) <= SHARE, seed
        assert off_by(np.diag([-1, -1, 1, 1]) @ nibabel.load(path).affine, meant) <= SHARE, seed


def test_no_more_is_kept_because_the_header_holds_no_more(tmp_path: Path) -> None:
    """The limit is the format's: another writer in double precision loses the same."""
    grid = a_grid(3, "any turn")
    affine = np.diag([-1, -1, 1, 1]) @ grid.ijk_to_lps()
    nibabel.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), affine).to_filename(tmp_path / "a.nii")
    assert 0 < off_by(nibabel.load(tmp_path / "a.nii").affine, affine) <= SHARE
