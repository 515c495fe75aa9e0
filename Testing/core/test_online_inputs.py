"""From masks to clicks, and from clicks to what the network sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_online import SIDE, a_case, an_encoder

from clopa_annotator.errors import NoImage
from clopa_annotator.online.inputs import deepest_voxel, error_clicks, inner_click, patch_clicks
from clopa_annotator.types import BoxPrompt, MaskPrompt, PointPrompt, ScribblePrompt


def test_error_clicks_take_the_largest_component_first_and_the_sign_of_the_error() -> None:
    reference, prediction = np.zeros((2, 12, 12, 12), np.uint8)
    reference[0:3, 0:3, 0:3] = 1  # 27 voxels missed
    prediction[6:11, 6:11, 6:11] = 1  # 125 too many
    reference[0, 11, 11] = 1  # 1 missed
    clicks = error_clicks(prediction, reference, 10)
    assert clicks == (
        PointPrompt((8, 8, 8), False),
        PointPrompt((1, 1, 1), True),
        PointPrompt((0, 11, 11), True),
    )
    assert error_clicks(prediction, reference, 1) == clicks[:1]
    assert error_clicks(reference, reference, 10) == ()


def test_random_error_clicks_lie_anywhere_in_their_component_in_the_same_order() -> None:
    reference, prediction = np.zeros((2, 12, 12, 12), np.uint8)
    reference[0:3, 0:3, 0:3] = 1
    prediction[6:11, 6:11, 6:11] = 1
    places: list[set[object]] = [set(), set()]
    for seed in range(60):
        clicks = error_clicks(prediction, reference, 10, np.random.default_rng(seed))
        assert [c.positive for c in clicks] == [False, True]
        assert prediction[clicks[0].position_kji] and reference[clicks[1].position_kji]
        for found, click in zip(places, clicks, strict=True):
            found.add(click.position_kji)
    assert len(places[0]) > 40 and len(places[1]) > 15


def test_the_deepest_voxel_of_a_cube_is_its_middle() -> None:
    region = np.zeros((7, 7, 7), bool)
    region[1:6, 1:6, 1:6] = True
    assert deepest_voxel(region) == (3, 3, 3)
    assert inner_click(region.astype(np.uint8)) == PointPrompt((3, 3, 3))
    assert inner_click(np.zeros((3, 3, 3), np.uint8)) is None


def test_every_prompt_has_a_place_and_only_drawn_ones_say_what_a_voxel_is() -> None:
    drawn = np.zeros((1, 3, 3), np.uint8)
    drawn[0, 1] = 1
    scribble = ScribblePrompt(drawn, ((4, 5), (6, 9), (2, 5)), False)
    box = BoxPrompt(((4, 5), (0, 10), (2, 8)))
    prompts = (PointPrompt((8, 8, 8)), scribble, box, MaskPrompt(np.zeros((2, 2, 2), np.uint8)))
    assert [p.centre_kji for p in prompts] == [(8, 8, 8), (4, 7, 3), (4, 4, 4), None]
    clicks = patch_clicks(prompts, (8, 8, 8), (SIDE,) * 3)
    assert [(c.position_kji, c.positive) for c in clicks] == [((8, 8, 8), True), ((4, 7, 3), False)]


def test_the_encoder_draws_prompts_after_the_last_mask_and_needs_an_image() -> None:
    encoder = an_encoder()
    with pytest.raises(NoImage, match="set one first"):
        encoder.encode((), np.zeros((SIDE,) * 3, np.uint8), (8, 8, 8))
    image, mask = a_case()
    encoder.set_image(image.voxels)
    click = PointPrompt((8, 8, 8))
    fresh = encoder.encode((click,), mask, (8, 8, 8))
    replaced = encoder.encode((PointPrompt((1, 1, 1)), MaskPrompt(mask), click), mask, (8, 8, 8))
    assert torch.equal(fresh, replaced)
    assert torch.equal(fresh[1], torch.from_numpy(mask).float())
    assert fresh[4].max() == 1 and not fresh[5:].any()
