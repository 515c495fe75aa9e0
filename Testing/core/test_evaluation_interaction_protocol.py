"""The protocol on stub sessions whose every answer is known, and its numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from clopa_annotator.errors import ConfigError, InputError
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.curves import interactions_to, nauc, summarise_versions
from clopa_annotator.evaluation.interaction_protocol import (
    CaseCurve,
    ProtocolSettings,
    average_runs,
    run_case,
    summarise,
)
from clopa_annotator.evaluation.rows import EpisodeSummary, versions_in_use
from clopa_annotator.evaluation.trajectory import Trajectory, average, make_trajectory
from clopa_annotator.geometry import Geometry
from clopa_annotator.testing.fake_session import FakeSession
from clopa_annotator.types import Image, Proposal

NAN = math.nan
REFERENCE = np.zeros((4, 4, 4), np.uint8)
REFERENCE[1:3, 1:3, 1:3] = 1
IMAGE = Image(np.arange(64, dtype=np.float32).reshape(4, 4, 4), Geometry((4, 4, 4)))


class Script:
    """A session that proposes the first ``n`` voxels of the reference, for each ``n`` of a list in turn."""

    def __init__(self, *sizes):
        self.sizes = list(sizes)
        self.prompts = []

    def set_image(self, image):
        self.prompts = []

    def add_prompts(self, prompts):
        mask = np.zeros(64, np.uint8)
        mask[np.flatnonzero(REFERENCE)[: self.sizes[len(self.prompts)]]] = 1
        self.prompts.append(tuple(prompts))
        return Proposal(mask.reshape(4, 4, 4), None, weights_version=7, revision=len(self.prompts))


def annotate(session, clicks=4, **settings):
    annotator = SimulatedAnnotator(case_rng(0, 0, "a"))
    return run_case(session, IMAGE, REFERENCE, annotator, ProtocolSettings(clicks, **settings), case_id="a")


def curve(dice, case="a", run=0, version=0, nsd=None):
    nsd = tuple(nsd) if nsd is not None else (NAN,) * len(dice)
    return CaseCurve(case, run, version, tuple(dice), nsd, (0.1,) * len(dice), len(dice) - 1)


def test_a_case_gets_the_initial_prompt_and_then_every_click():
    session = Script(0, 2, 4, 4, 6)
    result = annotate(session)
    assert result.dice == pytest.approx((0, 2 * 2 / 10, 2 * 4 / 12, 2 * 4 / 12, 2 * 6 / 14))
    assert result.used == result.clicks == 4
    assert [len(given) for given in session.prompts] == [2, 1, 1, 1, 1], "no false positives to click on"
    assert len(result.prompts) == 6 and result.prompts[0].at_s == 0.0
    assert (result.case_id, result.version) == ("a", 7)
    assert all(math.isnan(v) for v in result.nsd), "without a tolerance there is no NSD"


def test_a_perfect_proposal_ends_the_clicking_and_its_value_is_repeated():
    session = Script(4, 8)
    result = annotate(session, tolerance_mm=1.0)
    assert result.dice == pytest.approx((2 / 3, 1, 1, 1, 1))
    assert result.nsd[1:] == (1, 1, 1, 1)
    assert result.seconds[2:] == (0, 0, 0)
    assert (result.used, len(session.prompts)) == (1, 2)


def test_the_stream_stops_once_a_proposal_is_strictly_above_the_threshold():
    assert annotate(Script(4, 6, 7), stop_above_dice=2 * 6 / 14).used == 2
    assert annotate(Script(8), stop_above_dice=0.5).used == 0


def test_proposals_are_kept_as_asked():
    assert set(annotate(Script(1, 2, 3, 4, 5)).proposals) == {0, 4}
    assert set(annotate(Script(1, 2, 3, 4, 5), keep=(1, 3)).proposals) == {1, 3}
    early = annotate(Script(4, 8))
    assert set(early.proposals) == {0, 1} and np.array_equal(early.final_mask, REFERENCE)
    assert annotate(Script(1, 2, 3, 4, 5), keep=()).final_mask is None


def test_no_corrections_at_all_score_the_initial_prompt_only():
    result = annotate(Script(4), clicks=0)
    assert result.dice == pytest.approx((2 / 3,)) and nauc(result.dice) == pytest.approx(2 / 3)


def test_an_empty_reference_is_perfect_as_soon_as_nothing_is_proposed():
    empty = np.zeros_like(REFERENCE)
    annotator = SimulatedAnnotator(case_rng(0, 0, "empty"))
    result = run_case(Script(3, 0), IMAGE, empty, annotator, ProtocolSettings(3, tolerance_mm=1.0))
    assert result.dice == (0, 1, 1, 1) and result.used == 1
    assert result.nsd[0] == 0 and all(math.isnan(v) for v in result.nsd[1:])


def test_the_fake_session_gives_the_same_curve_twice():
    rng = np.random.default_rng(0)
    reference = np.zeros((12, 14, 16), np.uint8)
    reference[3:9, 4:10, 5:12] = 1
    image = Image(reference * 100.0 + rng.normal(0, 5, reference.shape), Geometry(reference.shape))

    def once(run):
        annotator = SimulatedAnnotator(case_rng(1, run, "x"))
        settings = ProtocolSettings(5, tolerance_mm=1.0)
        return run_case(FakeSession(radius=3), image, reference, annotator, settings, case_id="x", run=run)

    assert (once(0).dice, once(0).nsd) == (once(0).dice, once(0).nsd)
    assert once(0).dice != once(1).dice
    assert once(0).dice[-1] > once(0).dice[0]


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="must not be negative"):
        ProtocolSettings(clicks=-1)
    with pytest.raises(ConfigError, match="must not be negative"):
        ProtocolSettings(tolerance_mm=-0.5)


def test_area_under_the_curve_is_the_trapezoid_over_the_number_of_edits():
    assert nauc((0.0, 1.0)) == 0.5
    assert nauc((0.2, 0.6, 0.8)) == pytest.approx((0.4 + 0.7) / 2)
    with pytest.raises(InputError, match="without a single score"):
        nauc(())


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ((0.95, 0.95, 0.95), (1, False)),
        ((0.5, 0.9, 0.91), (3, False)),  # 0.9 is not strictly above
        ((0.5, 0.6, 0.9), (3, True)),
        ((0.5, 0.95, 0.2), (2, False)),  # first time counts, even if lost again
    ],
)
def test_interactions_count_the_initial_prompt_as_one(dice, expected):
    assert interactions_to(dice, 0.9) == expected


def test_a_table_row_is_what_one_works_out_by_hand():
    row = summarise([curve((0.4, 0.95), nsd=(0.5, 0.7)), curve((0.6, 0.8), "b", nsd=(0.3, 0.5))], 0.9)
    assert (row.n, row.dice_init, row.dice_final) == (2, pytest.approx(0.5), pytest.approx(0.875))
    assert row.dice_nauc == pytest.approx((0.675 + 0.7) / 2)
    assert (row.nsd_init, row.nsd_final) == (pytest.approx(0.4), pytest.approx(0.6))
    assert (row.noi, row.nnoi, row.nof) == (2.0, 1.0, 50.0)


def test_without_a_threshold_the_counts_are_left_out():
    row = summarise([curve((0.4, 0.95))])
    assert math.isnan(row.noi) and math.isnan(row.nnoi) and math.isnan(row.nof)


def test_cases_without_a_surface_are_left_out_of_the_mean_nsd():
    row = summarise([curve((1, 1), nsd=(NAN, NAN)), curve((1, 1), "b", nsd=(0.2, 0.4))])
    assert (row.nsd_init, row.nsd_final) == (0.2, 0.4)


def test_the_two_ways_of_averaging_runs_differ_as_in_the_paper():
    # Run 0 gets above 0.5 at once, run 1 only at the second click; their mean (0.5, 0.5, 0.7) at click 2.
    runs = [curve((0.6, 0.6, 0.6), run=0), curve((0.4, 0.4, 0.8), run=1)]
    assert summarise(runs, 0.5, "curves-first").noi == 3.0
    assert summarise(runs, 0.5).noi == summarise(runs, 0.5, "per-run").noi == (1 + 3) / 2
    assert summarise(runs, 0.5).n == summarise(runs, 0.5, "per-run").n == 1
    (mean,) = average_runs(runs)
    assert mean.dice == pytest.approx((0.5, 0.5, 0.7)) and mean.run == -1


def test_versions_get_a_row_each_the_base_first():
    rows = summarise_versions([curve((0.9,), version=2), curve((0.1,), version=0)])
    assert [(r.version, r.dice_init) for r in rows] == [(0, 0.1), (2, 0.9)]


def test_curves_that_do_not_belong_together_are_refused():
    with pytest.raises(InputError, match="same number of clicks"):
        summarise([curve((0.1, 0.2)), curve((0.1,), "b")])
    with pytest.raises(InputError, match="one weights version"):
        summarise([curve((0.1,)), curve((0.1,), "b", version=1)])
    with pytest.raises(InputError):
        summarise([])


def test_a_trajectory_steps_when_a_version_is_made():
    trajectory = make_trajectory(5, {0: 0.2, 1: 0.6, 2: 0.8}, ((2, 1), (5, 2)))
    assert trajectory.values == (0.2, 0.6, 0.6, 0.6, 0.8)
    assert trajectory.area == pytest.approx((0.4 + 0.6 + 0.6 + 0.7) / 4)
    assert trajectory.cases_to(0.6) == 2, "reaching is enough"
    assert trajectory.cases_to(0.61) == 5
    assert trajectory.cases_to(0.9) is None
    assert trajectory.cases_to(0.2) == 0, "the base does already"


def test_a_stream_of_one_case_has_its_only_value_as_area():
    assert Trajectory(1, 0.3).area == 0.3
    assert Trajectory(1, 0.3, ((1, 0.7),)).area == 0.7


def test_trajectories_average_over_permutations():
    mean = average([Trajectory(4, 0.2, ((2, 0.6),)), Trajectory(4, 0.2, ((3, 0.8),))])
    assert mean.values == pytest.approx((0.2, 0.4, 0.7, 0.7))
    with pytest.raises(ConfigError, match="one length"):
        average([Trajectory(4, 0.2), Trajectory(5, 0.2)])
    with pytest.raises(ConfigError, match="one length"):
        average([])


def test_steps_outside_the_stream_are_refused():
    with pytest.raises(ConfigError, match="between 1 and the number of cases"):
        Trajectory(3, 0.1, ((4, 0.2),))


def test_a_trajectory_goes_back_where_a_version_was_taken_back() -> None:
    row = EpisodeSummary(version=1, at_case=2, train=1, val=1, seconds=0, updates=0, promoted=True)
    taken_back = replace(row, taken_back_at=4, returned_to=0)
    second = replace(row, version=2, at_case=4)
    assert versions_in_use((taken_back, second)) == ((2, 1), (4, 0), (4, 2))
    assert versions_in_use((replace(row, promoted=False),)) == ()
    trajectory = make_trajectory(5, {0: 0.2, 1: 0.1}, versions_in_use((taken_back,)))
    assert trajectory.values == (0.2, 0.1, 0.1, 0.2, 0.2)
