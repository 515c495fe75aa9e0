"""Tests of significance against probabilities that can be counted by hand, and against SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clopa_annotator.errors import InputError
from clopa_annotator.evaluation.statistics import Rank, mcnemar, rank, rank_failures, wilcoxon


def test_five_gains_out_of_five_have_two_of_thirty_two_sign_patterns():
    test = wilcoxon([1, 2, 3, 4, 5], [0, 0, 0, 0, 0])
    assert (test.p, test.direction, test.n) == (2 / 32, 1, 5)
    assert not test.significant()


def test_six_losses_out_of_six_are_significant():
    test = wilcoxon([0] * 6, [1, 2, 3, 4, 5, 6])
    assert (test.p, test.direction) == (2 / 64, -1) and test.significant()


def test_equal_differences_are_counted_out_as_well():
    # Four differences of the same size have rank 2.5 each. Three up, one down: the smaller sum is 2.5, and of
    # 16 patterns 1 + 4 on either side have a sum of at most 2.5.
    assert wilcoxon([1, 1, 1, 0], [0, 0, 0, 1]).p == pytest.approx(10 / 16)


def test_pairs_without_difference_or_with_nan_say_nothing():
    assert wilcoxon([1, 1, 1], [1, 1, 1]) == wilcoxon([], [])
    assert wilcoxon([], []).p == 1.0
    assert wilcoxon([1, 2, math.nan, 5], [0, 0, 3, 5]).n == 2


def test_a_difference_by_rounding_is_none():
    assert wilcoxon([0.1 + 0.2], [0.3]).n == 0


def test_a_draw_has_no_direction():
    assert wilcoxon([1, 0], [0, 1]).direction == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(3, 50))
def test_without_ties_the_exact_probability_is_scipys(seed, n):
    differences = np.random.default_rng(seed).normal(0.3, 1, n)
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert wilcoxon(differences, np.zeros(n)).p == pytest.approx(float(expected), rel=1e-9)


def test_many_pairs_use_the_normal_approximation():
    differences = np.random.default_rng(0).normal(0.1, 1, 200)
    assert wilcoxon(differences, np.zeros(200)).p == pytest.approx(stats.wilcoxon(differences).pvalue)


def test_mcnemar_counts_the_pairs_in_which_one_side_fails():
    # 6 cases only the first fails, 0 only the second: 2 * (1/2)^6.
    first, second = [True] * 8 + [False] * 2, [True] * 2 + [False] * 8
    assert (mcnemar(first, second).p, mcnemar(first, second).direction) == (2 / 64, 1)
    # 3 against 1: 2 * (1 + 4) / 16.
    assert mcnemar([1, 1, 1, 0], [0, 0, 0, 1]).p == pytest.approx(10 / 16)


def test_mcnemar_of_equal_outcomes_is_one():
    assert mcnemar([True, False], [True, False]).p == 1.0
    assert mcnemar([], []).p == 1.0
    assert mcnemar([True, False], [False, True]).p == 1.0


def test_pairs_must_match():
    with pytest.raises(InputError, match="the same cases"):
        wilcoxon([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match="the same cases"):
        mcnemar([True], [])


def test_methods_with_equally_many_wins_share_a_place():
    good, fair, poor = np.linspace(0.8, 0.9, 8), np.linspace(0.5, 0.6, 8), np.linspace(0.1, 0.2, 8)
    ranks = rank({"a": good, "b": good + 1e-15, "c": fair, "d": poor})
    assert ranks == {"a": Rank(1, 2), "b": Rank(1, 2), "c": Rank(3, 1), "d": Rank(4, 0)}


def test_fewer_interactions_win():
    few, many = list(range(1, 9)), list(range(20, 28))
    assert rank({"a": few, "b": many}, higher_is_better=False)["a"] == Rank(1, 1)


def test_too_few_cases_leave_everybody_first():
    assert rank({"a": [0.9, 0.9], "b": [0.1, 0.1]}) == {"a": Rank(1, 0), "b": Rank(1, 0)}


def test_a_method_alone_is_first():
    assert rank({"a": [0.5]}) == {"a": Rank(1, 0)}


def test_fewer_failures_win():
    ranks = rank_failures({"a": [False] * 8, "b": [True] * 8})
    assert ranks == {"a": Rank(1, 1), "b": Rank(2, 0)}
