"""How good masks before the first click were, and how well that was foretold: ``suggestions.csv``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

NAN = math.nan


@dataclass(frozen=True)
class SuggestionRow:
    """One row of ``suggestions.csv``: the suggestion for a case of the stream, made before it was annotated.

    Attributes:
        order: place in the stream, from 1.
        case: name of the case.
        version: weights version that made it.
        dice: with the reference.
        score: how sure the model was, see `suggestions.scores`.
        surface: another score, for comparison.
        expected: Dice that was expected; NaN if not known yet.
        low: lower end of its interval.
        high: upper end.
        cases: confirmed cases that the expectation rested on.
        seconds: time of its passes.
        target: name of the target where a run has several; else empty.
    """

    order: int
    case: str
    version: int
    dice: float
    score: float
    surface: float = NAN
    expected: float = NAN
    low: float = NAN
    high: float = NAN
    cases: int = 0
    seconds: float = NAN
    target: str = ""


@dataclass(frozen=True)
class SuggestionSummary:
    """The suggestions of a stream in a few numbers.

    Attributes:
        n: suggestions.
        dice: their mean Dice.
        spearman: rank correlation of score and Dice; NaN for fewer than three.
        known: suggestions for which a Dice was expected.
        mae: mean absolute error of the expected Dice.
        coverage: share of them whose Dice lay in the interval.
    """

    n: int = 0
    dice: float = NAN
    spearman: float = NAN
    known: int = 0
    mae: float = NAN
    coverage: float = NAN


def summarise_suggestions(rows: Sequence[SuggestionRow]) -> SuggestionSummary:
    """The numbers of a stream's suggestions; NaN where there are too few."""
    if not rows:
        return SuggestionSummary()
    known = [row for row in rows if not math.isnan(row.expected)]
    return SuggestionSummary(
        n=len(rows),
        dice=float(np.mean([row.dice for row in rows])),
        spearman=rank_correlation([row.score for row in rows], [row.dice for row in rows]),
        known=len(known),
        mae=float(np.mean([abs(row.expected - row.dice) for row in known])) if known else NAN,
        coverage=float(np.mean([row.low <= row.dice <= row.high for row in known])) if known else NAN,
    )


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rho; NaN for fewer than three pairs, or where one side does not vary."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if len(pairs) < 3 or any(len(set(side)) < 2 for side in zip(*pairs, strict=True)):
        return NAN
    left, right = zip(*pairs, strict=True)
    return float(stats.spearmanr(left, right).statistic)
