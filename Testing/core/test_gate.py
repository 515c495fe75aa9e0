"""The gate: lets in what is probably better, on probation, then confirms it or takes it back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clopa_annotator.errors import ConfigError
from clopa_annotator.registry.gate import GateSettings, decide, settle
from clopa_annotator.types import PairedCurves

LIMITS = GateSettings(min_gain=0.0, worst_drop=0.1)


def flat(before: Sequence[float], after: Sequence[float]) -> list[PairedCurves]:
    """Cases named a, b, ... whose curves do not rise."""
    names = "abcdefghijklmnopqrstuvwxyz"
    return [PairedCurves(n, (b, b), (a, a)) for n, b, a in zip(names, before, after, strict=False)]


def gains(*values: float) -> list[PairedCurves]:
    return flat([0.5] * len(values), [0.5 + v for v in values])


def test_a_better_candidate_is_promoted_on_probation_with_its_numbers() -> None:
    d = decide(flat((0.5, 0.6, 0.5), (0.6, 0.68, 0.57)), LIMITS)
    assert d.promoted and d.probation == LIMITS.rule.probation
    assert d.mean_before == pytest.approx(1.6 / 3)
    assert d.worst_change == pytest.approx(0.07)
    assert "0.533 before, 0.617 after on 3 held-out cases" in d.reason
    assert d.chance is not None and d.chance > 0.95
    assert "the next 10 confirmed cases decide whether it stays" in d.reason


def test_an_equal_candidate_is_no_better() -> None:
    d = decide(flat((0.1, 0.2, 0.3), (0.3, 0.1, 0.2)), LIMITS)
    assert not d.promoted
    assert "no better" in d.reason


def test_a_small_gain_on_one_case_may_be_luck() -> None:
    d = decide(gains(0.01), LIMITS)
    assert not d.promoted and "that may be luck" in d.reason and "80 % are needed" in d.reason
    assert decide(gains(0.01, 0.012, 0.009, 0.011, 0.01, 0.012), LIMITS).promoted, "six times is none"


def test_of_the_first_episode_more_is_expected() -> None:
    one = gains(0.03)
    assert decide(one, LIMITS, first=True).promoted and not decide(one, LIMITS).promoted


def test_a_better_start_that_makes_corrections_worse_is_not_promoted() -> None:
    """Seen on thin tubes: the first proposal rose from .26 to .42, ten corrections fell from .79 to .61."""
    seen = PairedCurves("vessel", (0.26, 0.5, 0.6, 0.7, 0.79), (0.42, 0.6, 0.62, 0.63, 0.61))
    d = decide([seen], GateSettings(), first=True)
    assert d.mean_after > d.mean_before
    assert not d.promoted and "after the last correction worse (Dice -0.180)" in d.reason


def test_better_corrections_do_not_pay_for_a_worse_first_proposal() -> None:
    pairs = [PairedCurves(str(n), (0.6, 0.6, 0.7), (0.5, 0.75, 0.85)) for n in range(4)]
    d = decide(pairs, GateSettings())
    assert not d.promoted and "of the first proposal worse" in d.reason


def test_one_case_that_gets_much_worse_stops_a_promotion() -> None:
    d = decide(flat((0.2, 0.9), (0.9, 0.7)), LIMITS)
    assert not d.promoted
    assert "case b loses 0.200" in d.reason


def test_the_limit_on_one_case_stops_what_is_better_on_all_others() -> None:
    pairs = gains(*[0.2] * 8, -0.15)
    assert decide(pairs, GateSettings(worst_drop=0.15)).promoted
    d = decide(pairs, LIMITS)
    assert not d.promoted and "case i loses 0.150, more than the 0.100" in d.reason


def test_nothing_is_promoted_without_held_out_cases() -> None:
    d = decide((), LIMITS)
    assert not d.promoted
    assert "no confirmed case is held out" in d.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_a_number_is_rejected(bad: float) -> None:
    for before, after in (((0.1, 0.1), (0.9, bad)), ((0.1, bad), (0.9, 0.9))):
        d = decide(flat(before, after), LIMITS)
        assert not d.promoted
        assert "case b is not a number" in d.reason


def test_a_gain_below_the_smallest_one_is_rejected() -> None:
    many = [0.011, 0.01, 0.009] * 4
    assert not decide(gains(*many), GateSettings(min_gain=0.02)).promoted
    assert decide(gains(*many), GateSettings(min_gain=0.005)).promoted


def test_curves_without_a_partner_are_an_error() -> None:
    with pytest.raises(ConfigError, match="two curves of one length"):
        PairedCurves("a", (0.1, 0.2), (0.1,))


@pytest.mark.parametrize("wrong", [{"min_gain": -0.1}, {"worst_drop": 2.0}, {"worst_drop": math.nan}])
def test_limits_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        GateSettings(**wrong)


scores = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20)


@given(scores, st.floats(0, 0.5), st.floats(0, 1))
def test_a_promotion_keeps_both_limits(pairs: list[tuple[float, float]], gain: float, drop: float) -> None:
    before, after = zip(*pairs, strict=True)
    d = decide(flat(before, after), GateSettings(gain, drop))
    if d.promoted:
        assert d.mean_after - d.mean_before > gain
        assert d.worst_change >= -drop - 1e-6
    assert d.reason.endswith(".") or d.reason.endswith(").")


@given(scores)
def test_going_both_ways_is_never_promoted_twice(pairs: list[tuple[float, float]]) -> None:
    before, after = zip(*pairs, strict=True)
    loose = GateSettings(0.0, 1.0)
    assert not (decide(flat(before, after), loose).promoted and decide(flat(after, before), loose).promoted)


def test_a_decision_gives_its_reason_without_the_verdict() -> None:
    """For sentences that have said it; the gate's own begin with it, so that they can stand alone."""
    yes = decide(gains(0.2, 0.2), GateSettings())
    no = decide(gains(-0.2, -0.2), GateSettings())
    assert yes.reason == f"Promoted: {yes.why}" and yes.why.startswith("better by 0.200")
    assert no.reason == f"Not promoted: {no.why}" and no.why.startswith("no better")


PROMOTED = decide(gains(0.05, 0.04), LIMITS)


def test_cases_that_go_on_getting_better_confirm_a_version() -> None:
    assert settle(PROMOTED, (), LIMITS) is None
    verdict = settle(PROMOTED, gains(0.06, 0.05, 0.06, 0.05), LIMITS)
    assert verdict is not None and verdict.promoted
    assert verdict.reason.startswith("Confirmed: mean score 0.500 before")
    assert "newly confirmed case" in verdict.reason and "with its 2 held-out cases" in verdict.reason


def test_the_held_out_cases_count_in_a_verdict() -> None:
    """The same new cases: after a strong admission they confirm a version, after a weak one they do not."""
    strong, weak = decide(gains(*[0.05] * 8), LIMITS), decide(gains(0.03, 0.03), LIMITS)
    assert strong.promoted and weak.promoted
    new = gains(0.04, 0.05)
    verdict = settle(strong, new, LIMITS)
    assert verdict is not None and verdict.promoted
    assert settle(weak, new, LIMITS) is None


def test_cases_that_get_worse_take_a_version_back() -> None:
    verdict = settle(PROMOTED, gains(-0.05, -0.06, -0.04, -0.05, -0.05), LIMITS)
    assert verdict is not None and not verdict.promoted
    assert verdict.reason.startswith("Taken back: ")


def test_one_case_that_gets_much_worse_takes_a_version_back() -> None:
    verdict = settle(PROMOTED, gains(0.01, -0.15), LIMITS)
    assert verdict is not None and not verdict.promoted
    assert "case b loses 0.150" in verdict.reason and verdict.case_ids == ("a", "b")


def test_corrections_that_end_lower_take_a_version_back() -> None:
    worse = [PairedCurves(str(n), (0.3, 0.5, 0.8), (0.5, 0.6, 0.7)) for n in range(6)]
    verdict = settle(PROMOTED, worse, GateSettings())
    assert verdict is not None and not verdict.promoted
    assert "after the last correction worse" in verdict.reason


def test_a_version_that_shows_nothing_is_taken_back_when_its_time_is_over() -> None:
    nothing = gains(*([0.002, -0.002] * 5))
    weak = decide(gains(0.03, 0.02), GateSettings(), first=True)
    assert weak.promoted
    assert settle(weak, nothing[:6], LIMITS) is None
    verdict = settle(weak, nothing, LIMITS)
    assert verdict is not None and not verdict.promoted and len(verdict.case_ids) == 10
    assert "too little to keep it" in verdict.reason


@given(st.lists(st.floats(-0.3, 0.3), max_size=14), st.integers(0, 14))
def test_it_makes_no_difference_how_many_cases_come_at_once(values: list[float], cut: int) -> None:
    pairs = gains(*values)
    early = settle(PROMOTED, pairs[:cut], LIMITS)
    whole = settle(PROMOTED, pairs, LIMITS)
    assert early is None or early == whole


def test_a_replay_whose_score_is_no_number_is_left_out() -> None:
    pairs = gains(0.05, 0.05, 0.06, 0.05)
    with_hole = [pairs[0], PairedCurves("x", (0.5,), (math.nan,)), *pairs[1:]]
    assert settle(PROMOTED, with_hole, LIMITS) == settle(PROMOTED, pairs, LIMITS) is not None
