"""Generated organs that are larger than a patch: connected, one texture, no threshold finds them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from clopa_annotator.datasets.organs import OrganSpec, make_organ
from clopa_annotator.episode.tour import reaches_far
from clopa_annotator.errors import ConfigError


def test_an_organ_reaches_beyond_a_patch_and_is_one_piece() -> None:
    for seed in range(4):
        image, mask = make_organ(OrganSpec(), seed)
        assert image.voxels.shape == mask.shape == (32, 128, 128) and image.voxels.dtype == np.int16
        assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1
        k, j, i = (int(np.ptp(x)) + 1 for x in np.nonzero(mask))
        assert reaches_far((k, j, i), (64, 64, 64)) and max(j, i) > 64
        assert 0.05 < mask.mean() < 0.5


def test_the_same_seed_gives_the_same_organ_and_another_another() -> None:
    (image, mask), (again, _), (other, _) = (make_organ(OrganSpec(), seed) for seed in (1, 1, 2))
    assert np.array_equal(image.voxels, again.voxels)
    assert not np.array_equal(image.voxels, other.voxels) and image.geometry.shape_kji == mask.shape


def test_no_window_of_intensities_finds_the_organ() -> None:
    image, mask = make_organ(OrganSpec(), 0)
    levels = np.quantile(image.voxels, np.linspace(0.02, 0.98, 20))
    windows = [(image.voxels >= a) & (image.voxels < b) for a in levels for b in levels if a < b]
    best = max(2 * (w & (mask == 1)).sum() / (w.sum() + mask.sum()) for w in windows)
    assert best < 0.85, f"a threshold alone has a Dice of {best:.2f}"


def test_an_image_too_thin_for_an_organ_is_refused() -> None:
    with pytest.raises(ConfigError, match="16 voxels"):
        OrganSpec((8, 128, 128))
