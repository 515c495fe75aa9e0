"""Judging a candidate: each side with its own weights, on the same cases, with the same simulated clicks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tiny_campaign
import torch

import clopa_annotator.training.candidate_evaluation as checking
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.errors import EpisodeCancelled
from clopa_annotator.registry.gate import GateSettings
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.training.candidate_evaluation import HeldOutCase, check_candidate, score_case

model_folder, dataset = tiny_campaign.model_folder, tiny_campaign.dataset
NAME = "encoder.stem.convs.0.norm.weight"


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
    """Give the score of a case by its name and the weight that is in the network; notes the calls."""

    def given(scores: dict[tuple[str, float], float]) -> list[tuple]:
        calls: list[tuple] = []

        def score(model: LoadedModel, case: HeldOutCase, clicks: int, seed: int) -> float:
            calls.append((case.case_id, round(weight(model), 3), clicks, seed))
            return scores[case.case_id, round(weight(model), 3)]

        monkeypatch.setattr(checking, "score_case", score)
        return calls

    return given


def test_every_case_is_scored_with_the_weights_in_use_and_with_the_candidates(model, scored) -> None:
    calls = scored({("a", 2.0): 0.4, ("b", 2.0): 0.5, ("a", 3.0): 0.6, ("b", 3.0): 0.45})
    decision = check_candidate(
        model, cases("a", "b"), delta(model, 2.0), delta(model, 3.0), GateSettings(), clicks=7, seed=11
    )
    assert calls == [("a", 2.0, 7, 11), ("b", 2.0, 7, 11), ("a", 3.0, 7, 11), ("b", 3.0, 7, 11)]
    assert (decision.case_ids, decision.before, decision.after) == (("a", "b"), (0.4, 0.5), (0.6, 0.45))
    assert decision.promoted
    assert weight(model) == 3.0, "left with the candidate's"


def test_the_limits_are_the_ones_that_are_given(model, scored) -> None:
    scored({("a", 2.0): 0.4, ("b", 2.0): 0.5, ("a", 3.0): 0.9, ("b", 3.0): 0.45})
    sides = (delta(model, 2.0), delta(model, 3.0))
    assert not check_candidate(model, cases("a", "b"), *sides, GateSettings(worst_drop=0.01), 1, 1).promoted
    assert not check_candidate(model, cases("a", "b"), *sides, GateSettings(min_gain=0.5), 1, 1).promoted


def test_nothing_held_out_promotes_nothing(model) -> None:
    told: list[tuple[int, int]] = []
    decision = check_candidate(
        model, [], {}, delta(model, 3.0), GateSettings(), 1, 1, lambda *counts: told.append(counts)
    )
    assert not decision.promoted and told == []


def test_progress_is_told_before_the_first_and_after_every_score_and_can_stop_it(model, scored) -> None:
    base = round(weight(model), 3)
    calls = scored({("a", base): 0.4, ("a", 3.0): 0.6})
    told: list[tuple[int, int]] = []
    check_candidate(
        model, cases("a"), {}, delta(model, 3.0), GateSettings(), 1, 1, lambda *counts: told.append(counts)
    )
    assert told == [(0, 2), (1, 2), (2, 2)]

    def stop(done: int, total: int) -> None:
        if done:
            raise EpisodeCancelled("The episode was stopped.")

    calls.clear()
    with pytest.raises(EpisodeCancelled):
        check_candidate(model, cases("a"), {}, delta(model, 3.0), GateSettings(), 1, 1, stop)
    assert len(calls) == 1


def test_a_score_is_the_mean_dice_over_the_first_proposal_and_the_corrections(
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
    score = score_case(model, case, clicks=2, seed=3)
    assert len(shown) == 3 and score == pytest.approx(np.mean(shown))
    assert score_case(model, case, clicks=2, seed=3) == score, "the same clicks again"
