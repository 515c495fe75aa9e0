"""The separate parts of a mask are several of a kind."""

from __future__ import annotations

import numpy as np

from clopa_annotator.datasets.parts import count_parts, part_of_mask, parts_before


def a_mask() -> np.ndarray:
    mask = np.zeros((6, 6, 20), np.uint8)
    mask[:2, :2, :3] = 1  # 12 voxels
    mask[:3, :3, 6:10] = 1  # 36
    mask[3, 3, 10] = 1  # touches the second by a corner
    mask[5, 5, 18:] = 1  # 2: noise
    return mask


def test_the_largest_part_comes_first_and_noise_is_none() -> None:
    mask = a_mask()
    assert count_parts(mask) == 2
    first, second = part_of_mask(mask, 1), part_of_mask(mask, 2)
    assert (int(first.sum()), int(second.sum())) == (37, 12), "corners connect"
    assert not np.any(first & second) and not part_of_mask(mask, 3).any()


def test_what_comes_before_a_part_is_the_larger_ones() -> None:
    mask = a_mask()
    assert np.array_equal(parts_before(mask, 2), part_of_mask(mask, 1))
    assert not parts_before(mask, 1).any()


def test_an_empty_mask_has_no_part() -> None:
    empty = np.zeros((4, 4, 4), np.uint8)
    assert count_parts(empty) == 0 and not part_of_mask(empty, 1).any()
