"""Prompts, boxes and grids on their way between two processes: what comes back, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clopa_annotator.errors import ClopaError, GeometryError, InputError, PromptError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import (
    BoxPrompt,
    LassoPrompt,
    MaskPrompt,
    PointPrompt,
    ScribblePrompt,
    TimedPrompt,
)
from clopa_annotator.wire.session_messages import (
    bounds_from_wire,
    bounds_to_wire,
    geometry_from_wire,
    geometry_to_wire,
    integer,
    number,
    prompts_from_wire,
    prompts_to_wire,
    timed_from_wire,
)

BOX = ((1, 2), (3, 5), (0, 2))
REGION = np.array([[[1, 0], [0, 1]]], np.uint8)
PROMPTS = (
    PointPrompt((3, 0, 7), False),
    BoxPrompt(BOX),
    ScribblePrompt(REGION, BOX, False),
    LassoPrompt(REGION, BOX),
    MaskPrompt(np.ones((2, 2, 2), np.uint8)),
)


def over_the_wire(prompts: Any) -> tuple[Any, dict[str, Any]]:
    rows, arrays = prompts_to_wire(prompts)
    return json.loads(json.dumps(rows)), arrays


def plain(prompt: Any) -> dict[str, Any]:
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(prompt).items()}


def test_every_kind_of_prompt_comes_back_with_its_sign_and_region() -> None:
    back = prompts_from_wire(*over_the_wire(PROMPTS))
    assert [(type(p), plain(p)) for p in back] == [(type(p), plain(p)) for p in PROMPTS]


def test_the_moments_of_prompts_come_back() -> None:
    timed = tuple(TimedPrompt(prompt, 0.5 + n) for n, prompt in enumerate(PROMPTS))
    back = timed_from_wire(*over_the_wire(timed))
    assert [item.at_s for item in back] == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert back[0] == timed[0]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"kind": "wish"},
        {"kind": "point"},
        {"kind": "point", "position_kji": [1, 2]},
        {"kind": "point", "position_kji": [1, 2, 3.5]},
        {"kind": "point", "position_kji": [1, 2, True]},
        {"kind": "point", "position_kji": [1, 2, 1 << 40]},
        {"kind": "point", "position_kji": [1, 2, 3], "positive": 1},
        {"kind": "box", "bounds_kji": [[0, 1], [0, 1]]},
        {"kind": "box", "bounds_kji": [[0, 1], [0, 1], [0, 1, 2]]},
        {"kind": "mask"},
        {"kind": "mask", "mask": "flat"},
        {"kind": "mask", "mask": "real"},
        {"kind": "scribble", "mask": "region", "bounds_kji": [[0, 9], [0, 9], [0, 9]]},
    ],
)
def test_a_malformed_prompt_is_refused_in_words(row: dict[str, Any]) -> None:
    arrays = {"flat": np.ones((2, 2), np.uint8), "real": np.ones((2, 2, 2)), "region": REGION}
    with pytest.raises(PromptError):
        prompts_from_wire([row], arrays)


@pytest.mark.parametrize("rows", [None, {}, "points", [1], [[]]])
def test_what_is_no_list_of_prompts_is_refused(rows: Any) -> None:
    with pytest.raises(PromptError, match="malformed"):
        timed_from_wire(rows, {})


def test_a_mask_of_truth_values_is_taken_as_it_lies() -> None:
    mask = np.ones((2, 2, 2), bool)
    (back,) = prompts_from_wire([{"kind": "mask", "mask": "m"}], {"m": mask})
    assert back.mask.dtype == np.uint8 and back.mask.all()


boxes = st.tuples(*[st.tuples(st.integers(-5, 500), st.integers(-5, 500))] * 3)


@given(boxes)
def test_a_box_comes_back(box: Any) -> None:
    assert bounds_from_wire(json.loads(json.dumps(bounds_to_wire(box)))) == box


def test_a_grid_comes_back_to_the_last_digit() -> None:
    grid = Geometry((4, 5, 6), (0.1, 0.7, 3.3), (-12.25, 1e-9, 7.0), (0, -1, 0, 0.8, 0, -0.6, 0.6, 0, 0.8))
    assert geometry_from_wire(json.loads(json.dumps(geometry_to_wire(grid)))) == grid


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"shape_kji": [1, 2]}, InputError),
        ({"spacing_ijk_mm": [1, 1, "1"]}, InputError),
        ({"origin_lps_mm": [0, 0, float("nan")]}, InputError),
        ({"direction": None}, InputError),
        ({"spacing_ijk_mm": [0, 1, 1]}, GeometryError),
    ],
)
def test_a_malformed_or_impossible_grid_is_refused(changes: dict[str, Any], error: type[ClopaError]) -> None:
    row = geometry_to_wire(Geometry((4, 5, 6), (1.0, 1.0, 1.0)))
    with pytest.raises(error):
        geometry_from_wire({**row, **changes})
    with pytest.raises(InputError):
        geometry_from_wire(None)


@pytest.mark.parametrize("value", [True, "1", None, float("inf"), float("nan"), 1e301, [1]])
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    with pytest.raises(InputError):
        number(value)
    with pytest.raises(PromptError):
        integer(value)
