"""Judging a candidate: each side with its own weights, on the same cases, with the same simulated clicks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import tiny_campaign
import torch

import clopa_annotator.training.candidate_evaluation as checking
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.errors import EpisodeCancelled
from clopa_annotator.registry.gate import GateSettings
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.training.candidate_evaluation import (
    Comparing,
    HeldOutCase,
    check_candidate,
    score_case,
)

model_folder, dataset = tiny_campaign.model_folder, tiny_campaign.dataset
NAME = "encoder.stem.convs.0.norm.weight"
ONCE = Comparing(clicks=1, runs=1, seed=1)


@pytest.fixture
def model(model_folder) -> LoadedModel:
    return load_model(model_folder, "cpu")


def cases(*names: str) -> list[HeldOutCase]:
    def read():
        raise AssertionError("the scores are given")

    return [HeldOutCase(name, read) for name in names]


def weight(model: LoadedModel) -> float:
    return float(dict(model.network.named_parameters())[NAME][0].detach())


def delta(model: LoadedModel, value: float) -> dict[str, torch.Tensor]:
    return {NAME: torch.full_like(model.base[NAME], value)}


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[tuple[str, float], float]], list[tuple]]:
    """Give every point of a case's curve by its name and the weight in the network; notes the calls."""

    def given(scores: dict[tuple[str, float], float]) -> list[tuple]:
        calls: list[tuple] = []

        def score(
            model: LoadedModel, case: HeldOutCase, clicks: int, seed: int, run: int
        ) -> tuple[float, ...]:
            calls.append((case.case_id, round(weight(model), 3), clicks, seed, run))
            return (scores[case.case_id, round(weight(model), 3)],) * (clicks + 1)

        monkeypatch.setattr(checking, "score_case", score)
        return calls

    return given


def test_every_case_is_scored_with_the_weights_in_use_and_with_the_candidates(model, scored) -> None:
    calls = scored({("a", 2.0): 0.4, ("b", 2.0): 0.5, ("a", 3.0): 0.5, ("b", 3.0): 0.625})
    how = Comparing(clicks=7, runs=2, seed=11)
    decision = check_candidate(
        model, cases("a", "b"), delta(model, 2.0), delta(model, 3.0), GateSettings(), how
    )
    each = [(name, value) for value in (2.0, 3.0) for name in ("a", "b")]
    assert calls == [(*case, 7, 11, run) for case in each for run in (0, 1)]
    assert (decision.case_ids, decision.before, decision.after) == (("a", "b"), (0.4, 0.5), (0.5, 0.625))
    assert decision.promoted
    assert weight(model) == 3.0, "left with the candidate's"


def test_the_limits_are_the_ones_that_are_given(model, scored) -> None:
    many = "abcdefghi"
    after = {name: 0.6 if name != "i" else 0.38 for name in many}
    scored({**{(n, 2.0): 0.4 for n in many}, **{(n, 3.0): after[n] for n in many}})
    sides = (delta(model, 2.0), delta(model, 3.0))
    for settings, promoted in (
        (GateSettings(), True),
        (GateSettings(worst_drop=0.01), False),
        (GateSettings(min_gain=0.5), False),
    ):
        assert check_candidate(model, cases(*many), *sides, settings, ONCE).promoted is promoted


def test_nothing_held_out_promotes_nothing(model) -> None:
    told: list[tuple[int, int]] = []
    decision = check_candidate(
        model, [], {}, delta(model, 3.0), GateSettings(), ONCE, on_case=lambda *counts: told.append(counts)
    )
    assert not decision.promoted and told == []


def test_progress_is_told_before_the_first_and_after_every_score_and_can_stop_it(model, scored) -> None:
    base = round(weight(model), 3)
    calls = scored({("a", base): 0.4, ("a", 3.0): 0.6})
    told: list[tuple[int, int]] = []
    sides = ({}, delta(model, 3.0))
    check_candidate(
        model, cases("a"), *sides, GateSettings(), ONCE, on_case=lambda *counts: told.append(counts)
    )
    assert told == [(0, 2), (1, 2), (2, 2)]

    def stop(done: int, total: int) -> None:
        if done:
            raise EpisodeCancelled("The episode was stopped.")

    calls.clear()
    with pytest.raises(EpisodeCancelled):
        check_candidate(model, cases("a"), *sides, GateSettings(), ONCE, on_case=stop)
    assert len(calls) == 1


def test_a_curve_is_the_dice_of_the_first_proposal_and_after_each_correction(
    model, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted again from the masks that the session showed."""
    image, mask = dataset[0].read()
    shown: list[float] = []
    run_case = checking.run_case

    def noted(session, image, reference, annotator, settings):
        run = run_case(session, image, reference, annotator, settings)
        shown.extend(run.dice)
        return run

    monkeypatch.setattr(checking, "run_case", noted)
    case = HeldOutCase("case", lambda: (image, mask))
    curve = score_case(model, case, clicks=2, seed=3)
    assert len(shown) == 3 and curve == tuple(shown)
    assert score_case(model, case, clicks=2, seed=3) == curve, "the same clicks again"
