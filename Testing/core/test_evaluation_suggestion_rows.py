"""The numbers of a stream's suggestions, computed by hand."""

from __future__ import annotations

import math

import pytest

from clopa_annotator.evaluation.suggestion_rows import (
    SuggestionRow,
    SuggestionSummary,
    rank_correlation,
    summarise_suggestions,
)


def row(order: int, dice: float, score: float, *expected: float) -> SuggestionRow:
    told = dict(zip(("expected", "low", "high"), expected, strict=False))
    return SuggestionRow(order, f"c{order}", 1, dice, score, **told)


def test_a_streams_suggestions_in_numbers() -> None:
    rows = [
        row(1, 0.5, 0.6),
        row(2, 0.7, 0.7),
        row(3, 0.8, 0.9, 0.7, 0.6, 0.9),
        row(4, 0.9, 0.8, 0.85, 0.86, 0.88),
    ]
    found = summarise_suggestions(rows)
    assert found.n == 4 and found.known == 2
    assert found.dice == pytest.approx(0.725)
    assert found.spearman == pytest.approx(0.8)
    assert found.mae == pytest.approx((0.1 + 0.05) / 2)
    assert found.coverage == 0.5


def test_nothing_is_made_of_nothing() -> None:
    nothing = summarise_suggestions([])
    assert nothing.n == 0 and math.isnan(nothing.dice)
    early = summarise_suggestions([row(1, 0.5, 0.5)])
    assert early.n == 1 and early.known == 0 and math.isnan(early.mae) and math.isnan(early.spearman)
    assert SuggestionSummary().n == 0


def test_ranks_that_do_not_vary_or_are_not_known_say_nothing() -> None:
    assert math.isnan(rank_correlation([0.5, 0.5, 0.5], [0.1, 0.2, 0.3]))
    assert rank_correlation([0.1, math.nan, 0.2, 0.3], [1, 0, 2, 3]) == pytest.approx(1.0)
