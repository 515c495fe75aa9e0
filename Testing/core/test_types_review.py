"""Values of a review: what a verdict needs, what a list shows, what is left out of it."""

from __future__ import annotations

import json
import math

import pytest

from clopa_annotator.errors import ConfigError, InputError
from clopa_annotator.types import Slot
from clopa_annotator.types.review import Judgement, ReviewFilter, ReviewRow, Verdict, place_from

ROW = ReviewRow(
    "case one", Slot("spleen", 2), Verdict.RETURNED, "Ada", 2, 7, 9, "Bob", "border", (1.0, -2.5, 3.0), 0.75
)


def test_a_row_travels_as_json_and_comes_back_as_it_was() -> None:
    values = json.loads(json.dumps({**ROW.to_dict(), "of a newer version": 1}))
    assert values["expected"] is None and values["verdict"] == "returned"
    back = ReviewRow.from_dict(values)
    assert math.isnan(back.expected) and back.to_dict() == ROW.to_dict()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"verdict": Verdict.NONE}, "accepted or returned"),
        ({"reviewer": "  "}, "reviewer's name"),
        ({"comment": " "}, "needs a comment"),
        ({"comment": "x" * 4001}, "at most 4000"),
        ({"place_lps_mm": (1.0, math.nan, 0.0)}, "three finite numbers"),
    ],
)
def test_a_verdict_that_says_too_little_is_refused(changes: dict[str, object], sentence: str) -> None:
    values = {"case_id": "one", "verdict": Verdict.RETURNED, "reviewer": "Bob", "comment": "border"}
    with pytest.raises(InputError, match=sentence):
        Judgement(**{**values, **changes})
    assert Judgement("one", Verdict.ACCEPTED, "Bob").comment == ""


@pytest.mark.parametrize("values", [[1, 2], [1, 2, "3"], [1, 2, True], [1, 2, math.inf], "abc", {}])
def test_a_place_that_is_no_position_is_refused(values: object) -> None:
    with pytest.raises(InputError, match="three finite numbers"):
        place_from(values)
    assert place_from(None) is None and place_from([1, 2, 3]) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, True),
        ({"verdict": Verdict.RETURNED}, True),
        ({"verdict": Verdict.NONE}, False),
        ({"annotator": " ADA "}, True),
        ({"annotator": "Ad"}, False),
        ({"target": "spleen"}, True),
        ({"target": ""}, False),
        ({"measured_below": 0.8, "measured_above": 0.75}, True),
        ({"measured_below": 0.75}, False),
        ({"measured_above": 0.76}, False),
        ({"expected_below": 1.0}, False),
        ({"expected_above": 0.0}, False),
    ],
)
def test_a_filter_shows_what_fits_and_no_quality_that_is_not_known(given: dict, shown: bool) -> None:
    assert ReviewFilter(**given).shows(ROW) is shown


def test_a_bound_that_is_no_dice_is_refused() -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ReviewFilter(measured_below=85)
