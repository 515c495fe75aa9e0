"""Jobs of a campaign that were stopped, killed, ended or given to it twice."""

from __future__ import annotations

import pytest
import tiny_campaign
from tiny_campaign import confirm_five, scores

import clopa_annotator.training.candidate_evaluation as checking
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.episode.folder import read_result
from clopa_annotator.errors import EpisodeError
from clopa_annotator.training.job_runner import run_episode_job

model_folder, dataset, campaign = tiny_campaign.model_folder, tiny_campaign.dataset, tiny_campaign.campaign


def test_a_stopped_episode_ends_without_a_version_and_can_be_run_again(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    scores(monkeypatch, before=0.4, after=0.6)
    request = campaign.next_episode()
    assert request is not None
    job = campaign.prepare_job(request)
    result, decision = run_episode_job(job, device="cpu", should_stop=lambda: True)
    assert result.status == "cancelled" and not decision.promoted
    assert campaign.adopt(job) is None
    assert campaign.registry.current().number == 0


def test_an_ended_job_is_not_run_twice(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    seen = scores(monkeypatch, before=0.4, after=0.6)
    request = campaign.next_episode()
    assert request is not None
    job = campaign.prepare_job(request)
    first = run_episode_job(job, device="cpu")
    scored = len(seen)
    assert run_episode_job(job, device="cpu") == first
    assert len(seen) == scored
    version = campaign.adopt(job)
    assert campaign.adopt(job) == version, "adopting twice gives the same version"
    assert len(campaign.registry.versions()) == 2


def test_a_check_that_was_killed_is_done_again(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    request = campaign.next_episode()
    assert request is not None
    job = campaign.prepare_job(request)

    def killed(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "score_case", killed)
    with pytest.raises(KeyboardInterrupt):
        run_episode_job(job, device="cpu")
    ended = read_result(job)
    assert ended is not None and ended[1] is None, "trained, not checked"
    with pytest.raises(EpisodeError, match="not been checked"):
        campaign.adopt(job)
    scores(monkeypatch, before=0.4, after=0.6)
    assert run_episode_job(job, device="cpu")[1].promoted


def test_adopting_a_job_that_runs_is_refused(campaign: Campaign, dataset: MsdDataset) -> None:
    confirm_five(campaign, dataset)
    request = campaign.next_episode()
    assert request is not None
    with pytest.raises(EpisodeError, match="has not ended"):
        campaign.adopt(campaign.prepare_job(request))
