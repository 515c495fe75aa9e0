"""The rule behind the gate: a belief that is worked out by hand, and what it says with few and many cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from clopa_annotator.errors import ConfigError
from clopa_annotator.registry.evidence import Belief, Evidence, Rule, Tally


def same(*values: float) -> Evidence:
    """The three differences of each case are equal."""
    tally = Tally.of(values)
    return Evidence(tally, tally, tally)


def test_the_belief_is_the_conjugate_posterior() -> None:
    belief, values = Belief(0.02, 0.5, 0.04, 6.0), np.array([0.03, 0.07, -0.01])
    n, mean = 3, values.mean()
    weight = 0.5 + n
    centre = (0.5 * 0.02 + n * mean) / weight
    squares = 6 * 0.04**2 + ((values - mean) ** 2).sum() + 0.5 * n / weight * (mean - 0.02) ** 2
    scale = math.sqrt(squares / (6 + n) / weight)
    expected = stats.t.sf(0.01, 6 + n, centre, scale)
    assert float(belief.chance_above(Tally.of(values), 0.01)) == pytest.approx(expected)


def test_tallies_add_up() -> None:
    both, parts = Tally.of([0.1, 0.2, 0.3]), Tally.of([0.1]) + Tally.of([0.2, 0.3])
    assert both.n == parts.n and both.total == pytest.approx(parts.total)
    assert both.squares == pytest.approx(parts.squares)


def test_many_candidates_are_judged_at_once_as_one_by_one() -> None:
    differences = np.random.default_rng(0).normal(0.02, 0.04, (50, 4))
    rule = Rule()
    tally = Tally.of(differences)
    together = rule.admits(Evidence(tally, tally, tally))
    assert [bool(a) for a in together] == [bool(rule.admits(same(*row))) for row in differences]
    assert together.any() and not together.all()


def test_more_cases_of_the_same_gain_make_it_more_probable() -> None:
    rule = Rule()
    chances = [float(rule.gains(same(*([0.02, 0.03] * n)))) for n in (1, 2, 4, 8)]
    assert chances == sorted(chances) and chances[-1] > 0.99


def test_without_a_case_nothing_is_known() -> None:
    assert float(Belief().chance_above(Tally(0, np.float64(0), np.float64(0)))) == pytest.approx(0.5)


def test_before_its_time_only_clear_evidence_settles() -> None:
    rule = Rule()
    some = same(0.03, 0.02, 0.03)
    assert int(rule.standing(some, 3)) == 0
    assert int(rule.standing(same(*[0.03, 0.02, 0.03] * 4), rule.probation)) == 1
    assert int(rule.standing(same(*[0.05] * 8), 4)) == 1
    assert int(rule.standing(same(*[-0.05] * 4), 2)) == -1
    assert int(rule.standing(same(0.01, -0.01), 2)) == 0
    assert int(rule.standing(same(0.01, -0.01), rule.probation)) == -1


@pytest.mark.parametrize("wrong", [{"enter": 1.5}, {"settle": -0.1}, {"probation": 0}, {"margin": -1.0}])
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Rule(**wrong)  # type: ignore[arg-type]
