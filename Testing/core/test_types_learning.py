"""Values of learning: a decision's numbers are those of its pairs."""

from __future__ import annotations

import math

import pytest

from clopa_annotator.types.learning import EpisodeRequest, GateDecision, Split, WeightsVersion

DECISION = GateDecision(True, "Promoted: better.", ("a", "b"), (0.5, 0.9), (0.8, 0.7))


def test_means_and_worst_change_are_over_the_pairs() -> None:
    assert DECISION.mean_before == pytest.approx(0.7) and DECISION.mean_after == pytest.approx(0.75)
    assert DECISION.worst_change == pytest.approx(-0.2)


def test_without_pairs_there_is_no_number() -> None:
    empty = GateDecision(False, "Not promoted: no confirmed case is held out yet.")
    assert all(math.isnan(n) for n in (empty.mean_before, empty.mean_after, empty.worst_change))


@pytest.mark.parametrize(
    ("reason", "why"),
    [("Promoted: better.", "better."), ("Not promoted: worse.", "worse."), ("It failed.", "It failed.")],
)
def test_a_reason_without_its_verdict_is_the_rest_of_it(reason: str, why: str) -> None:
    assert GateDecision(False, reason).why == why


def test_two_orders_with_the_same_roles_are_the_same_order() -> None:
    first, second = (EpisodeRequest(1, 5, Split((1, 2), (3,)), seed=7) for _ in range(2))
    assert first == second and hash(first) == hash(second)


def test_a_version_without_an_episode_or_a_decision_says_so() -> None:
    base = WeightsVersion(0, None, "ab" * 32, "CC BY")
    assert (base.parent, base.episode, base.decision, base.delta_file) == (None, None, None, None)
