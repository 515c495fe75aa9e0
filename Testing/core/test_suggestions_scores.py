"""How sure a suggestion is: scores that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from clopa_annotator.geometry import Geometry
from clopa_annotator.suggestions.scores import (
    centre_of,
    certainty,
    overlap_of,
    reprompt_agreement,
    scores_of,
    surface_sharpness,
)
from clopa_annotator.testing.fake_session import FakeSession
from clopa_annotator.types import Image, WholeImageAnswer


def a_cube(inside: int = 255, outside: int = 0) -> np.ndarray:
    foreground = np.full((12, 12, 12), outside, np.uint8)
    foreground[4:8, 4:8, 4:8] = inside
    return foreground


def test_a_sharp_surface_scores_higher_than_a_soft_one_and_nothing_scores_nothing() -> None:
    assert surface_sharpness(a_cube()) > 0.95
    assert surface_sharpness(a_cube(150, 100)) < 0.05
    assert surface_sharpness(a_cube(0)) == 0.0


def test_only_the_surface_counts() -> None:
    vague_inside = a_cube()
    vague_inside[5:7, 5:7, 5:7] = 140
    assert surface_sharpness(vague_inside) == surface_sharpness(a_cube())


def test_overlap_is_dice_and_two_empty_masks_agree() -> None:
    first, second = np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), np.uint8)
    assert overlap_of(first, second) == 1.0
    first[0] = 1
    second[0, 0] = 1
    assert overlap_of(first, second) == pytest.approx(2 * 2 / 6)


def test_the_centre_lies_deep_in_the_largest_part() -> None:
    mask = np.zeros((20, 20, 20), np.uint8)
    mask[1:3, 1:3, 1:3] = 1
    mask[8:15, 8:15, 8:15] = 1
    assert centre_of(mask) == (11, 11, 11)
    assert centre_of(np.zeros((3, 3, 3), np.uint8)) is None


def test_a_click_at_its_own_centre_that_gives_the_same_mask_agrees_fully() -> None:
    voxels = np.random.default_rng(0).normal(0, 0.05, (24, 24, 24)).astype(np.float32)
    voxels[9:15, 9:15, 9:15] += 5
    image = Image(voxels, Geometry((24, 24, 24)))
    mask = (voxels > 2).astype(np.uint8)
    assert reprompt_agreement(FakeSession(radius=12), image, mask) == 1.0
    assert reprompt_agreement(FakeSession(radius=2), image, mask) < 0.6
    assert reprompt_agreement(FakeSession(), image, np.zeros_like(mask)) == 0.0


def test_an_answer_brings_its_scores_along() -> None:
    answer = WholeImageAnswer((a_cube() > 0).astype(np.uint8), a_cube(), 0.75, 1, 4, 0.1)
    scores = scores_of(answer)
    assert scores["agreement"] == 0.75 and scores["surface"] > 0.95
    assert certainty(scores) in scores.values() and np.isnan(certainty({}))
