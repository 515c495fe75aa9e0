"""Prompts and their regions as text."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cache_helpers import SHAPE, a_mask, masks, relaxed
from hypothesis import given

from clopa_annotator.cache.format.prompt_json import prompt_from_json, prompt_to_json
from clopa_annotator.cache.format.regions import (
    mask_from_json,
    mask_to_json,
    region_from_json,
    region_to_json,
)
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.types import BoxPrompt, PointPrompt, TimedPrompt


@given(masks)
@relaxed
def test_a_region_and_a_mask_as_text_come_back(mask):
    bounds = tuple((2, 2 + n) for n in mask.shape)
    region, where = region_from_json(json.loads(json.dumps(region_to_json(mask, bounds))))
    np.testing.assert_array_equal(region, mask)
    assert where == bounds
    np.testing.assert_array_equal(mask_from_json(mask_to_json(mask), mask.shape), mask)


def test_a_region_is_short():
    mask = np.zeros((1, 256, 256), np.uint8)
    mask[:, 100:120, 20:200] = 1
    assert len(region_to_json(mask, ((0, 1), (0, 256), (0, 256)))["bits"]) < 200


@pytest.mark.parametrize("bits", ["not base64!", "AAAA", "eJz7/wEAAvAB8A==" * 2])
def test_bits_that_do_not_fill_their_box_are_refused(bits):
    with pytest.raises(CorruptRecord):
        region_from_json({"bounds_kji": [[0, 9], [0, 9], [0, 9]], "bits": bits})


def test_bits_are_not_unpacked_beyond_their_box():
    bomb = region_to_json(np.zeros((200, 200, 200), np.uint8), ((0, 200), (0, 200), (0, 200)))
    with pytest.raises(CorruptRecord, match="do not fill"):
        region_from_json({**bomb, "bounds_kji": [[0, 1], [0, 1], [0, 1]]})


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(CorruptRecord, match="shape"):
        mask_from_json(mask_to_json(a_mask()), (1, 2, 3))


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "telepathy", "at_s": 0, "positive": True},
        {"kind": "point", "at_s": 0, "positive": True},
        {"kind": "point", "at_s": "soon", "positive": True, "position_kji": [1, 2, 3]},
        {"kind": "box", "at_s": 0, "positive": True, "bounds_kji": [[1, 2]]},
    ],
)
def test_a_prompt_that_cannot_be_read_is_named(values):
    with pytest.raises(CorruptRecord):
        prompt_from_json(values, SHAPE)


def test_points_and_boxes_are_plain_numbers_even_from_numpy():
    point = TimedPrompt(PointPrompt(tuple(np.int64([1, 2, 3]))), np.float32(0.5))
    box = TimedPrompt(BoxPrompt(((0, 1), (2, 5), (np.int32(3), 4)), False), 1)
    for prompt in (point, box):
        assert prompt_from_json(json.loads(json.dumps(prompt_to_json(prompt))), SHAPE) == prompt
