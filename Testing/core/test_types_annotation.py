"""Values of annotating: a region fits its box, and a prompt says what it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from clopa_annotator.errors import PromptError
from clopa_annotator.types import (
    BoxPrompt,
    CaseRef,
    Event,
    LassoPrompt,
    MaskPrompt,
    PointPrompt,
    PromptKind,
    ScribblePrompt,
)

BOX = ((1, 2), (3, 5), (0, 2))


@pytest.mark.parametrize("kind", [ScribblePrompt, LassoPrompt])
def test_a_drawn_region_covers_just_its_box(kind) -> None:
    kind(np.ones((1, 2, 2), np.uint8), BOX)
    with pytest.raises(PromptError, match=r"shape \(2, 2, 2\), but its box has \(1, 2, 2\)"):
        kind(np.ones((2, 2, 2), np.uint8), BOX)


def test_every_prompt_says_its_kind() -> None:
    region = np.ones((1, 2, 2), np.uint8)
    given = (PointPrompt((0, 0, 0)), BoxPrompt(BOX), ScribblePrompt(region, BOX), LassoPrompt(region, BOX))
    assert [p.kind for p in (*given, MaskPrompt(region))] == list(PromptKind)
    assert all(p.positive for p in given)


@pytest.mark.parametrize("value", [PointPrompt((0, 0, 0)), CaseRef("a", 1, 1, "", "", "", ""), Event(1, "x")])
def test_a_value_that_was_made_is_not_changed(value) -> None:
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)
