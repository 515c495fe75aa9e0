"""Figures apart for each use of a suggestion, and what withheld ones say about those that were shown."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clopa_annotator.types import SuggestionUse
from clopa_annotator.types.uses import (
    ALL_SHOWN,
    COLOURS,
    IN_WORDS,
    Mean,
    anchoring,
    anchoring_in_words,
    by_use,
    figures_by_use,
    mean_of,
)
from clopa_annotator.wire.messages import CaseStatistics

NONE, WITHHELD, UNTOUCHED, TAKEN, CLEARED = SuggestionUse


def a_row(
    use: SuggestionUse, first: float | None = 0.5, suggested: float | None = None, prompts: int = 4
) -> CaseStatistics:
    return CaseStatistics(
        "case", 1, 1, first, prompts, 10.0 * prompts, suggestion=use, suggestion_dice=suggested
    )


def test_each_use_has_figures_of_its_own() -> None:
    rows = [
        a_row(TAKEN, 0.8, 0.8, 2),
        a_row(NONE, 0.4),
        a_row(NONE, 0.6, prompts=6),
        a_row(CLEARED, 0.1, 0.1),
    ]
    assert list(by_use(rows)) == [NONE, TAKEN, CLEARED]
    none, taken, cleared = figures_by_use(rows)
    assert (none.name, none.cases, none.first.value, none.prompts.value) == ("no suggestion", 2, 0.5, 5)
    assert none.first.error == pytest.approx(0.1) and none.suggested.cases == 0
    assert (taken.name, taken.first.value, taken.seconds.value) == ("suggestion taken", 0.8, 20)
    assert cleared.suggested.value == 0.1 and math.isnan(cleared.first.error)


def test_where_some_are_withheld_all_that_were_shown_stand_beside_them() -> None:
    rows = [a_row(WITHHELD, 0.5, 0.6), a_row(TAKEN, 0.8, 0.8), a_row(UNTOUCHED, 1.0, 1.0, 0)]
    names = [figures.name for figures in figures_by_use(rows)]
    assert names == ["suggestion withheld", "suggestion untouched", "suggestion taken", ALL_SHOWN]
    pooled = figures_by_use(rows)[-1]
    assert (pooled.cases, pooled.suggested.value, pooled.prompts.value) == (2, pytest.approx(0.9), 2)
    assert len(figures_by_use(rows[:2])) == 2, "one use is not pooled"


def test_suggestions_that_look_better_when_shown_are_told_with_how_sure_that_is() -> None:
    shown = [a_row(TAKEN, None, dice) for dice in (0.90, 0.92, 0.91, 0.93)]
    withheld = [a_row(WITHHELD, None, dice) for dice in (0.80, 0.82, 0.81)]
    found = anchoring([*shown, *withheld, a_row(NONE)])
    assert found is not None and found.cases == 3 and found.value == pytest.approx(0.105)
    assert "better" in anchoring_in_words(found) and "more than chance" in anchoring_in_words(found)
    assert "no more than chance" in anchoring_in_words(Mean(0.01, 0.02, 9))
    assert "worse" in anchoring_in_words(Mean(-0.1, 0.01, 9))


def test_two_cases_on_each_side_are_needed() -> None:
    rows = [a_row(TAKEN, None, 0.9), a_row(TAKEN, None, 0.8), a_row(WITHHELD, None, 0.9), a_row(WITHHELD)]
    assert anchoring(rows) is None and "Too few" in anchoring_in_words(None)


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(0, 1), max_size=8))
def test_a_mean_leaves_out_what_is_not_there(values: list[float | None]) -> None:
    known = [value for value in values if value is not None]
    found = mean_of([*values, math.nan])
    assert found.cases == len(known)
    assert math.isnan(found.value) if not known else min(known) - 1e-9 <= found.value <= max(known) + 1e-9
    assert math.isnan(found.error) if len(known) < 2 else found.error >= 0


def test_every_use_has_a_name_and_a_colour_of_its_own() -> None:
    assert set(IN_WORDS) == set(COLOURS) == set(SuggestionUse)
    assert len(set(COLOURS.values())) == len(set(IN_WORDS.values())) == len(SuggestionUse)
