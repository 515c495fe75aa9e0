"""The strategies by name, and the decision of the two-phase curriculum."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest

from clopa_annotator.config import STRATEGIES
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.errors import ConfigError
from clopa_annotator.online.online_settings import OaimsSettings, SparseSettings
from clopa_annotator.strategies import PastEpisode, TwoPhases, get_strategy, strategy_names

PHASES = TwoPhases(least_train=8, least_fall=0.03)


def shallow(train: int, fall: float) -> PastEpisode:
    return PastEpisode("in", train, fall)


def deep(train: int) -> PastEpisode:
    return PastEpisode("all", train, 0.05)


def test_every_name_of_the_design_has_a_strategy() -> None:
    assert set(STRATEGIES) <= set(strategy_names())
    assert len(set(strategy_names())) == len(strategy_names())
    with pytest.raises(ConfigError, match="there are static"):
        get_strategy("magic")


def test_only_static_does_not_learn() -> None:
    assert [n for n in strategy_names() if not get_strategy(n).learns] == ["static"]
    assert get_strategy("static").episode_settings("paper") is None


@pytest.mark.parametrize(("name", "group"), [("clopa-in", "in"), ("clopa-cn", "cn"), ("clopa-2phase", "in")])
def test_the_paper_schedule_changes_nothing_but_the_group(name: str, group: str) -> None:
    assert get_strategy(name).episode_settings("paper") == EpisodeSettings.paper(group)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ConfigError, match="schedule"):
        get_strategy("clopa-in").episode_settings("lazy")


def test_the_first_episode_is_always_shallow() -> None:
    assert not PHASES.is_deep((), train=1000)


@pytest.mark.parametrize(
    ("record", "train", "expected"),
    [
        ((shallow(10, 0.15),), 20, False),  # it pays
        ((shallow(10, 0.15), shallow(20, 0.01)), 30, True),  # it stopped paying
        ((shallow(10, 0.15), shallow(20, -0.02)), 30, True),  # it got worse
        ((shallow(10, float("nan")),), 20, True),  # nothing shows that it pays
        ((shallow(4, 0.01),), 7, False),  # too few cases to go deeper
        ((shallow(10, 0.0), deep(20)), 30, True),  # once deep, deep
        ((shallow(10, 0.0), deep(20), shallow(30, 0.15)), 40, True),
    ],
)
def test_the_curriculum_goes_deeper_when_shallow_stops_paying_and_cases_suffice(
    record: tuple[PastEpisode, ...], train: int, expected: bool
) -> None:
    assert PHASES.is_deep(record, train) is expected


def test_the_second_phase_has_other_parameters_and_a_longer_window() -> None:
    spec = get_strategy("clopa-2phase")
    first = spec.episode_settings("quick", (), 10)
    second = spec.episode_settings("quick", (shallow(10, 0.0),), 20)
    assert first is not None and second is not None and spec.phases is not None
    assert (first.group, second.group) == (spec.phases.shallow, spec.phases.deep)
    assert second.steps == first.steps + spec.phases.longer
    everything = get_strategy("clopa-all").episode_settings("quick")
    assert everything == replace(second, steps=first.steps), "deep is what clopa-all is, but for the window"


def test_thorough_is_quick_with_more_samples_in_pairs_and_fully_augmented() -> None:
    spec = get_strategy("clopa-all")
    quick, thorough = spec.episode_settings("quick"), spec.episode_settings("thorough")
    assert quick is not None and thorough is not None
    samples = [s.epochs * s.updates * s.batch for s in (quick, thorough)]
    assert samples[1] > 10 * samples[0]
    assert (thorough.batch, thorough.augmentation) == (2, 1.0)
    theirs = {"updates": quick.updates, "batch": quick.batch, "augmentation": quick.augmentation}
    assert replace(thorough, **theirs) == quick


def test_a_past_episode_comes_from_its_training_losses() -> None:
    past = PastEpisode.of("in", 12, (0.9, 0.7, 0.65))
    assert (past.group, past.train) == ("in", 12) and past.fall == pytest.approx(0.25)
    assert math.isnan(PastEpisode.of("in", 12, (0.9,)).fall) and math.isnan(PastEpisode.of("in", 12, ()).fall)


def test_settings_of_the_online_part_follow_the_paper_where_it_states_them() -> None:
    oaims, alone = get_strategy("oaims").online, get_strategy("oaims-pi").online
    assert isinstance(oaims, OaimsSettings) and isinstance(alone, OaimsSettings)
    assert oaims.post and oaims.mid and alone.post and not alone.mid
    assert (oaims.loss.alpha, oaims.loss.beta, oaims.loss.sigma_voxels) == (0.7, 200, 3)
    assert oaims.group == "all" and oaims.generated_clicks == 10
    assert oaims.mid_persists and (oaims.generated_at, oaims.second_stage) == ("random", "generated")
    assert alone == replace(oaims, mid=False)
    ours, pi = get_strategy("oaims-ours").online, get_strategy("pi-then-clopa").online
    assert ours == replace(oaims, mid_persists=False, generated_at="deepest", second_stage="all")
    assert pi == get_strategy("oaims-pi-ours").online == replace(ours, mid=False)
    sparse = get_strategy("ia-sa").online
    assert isinstance(sparse, SparseSettings) and sparse.updates >= 10


def test_naming_strategies_does_not_load_torch() -> None:
    code = "import sys, clopa_annotator.strategies; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_strategy_says_what_it_tunes_between_clicks_and_whether_a_case_changes_it() -> None:
    groups = {name: get_strategy(name).online_group for name in strategy_names()}
    assert groups["evosam"] == "last", "the ridge head writes the last convolution only"
    assert groups["oaims"] == groups["oaims-pi"] == groups["ia-sa"] == "all"
    assert groups["clopa-cn"] == groups["static"] == ""
    within = {name for name in strategy_names() if get_strategy(name).learns_within_case}
    assert within == {"oaims", "oaims-ours", "ia-sa", "tsca"}
