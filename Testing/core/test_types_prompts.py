"""The table of prompt kinds: every kind comes apart into its parts and back, and its centre can be told."""

from __future__ import annotations

import numpy as np
import pytest

from clopa_annotator.errors import PromptError
from clopa_annotator.types import (
    BoxPrompt,
    LassoPrompt,
    MaskPrompt,
    PointPrompt,
    Prompt,
    PromptKind,
    ScribblePrompt,
)
from clopa_annotator.types.prompts import PROMPT_TYPES, counting_after, part_names, parts_of, prompt_of

BOUNDS = ((1, 3), (2, 5), (0, 4))
REGION = np.zeros((2, 3, 4), np.uint8)
REGION[1, 1, 2] = 1
EVERY_KIND: tuple[Prompt, ...] = (
    PointPrompt((1, 2, 3), False),
    BoxPrompt(BOUNDS),
    ScribblePrompt(REGION, BOUNDS, False),
    LassoPrompt(REGION, BOUNDS),
    MaskPrompt(REGION),
)


def test_every_kind_has_its_class_and_its_example_here():
    assert set(PROMPT_TYPES) == set(PromptKind) == {prompt.kind for prompt in EVERY_KIND}
    assert all(PROMPT_TYPES[prompt.kind] is type(prompt) for prompt in EVERY_KIND)


@pytest.mark.parametrize("prompt", EVERY_KIND, ids=lambda p: p.kind.value)
def test_a_prompt_comes_apart_into_parts_and_back(prompt):
    parts = parts_of(prompt)
    again = prompt_of(prompt.kind, parts)
    assert tuple(parts) == part_names(prompt.kind) and "kind" not in parts
    assert type(again) is type(prompt) and again.kind is prompt.kind
    for name, value in parts.items():
        assert np.array_equal(getattr(again, name), value)


def test_a_region_that_does_not_fill_its_box_is_refused():
    with pytest.raises(PromptError, match="shape"):
        prompt_of(PromptKind.LASSO, {"mask": REGION[:1], "bounds_kji": BOUNDS, "positive": True})


def test_the_voxel_that_stands_for_a_prompt():
    assert [p.centre_kji for p in EVERY_KIND] == [(1, 2, 3), (1, 3, 1), (2, 3, 2), (2, 3, 2), None]
    assert ScribblePrompt(np.zeros_like(REGION), BOUNDS).centre_kji is None


def test_a_mask_replaces_everything_before_it():
    points = [PointPrompt((n, 0, 0)) for n in range(3)]
    masks = [MaskPrompt(REGION) for _ in range(2)]
    step = (points[1], masks[0], masks[1], points[2])
    assert counting_after((points[0],), step) == (masks[1], points[2])
    assert counting_after((masks[0],), (points[0],)) == (masks[0], points[0])
    assert counting_after(points[:1], points[1:]) == tuple(points)
    assert counting_after((), ()) == ()
