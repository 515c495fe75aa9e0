"""An episode's job folder taken up again: by an engine, by a person, after other weights came into use."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_campaign
from tiny_campaign import confirm_case, next_job

import clopa_annotator.training.candidate_evaluation as checking
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.episode.folder import read_result
from clopa_annotator.episode.progress import Progress
from clopa_annotator.errors import EpisodeError
from clopa_annotator.training.job_index import hold_back_if_overtaken
from clopa_annotator.training.job_runner import run_episode_job
from clopa_annotator.training.signals import CANCEL, OWNER, TRAINER, ProcessId, write_process
from clopa_annotator.training.trainer_process import run_by_hand

model_folder, dataset, campaign = tiny_campaign.model_folder, tiny_campaign.dataset, tiny_campaign.campaign


def prepared(campaign: Campaign, dataset: MsdDataset) -> Path:
    """The first episode's job folder."""
    for number in range(5):
        confirm_case(campaign, dataset, number)
    return next_job(campaign)


def better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gate see that the candidate is better."""
    monkeypatch.setattr(checking, "score_case", lambda model, *_: (0.6 if model.version else 0.4,))


def test_a_cancelled_episode_goes_on_only_when_a_person_wants_it(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    better(monkeypatch)
    job = prepared(campaign, dataset)
    epochs: list[int] = []
    cancelled, _ = run_episode_job(
        job,
        device="cpu",
        should_stop=lambda: len(epochs) > 1,
        on_progress=lambda line: epochs.append(line.epoch),
    )
    assert cancelled.status == "cancelled"
    assert run_episode_job(job, device="cpu")[0].status == "cancelled", "not by itself"
    (job / CANCEL).touch()
    write_process(job / OWNER, ProcessId(1, 0.0))
    told = []
    result, decision = run_by_hand(job, "cpu", told.append)
    assert result.status == "finished" and decision.promoted
    assert told[0].phase == "resumed", "it starts at its last complete epoch"
    assert [line.note for line in told if line.phase == "checking"] == [
        "Held-out case 1 of 1 with the weights in use.",
        "Held-out case 1 of 1 with the weights that were learned.",
        "",
    ]
    assert not (job / CANCEL).exists()
    assert campaign.adopt(job).number == 1


def test_an_episode_that_was_cancelled_while_it_was_checked_is_not_trained_again(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    better(monkeypatch)
    job = prepared(campaign, dataset)
    checks: list[str] = []

    def note(line: Progress) -> None:
        if line.phase == "checking":
            checks.append(line.note)

    cancelled, _ = run_episode_job(job, device="cpu", should_stop=lambda: bool(checks), on_progress=note)
    assert cancelled.status == "cancelled" and "checked" in cancelled.reason
    told = []
    _, decision = run_by_hand(job, "cpu", told.append)
    assert decision.promoted
    assert {line.phase for line in told} == {"checking"}


def test_an_episode_that_a_process_is_working_on_is_refused(campaign: Campaign, dataset: MsdDataset) -> None:
    job = prepared(campaign, dataset)
    write_process(job / TRAINER, ProcessId.of())
    with pytest.raises(EpisodeError, match="is working on this episode already"):
        run_by_hand(job, "cpu")


def test_a_candidate_that_was_compared_with_other_weights_than_those_in_use_is_held_back(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    better(monkeypatch)
    job = prepared(campaign, dataset)
    assert run_episode_job(job, device="cpu")[1].promoted
    hold_back_if_overtaken(job, current=0)
    assert read_result(job)[1].promoted
    hold_back_if_overtaken(job, current=3)
    assert not read_result(job)[1].promoted
    version = campaign.adopt(job)
    assert "compared with version 0, and meanwhile version 3" in version.decision.reason
    assert campaign.registry.current().number == 0
