"""The gate: promotes what is better, and nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clopa_annotator.errors import ConfigError
from clopa_annotator.registry.gate import GateSettings, decide

LIMITS = GateSettings(min_gain=0.0, worst_drop=0.1)


def test_a_better_candidate_is_promoted_with_its_numbers() -> None:
    d = decide(("a", "b"), (0.5, 0.6), (0.7, 0.55), LIMITS)
    assert d.promoted
    assert d.mean_before == pytest.approx(0.55)
    assert d.mean_after == pytest.approx(0.625)
    assert d.worst_change == pytest.approx(-0.05)
    assert "0.550 before, 0.625 after on 2 held-out cases" in d.reason


def test_an_equal_candidate_is_no_better() -> None:
    d = decide(("a", "b", "c"), (0.1, 0.2, 0.3), (0.3, 0.1, 0.2), LIMITS)
    assert not d.promoted
    assert "no better" in d.reason


def test_one_case_that_gets_much_worse_stops_a_promotion() -> None:
    d = decide(("a", "b"), (0.2, 0.9), (0.9, 0.7), LIMITS)
    assert not d.promoted
    assert "case b loses 0.200" in d.reason


def test_a_drop_of_exactly_the_limit_is_allowed() -> None:
    assert decide(("a", "b"), (0.2, 0.9), (0.9, 0.8), LIMITS).promoted


def test_nothing_is_promoted_without_held_out_cases() -> None:
    d = decide((), (), (), LIMITS)
    assert not d.promoted
    assert "no confirmed case is held out" in d.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_a_number_is_rejected(bad: float) -> None:
    for before, after in (((0.1, 0.1), (0.9, bad)), ((0.1, bad), (0.9, 0.9))):
        d = decide(("a", "b"), before, after, LIMITS)
        assert not d.promoted
        assert "case b is not a number" in d.reason


def test_a_gain_below_the_smallest_one_is_rejected() -> None:
    assert not decide(("a",), (0.5,), (0.51,), GateSettings(min_gain=0.02)).promoted
    assert decide(("a",), (0.5,), (0.53,), GateSettings(min_gain=0.02)).promoted


def test_scores_without_a_partner_are_an_error() -> None:
    with pytest.raises(ConfigError, match="compares pairs"):
        decide(("a", "b"), (0.1,), (0.2, 0.3), LIMITS)


@pytest.mark.parametrize("wrong", [{"min_gain": -0.1}, {"worst_drop": 2.0}, {"worst_drop": math.nan}])
def test_limits_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        GateSettings(**wrong)


scores = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20)


@given(scores, st.floats(0, 0.5), st.floats(0, 1))
def test_a_promotion_keeps_both_limits(pairs: list[tuple[float, float]], gain: float, drop: float) -> None:
    before, after = zip(*pairs, strict=True)
    d = decide([str(n) for n in range(len(pairs))], before, after, GateSettings(gain, drop))
    if d.promoted:
        assert d.mean_after - d.mean_before > gain
        assert d.worst_change >= -drop - 1e-6
    assert d.reason.endswith(".")


@given(scores)
def test_going_both_ways_is_never_promoted_twice(pairs: list[tuple[float, float]]) -> None:
    before, after = zip(*pairs, strict=True)
    names = [str(n) for n in range(len(pairs))]
    loose = GateSettings(0.0, 1.0)
    assume(before != after)
    assert not (decide(names, before, after, loose).promoted and decide(names, after, before, loose).promoted)


def test_a_decision_gives_its_reason_without_the_verdict() -> None:
    """For sentences that have said it; the gate's own begin with it, so that they can stand alone."""
    yes = decide(["a"], [0.5], [0.7], GateSettings())
    no = decide(["a"], [0.7], [0.5], GateSettings())
    assert yes.reason == f"Promoted: {yes.why}" and yes.why.startswith("better by 0.200")
    assert no.reason == f"Not promoted: {no.why}" and no.why.startswith("no better")
