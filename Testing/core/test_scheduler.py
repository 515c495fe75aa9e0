"""The scheduler: the paper's known answers, and properties that hold for every campaign."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clopa_annotator.config import CampaignConfig
from clopa_annotator.errors import ConfigError
from clopa_annotator.scheduler import (
    Due,
    SchedulerSettings,
    Share,
    due,
    final,
    interval,
    needed,
    next_is_held_out,
    scheduler_settings,
    whose_turn,
)
from clopa_annotator.types import Split

KNOWN = {
    16: (5, 10, 15),
    31: (7, 14, 21, 28),
    63: (15, 30, 45, 60),
    65: (16, 32, 48, 64),
    130: (32, 64, 96, 128),
    140: (35, 70, 105, 140),
    151: (37, 74, 111, 148),
    240: (60, 120, 180, 240),
}


def roles(settings: SchedulerSettings, cases: int) -> frozenset[int]:
    """Which of the cases 1 to ``cases`` are held out, if none is withdrawn."""
    held_out: set[int] = set()
    for n in range(1, cases + 1):
        share = Share(n - 1 - len(held_out), len(held_out))
        if next_is_held_out(settings, share, share):
            held_out.add(n)
    return frozenset(held_out)


def run(settings: SchedulerSettings, cases: int) -> tuple[list[tuple[int, Split]], Split]:
    """Feed ``cases`` confirmations one at a time; the firings, and the split at the end."""
    fired, split, held_out = [], Split(), roles(settings, cases)
    for n in range(1, cases + 1):
        split = Split(split.train, split.val, (*split.unassigned, n))
        after = due(settings, split, held_out)
        if after is not None:
            fired.append((n, after))
            split = after
    return fired, split


@pytest.mark.parametrize("size", KNOWN)
def test_episodes_fire_at_the_papers_case_counts(size: int) -> None:
    fired, _ = run(SchedulerSettings(size=size), size)
    assert tuple(n for n, _ in fired) == KNOWN[size]


def test_a_campaign_of_130_splits_as_the_paper_says() -> None:
    fired, _ = run(SchedulerSettings(size=130), 130)
    assert [(len(s.train), len(s.val)) for _, s in fired] == [(26, 6), (52, 12), (78, 18), (104, 24)]


def test_each_interval_holds_as_many_out_as_clopa_does_and_the_first_of_all_comes_third() -> None:
    assert roles(SchedulerSettings(size=16), 15) == {3, 10, 15}
    assert roles(SchedulerSettings(size=48), 36) == {3, 12, 23, 24, 35, 36}


def test_where_the_only_held_out_case_was_withdrawn_the_next_one_is_held_out() -> None:
    settings = SchedulerSettings(size=48)
    assert next_is_held_out(settings, given=Share(5, 1), present=Share(5, 0))
    assert not next_is_held_out(settings, given=Share(5, 1), present=Share(5, 1))
    assert not next_is_held_out(settings, given=Share(5, 1), present=Share(1, 0)), "two have to train first"


def test_a_case_gets_the_role_that_it_was_given_whenever_the_episode_starts() -> None:
    settings, held_out = SchedulerSettings(size=48), roles(SchedulerSettings(size=48), 24)
    for stop in range(3, 24):
        after = final(Split(unassigned=tuple(range(1, stop + 1))), held_out)
        assert after is not None and set(after.val) == {n for n in held_out if n <= stop}
        rest = final(Split(after.train, after.val, tuple(range(stop + 1, 25))), held_out)
        assert rest is not None and set(rest.val) == held_out
    assert due(settings, Split(unassigned=(1, 2)), held_out) is None


def test_leftovers_train_only_in_a_final_episode() -> None:
    settings = SchedulerSettings(size=16)
    _, split = run(settings, 16)
    assert split.unassigned == (16,)
    after = final(split, roles(settings, 16))
    assert after is not None
    assert after.unassigned == ()
    assert 16 in after.train
    assert final(after, frozenset()) is None


def test_a_final_episode_needs_two_cases_to_train_on() -> None:
    assert final(Split(unassigned=(1,)), frozenset()) is None
    assert final(Split(unassigned=(1, 2)), frozenset()) == Split(train=(1, 2))
    assert final(Split(unassigned=(1, 2)), frozenset({2})) is None


def test_a_typed_decimal_is_taken_as_that_decimal() -> None:
    assert interval(SchedulerSettings(size=100, k_d=0.29)) == 29
    assert interval(SchedulerSettings(size=1, k_m=0.1)) == 10


def test_with_an_early_start_episodes_follow_each_doubling_until_the_interval() -> None:
    fired, split = run(SchedulerSettings(size=48, first=5), 48)
    assert [n for n, _ in fired] == [5, 10, 20, 32, 44]
    assert [(len(s.train), len(s.val)) for _, s in fired[:2]] == [(4, 1), (9, 1)]
    assert len(split.unassigned) == 4


def test_an_early_start_later_than_the_interval_changes_nothing() -> None:
    early, usual = SchedulerSettings(size=16, first=9), SchedulerSettings(size=16)
    assert [n for n, _ in run(early, 16)[0]] == [n for n, _ in run(usual, 16)[0]]


def test_the_count_of_cases_decides_where_a_case_has_several_masks() -> None:
    settings, split = (
        SchedulerSettings(size=48, first=5),
        Split(tuple(range(8)), (8, 9), tuple(range(10, 20))),
    )
    assert due(settings, split, (), waiting=5, assigned=5) is not None
    assert due(settings, split, (), waiting=4, assigned=5) is None
    assert needed(settings, 5) == 5


def test_a_campaign_says_when_its_first_episode_comes() -> None:
    config = CampaignConfig("c", 48)
    assert scheduler_settings(config) == SchedulerSettings(size=48)
    early = scheduler_settings(replace(config, first_episode=5))
    assert early == SchedulerSettings(size=48, first=5)
    with pytest.raises(ConfigError, match=r"three cases at the earliest.*not after 2"):
        replace(config, first_episode=2)
    with pytest.raises(ConfigError, match=r"3 cases at the earliest.*not after 2"):
        SchedulerSettings(first=2)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"k_d": 0.0}, {"k_d": 1.5}, {"k_m": 0.0}, {"k_m": 1.0}])
def test_settings_out_of_range_are_refused_in_words(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"\."):
        SchedulerSettings(**wrong)  # type: ignore[arg-type]


any_settings = st.builds(
    SchedulerSettings,
    size=st.integers(1, 300),
    k_d=st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0]),
    k_m=st.sampled_from([0.1, 0.2, 0.25, 0.4, 0.5]),
    first=st.sampled_from([0, 3, 5, 40]),
)


@given(any_settings, st.integers(0, 120))
def test_both_sets_only_grow_and_no_case_is_lost(settings: SchedulerSettings, cases: int) -> None:
    fired, split = run(settings, cases)
    last = final(split, roles(settings, cases))
    history = [s for _, s in fired] + ([last] if last else [])
    for before, after in zip([Split(), *history], history, strict=False):
        assert after.train[: len(before.train)] == before.train
        assert after.val[: len(before.val)] == before.val
        assert after.unassigned == ()
        assert len(after.train) >= 2
        assert sorted(after.train + after.val) == list(range(1, len(after.train + after.val) + 1))


@given(any_settings, st.integers(0, 120))
def test_an_episode_never_fires_below_its_threshold(settings: SchedulerSettings, waiting: int) -> None:
    split = Split(unassigned=tuple(range(waiting)))
    if waiting < needed(settings, 0):
        assert due(settings, split, frozenset()) is None


@given(any_settings, st.integers(3, 120))
def test_an_episode_of_three_or_more_holds_a_case_out(settings: SchedulerSettings, waiting: int) -> None:
    after = final(Split(unassigned=tuple(range(1, waiting + 1))), roles(settings, waiting))
    assert after is None or after.val


@given(any_settings, st.integers(1, 120))
def test_the_scheduler_is_a_function_of_its_arguments(settings: SchedulerSettings, waiting: int) -> None:
    split = Split(unassigned=tuple(range(waiting)))
    assert due(settings, split, {1}) == due(settings, split, {1})
    assert roles(settings, waiting) == roles(settings, waiting)


# -- several targets -----------------------------------------------------------------------------------------

SCORES = st.one_of(st.none(), st.floats(0, 1))
DUE = st.builds(Due, st.just(""), SCORES, st.integers(0, 50), st.integers(1, 50))


@given(st.lists(DUE, min_size=1, max_size=6))
def test_without_passing_over_the_one_with_most_to_gain_is_next(targets: list[Due]) -> None:
    named = [replace(target, target=str(n)) for n, target in enumerate(targets)]
    turn = whose_turn(named)
    assert turn is not None and turn.gain == max(target.gain for target in named)
    assert all(0 <= target.gain <= 1 for target in named)
    first = next(target for target in named if target.gain == turn.gain)
    assert turn is first, "between equals the campaign's order decides"


@given(st.lists(st.lists(DUE, min_size=5, max_size=5), min_size=1, max_size=40), st.integers(1, 5))
def test_no_target_starves_whatever_the_others_may_gain(rounds: list[list[Due]], n: int) -> None:
    passed_over = [0] * n
    for offered in rounds:
        named = [replace(offered[k], target=str(k), passed_over=passed_over[k]) for k in range(n)]
        turn = whose_turn(named)
        assert turn is not None
        passed_over = [0 if str(k) == turn.target else passed_over[k] + 1 for k in range(n)]
        assert max(passed_over) <= 2 * n - 1


def test_a_target_that_never_learned_goes_before_one_with_little_left_to_gain() -> None:
    learned, fresh = Due("liver", 0.9, 10, 10), Due("spleen", None, 0, 5)
    assert whose_turn([learned, fresh]) == fresh
    assert whose_turn([learned]) == learned
    assert whose_turn([]) is None
    late = replace(learned, passed_over=2)
    assert whose_turn([fresh, late]) == late, "it was passed over as often as there are targets"


def test_several_masks_of_a_case_are_one_case_that_waits() -> None:
    settings, split = SchedulerSettings(size=8), Split(unassigned=(1, 2, 3, 4, 5))
    assert due(settings, split, frozenset(), waiting=4) is None
    assert due(settings, split, frozenset({5}), waiting=5) == Split((1, 2, 3, 4), (5,))
