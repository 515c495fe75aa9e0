"""Generated volumes with several targets: three structures that touch, in one label map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from clopa_annotator.datasets import open_dataset
from clopa_annotator.datasets.three_structures import (
    STRUCTURES,
    StructureSpec,
    make_structures,
    structure_files,
    write_structure_dataset,
)
from clopa_annotator.errors import ConfigError

SEEDS = range(8)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_volume_has_all_three_each_in_one_piece(seed: int) -> None:
    image, labels = make_structures(StructureSpec(), seed)
    assert image.voxels.dtype == np.int16 and image.voxels.shape == labels.shape == image.geometry.shape_kji
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    for value in range(1, len(STRUCTURES) + 1):
        sizes = np.bincount(ndimage.label(labels == value, np.ones((3, 3, 3)))[0].ravel())[1:]
        assert sizes.max() >= 0.95 * sizes.sum() > 300


def test_neighbours_touch_in_most_volumes() -> None:
    touching = 0
    for seed in SEEDS:
        labels = make_structures(StructureSpec(), seed)[1]
        touching += bool(np.any(ndimage.binary_dilation(labels == 1) & (labels == 2)))
    assert touching >= len(SEEDS) / 2


def test_a_seed_gives_the_same_voxels_and_another_one_others() -> None:
    first, again, other = (make_structures(StructureSpec(), seed) for seed in (3, 3, 4))
    assert np.array_equal(first[0].voxels, again[0].voxels) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


def test_a_dataset_says_what_its_values_are_called(tmp_path: Path) -> None:
    dataset = write_structure_dataset(tmp_path, 2, StructureSpec(shape_kji=(16, 20, 20), kinds=2), seed=0)
    about = json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8"))
    assert about["labels"] == {"0": "background", "1": "capsule", "2": "lens"}
    assert sorted(structure_files(2)) == sorted(
        p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()
    )
    assert len(dataset) == 2


def test_they_are_a_generated_stream_of_which_a_label_can_be_chosen(tmp_path: Path) -> None:
    whole = open_dataset("generated:structures:1", None, tmp_path)[0].read()[1]
    tube = open_dataset("generated:structures:1", 3, tmp_path)[0].read()[1]
    assert 0 < tube.sum() < whole.sum() and not np.any(tube & ~whole)


def test_a_volume_that_is_too_small_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 16"):
        StructureSpec(shape_kji=(8, 40, 40))
