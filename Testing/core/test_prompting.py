"""Simulated prompts lie where they should, for every kind of prompt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from clopa_annotator.episode.prompting import (
    MixedPrompter,
    PointPrompter,
    PromptMix,
    box_in_slice,
    lasso_in_slice,
    rough_mask,
    scribble_in_slice,
    uniform_voxel,
)
from clopa_annotator.geometry import box_shape, box_slices
from clopa_annotator.types import BoxPrompt, LassoPrompt, MaskPrompt, PointPrompt, ScribblePrompt

SHAPE = (24, 20, 16)


def a_ball(radius: float = 6) -> np.ndarray:
    k, j, i = np.indices(SHAPE)
    return (k - 12) ** 2 + (j - 10) ** 2 + (i - 8) ** 2 <= radius**2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.0, 7.0))
def test_a_drawn_voxel_lies_in_its_region(seed: int, radius: float) -> None:
    region = a_ball(radius)
    voxel = uniform_voxel(region, np.random.default_rng(seed))
    assert voxel is not None and region[voxel]


def test_voxels_are_drawn_uniformly_also_when_sampling_by_rejection_fails() -> None:
    region = np.zeros((40, 40, 40), bool)
    region[3, 4, 5] = region[30, 31, 32] = True
    drawn = [uniform_voxel(region, np.random.default_rng(s)) for s in range(200)]
    assert 70 < drawn.count((3, 4, 5)) < 130
    assert uniform_voxel(np.zeros((3, 3, 3), bool), np.random.default_rng(0)) is None


def test_the_papers_annotator_clicks_once_outside_and_once_inside_and_the_inside_comes_last() -> None:
    outside, inside = PointPrompter().initial(a_ball(), np.random.default_rng(0))
    assert isinstance(outside, PointPrompt) and isinstance(inside, PointPrompt)
    assert not outside.positive and not a_ball()[outside.position_kji]
    assert inside.positive and a_ball()[inside.position_kji]


def test_corrections_lie_in_the_errors_and_a_class_without_error_is_skipped() -> None:
    rng, target, current = np.random.default_rng(0), a_ball(6), a_ball(4)
    (click,) = PointPrompter().correct(current, target, rng)
    assert isinstance(click, PointPrompt) and click.positive
    assert (target & ~current)[click.position_kji]
    (click,) = PointPrompter().correct(target, current, rng)
    assert isinstance(click, PointPrompt) and not click.positive
    assert PointPrompter().correct(target, target, rng) == ()


@pytest.mark.parametrize("seed", range(12))
def test_drawings_are_flat_and_touch_what_they_mean(seed: int) -> None:
    rng, region = np.random.default_rng(seed), a_ball()
    box = box_in_slice(region, rng, True)
    assert isinstance(box, BoxPrompt) and 1 in box_shape(box.bounds_kji)
    assert region[box_slices(box.bounds_kji)].any()
    for make, kind in ((lasso_in_slice, LassoPrompt), (scribble_in_slice, ScribblePrompt)):
        drawn = make(region, rng, False)
        assert isinstance(drawn, kind) and not drawn.positive
        assert 1 in drawn.mask.shape
        inside = region[box_slices(drawn.bounds_kji)][drawn.mask > 0]
        assert inside.mean() > 0.6
        assert kind is LassoPrompt or inside.all()


def test_a_rough_mask_resembles_its_target_but_is_not_it() -> None:
    scores = []
    for seed in range(10):
        rough = rough_mask(a_ball(), np.random.default_rng(seed))
        scores.append(2 * (rough & a_ball()).sum() / (rough.sum() + a_ball().sum()))
    assert 0.3 < np.mean(scores) < 0.95


@pytest.mark.parametrize("centre", [(20, 22, 24), (3, 30, 44)])
def test_a_rough_mask_is_smoothed_near_its_target_as_it_would_be_everywhere(centre) -> None:
    """Smoothing a part of the image and stretching the noise by hand change nothing, only the time."""
    target = np.zeros((40, 44, 48), bool)
    target[tuple(slice(max(c - 5, 0), c + 6) for c in centre)] = True
    for seed in range(20):
        rng, again = np.random.default_rng(seed), np.random.default_rng(seed)
        coarse, sigma = again.standard_normal((5, 5, 5)), again.uniform(0.8, 2.5)
        noise = ndimage.zoom(coarse, np.array(target.shape) / 5, order=1)
        soft = ndimage.gaussian_filter(target.astype(np.float32), sigma)
        expected = soft > np.clip(0.5 + again.uniform(0.1, 0.5) * noise, 0.1, 0.9)
        expected = np.roll(expected, [int(s) for s in again.integers(-2, 3, size=3)], axis=(0, 1, 2))
        found = rough_mask(target, rng)
        if again.random() < 0.3 or again.random() < 0.6:
            continue  # cut or leaking: other tests look at those
        assert np.array_equal(found, expected), seed


def test_some_rough_masks_leak_far_beyond_their_target() -> None:
    """Smoothing and a shift of two voxels stay near the target; a leak is what a - click is for."""
    target = a_ball()
    far = ndimage.distance_transform_edt(~target) > 5
    leaks = [(rough_mask(target, np.random.default_rng(seed)) & far).sum() for seed in range(60)]
    assert 6 <= sum(n > 30 for n in leaks) <= 40


def test_the_mixed_annotator_uses_every_way_to_start_and_to_correct() -> None:
    rng, prompter = np.random.default_rng(0), MixedPrompter()
    starts = {type(p) for _ in range(150) for p in prompter.initial(a_ball(), rng)}
    assert starts == {PointPrompt, BoxPrompt, LassoPrompt, ScribblePrompt, MaskPrompt}
    errors = a_ball(6) ^ np.roll(a_ball(6), 3, axis=0)
    corrections = {type(p) for _ in range(80) for p in prompter.correct(a_ball(6) ^ errors, a_ball(6), rng)}
    assert corrections == {PointPrompt, LassoPrompt, ScribblePrompt}
    assert prompter.correct(a_ball(), a_ball(), rng) == ()


def test_a_rough_mask_mostly_comes_with_a_correction_of_it() -> None:
    """A tool's mask is loaded in order to be corrected: the model should know the two together."""
    rng, target = np.random.default_rng(1), a_ball()
    prompter = MixedPrompter(PromptMix(points=0, positive_point=0, box=0, lasso=0, scribble=0, mask=1))
    starts = [prompter.initial(target, rng) for _ in range(60)]
    assert all(isinstance(s[0], MaskPrompt) for s in starts)
    assert 36 <= sum(len(s) > 1 for s in starts) < 60
    negative = [p for s in starts for p in s[1:] if isinstance(p, PointPrompt) and not p.positive]
    assert negative and not any(target[p.position_kji] for p in negative)


def test_weights_of_the_mix_become_probabilities() -> None:
    mix = PromptMix(points=2, positive_point=0, box=0, lasso=0, scribble=2, mask=0)
    np.testing.assert_allclose(mix.starts, [0.5, 0, 0, 0, 0.5, 0])
    assert mix.corrections.sum() == pytest.approx(1)


def test_the_same_generator_gives_the_same_prompts() -> None:
    first = [MixedPrompter().initial(a_ball(), np.random.default_rng(4)) for _ in range(2)]
    assert str(first[0]) == str(first[1])
