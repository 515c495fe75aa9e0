"""The order of cases, and which of them come without a suggestion, for panel, engine and simulation."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clopa_annotator.case_order import CaseSettings, draw, in_order, mean_certainty
from clopa_annotator.config import CASE_ORDERS, CaseOrder
from clopa_annotator.errors import ConfigError
from clopa_annotator.types import Slot

NAMES = st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=12)
SURE = {"a": 0.9, "b": 0.2, "c": math.nan, "d": 0.5, "f": 0.5}


@pytest.mark.parametrize(
    ("order", "expected"),
    [("added", "abcdef"), ("least-certain", "bdface"), ("most-certain", "adfbce")],
)
def test_cases_without_a_score_and_equal_ones_come_as_they_were_added(
    order: CaseOrder, expected: str
) -> None:
    assert in_order("abcdef", order, SURE) == list(expected)


@settings(deadline=None)
@given(NAMES, st.sampled_from(CASE_ORDERS), st.integers(), st.data())
def test_every_order_holds_each_case_once_and_is_the_same_again(
    names: list[str], order: CaseOrder, seed: int, data: st.DataObject
) -> None:
    sure = {name: data.draw(st.floats(0, 1) | st.just(math.nan)) for name in names}
    found = in_order(names, order, sure, seed)
    assert sorted(found) == sorted(names)
    assert in_order(names, order, sure, seed) == found
    scored = [name for name in found if not math.isnan(sure[name])]
    if order == "least-certain":
        assert [sure[n] for n in scored] == sorted(sure[n] for n in scored)
        assert found[: len(scored)] == scored


@settings(deadline=None)
@given(NAMES, st.integers(), st.data())
def test_a_random_order_puts_two_cases_the_same_way_whatever_others_there_are(
    names: list[str], seed: int, data: st.DataObject
) -> None:
    whole = in_order(names, "random", {}, seed)
    some = [name for name in names if data.draw(st.booleans())]
    assert in_order(some, "random", {}, seed) == [name for name in whole if name in some]


def test_random_orders_differ_by_seed_and_from_the_list() -> None:
    names = [f"case {n}" for n in range(20)]
    first, second = in_order(names, "random", {}, 1), in_order(names, "random", {}, 2)
    assert len({tuple(names), tuple(first), tuple(second)}) == 3


def test_the_share_without_a_suggestion_is_about_what_was_asked_for_and_grows_by_adding() -> None:
    slots = [(f"case {n}", slot) for n in range(1000) for slot in (Slot(), Slot("tumour"))]
    withheld = {
        share: {place for place in slots if CaseSettings("added", share, 7).withholds(*place)}
        for share in (0.0, 0.1, 0.4, 1.0)
    }
    assert not withheld[0.0] and len(withheld[1.0]) == 2000
    assert 140 < len(withheld[0.1]) < 260 and 700 < len(withheld[0.4]) < 900
    assert withheld[0.1] < withheld[0.4], "nothing is drawn again when the lead changes the share"
    both = [n for n in range(1000) if {(f"case {n}", Slot()), (f"case {n}", Slot("tumour"))} <= withheld[0.4]]
    assert 110 < len(both) < 210, "each target is drawn for itself"


def test_a_draw_is_the_same_on_every_computer() -> None:
    pinned = 0.5516882629395171  # campaigns have been drawn with it
    assert draw(7, "order", "case 1") == pinned
    assert draw(7, "a", "bc") != draw(7, "ab", "c")


def test_a_case_is_as_certain_as_its_scored_targets_on_average() -> None:
    assert mean_certainty([0.2, math.nan, 0.4]) == pytest.approx(0.3)
    assert math.isnan(mean_certainty([])) and math.isnan(mean_certainty([math.nan]))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (("best",), 'no order "best"'),
        (("added", -0.1), "between 0 and 1"),
        (("added", True), "between 0 and 1"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(values: tuple[object, ...], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CaseSettings(*values)  # type: ignore[arg-type]
