"""Suggestions on their way: they come back as they were sent, small, and an odd answer is a sentence."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from clopa_annotator.errors import VersionMismatch
from clopa_annotator.wire.suggestion_messages import (
    Suggested,
    SuggestionMark,
    SuggestionState,
    mark_from_wire,
    state_from_wire,
    state_to_wire,
    suggested_from_wire,
    suggested_to_wire,
)

MARK = SuggestionMark(3, 0.9, 0.86, 0.74, 0.93, 12, "2026")


def test_what_the_engine_does_comes_back_as_it_was_sent() -> None:
    state = SuggestionState("waiting", "3 of 7 done.", 2, 5, True, 3, 7, (("case 1", "gone"),), True)
    assert state_from_wire(json.loads(json.dumps(state_to_wire(state)))) == state
    assert state_from_wire({"phase": "off", "sentence": "x", "from the future": 1}).phase == "off"
    assert mark_from_wire(json.loads(json.dumps(asdict(MARK)))) == MARK and mark_from_wire(None) is None


@pytest.mark.parametrize("filled", [True, False])
def test_a_mask_travels_as_the_box_that_holds_it(filled: bool) -> None:
    mask = np.zeros((20, 30, 40), np.uint8)
    mask[3:5, 4:6, 5:8] = filled
    row, arrays = suggested_to_wire(Suggested(mask, MARK))
    assert sum(a.size for a in arrays.values()) == (12 if filled else 0)
    again = suggested_from_wire(json.loads(json.dumps(row)), arrays)
    assert again is not None and again.mark == MARK and np.array_equal(again.mask, mask)
    assert not again.mask.flags.writeable


@pytest.mark.parametrize("wrong", [{}, {"version": 1}, {"version": 1, "shape": [2, 2]}, 3, {"version": 1,
    "shape": [2, 2, 2], "bounds_kji": [[0, 1], [0, 1], [0, 1]]}])  # fmt: skip
def test_an_answer_of_another_version_is_a_sentence(wrong: object) -> None:
    with pytest.raises(VersionMismatch, match="update the older"):
        suggested_from_wire(wrong, {})
