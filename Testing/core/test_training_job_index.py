"""Jobs of a campaign that were stopped, killed, ended or given to it twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_campaign
from tiny_campaign import confirm_case, confirm_five, next_job, scores

import clopa_annotator.training.candidate_evaluation as checking
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.episode.folder import read_result
from clopa_annotator.errors import EpisodeError
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.training import job_runner
from clopa_annotator.training.job_runner import run_episode_job
from clopa_annotator.types import GateDecision

model_folder, dataset, campaign = tiny_campaign.model_folder, tiny_campaign.dataset, tiny_campaign.campaign


def test_a_stopped_episode_ends_without_a_version_and_can_be_run_again(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    scores(monkeypatch, before=0.4, after=0.6)
    job = next_job(campaign)
    result, decision = run_episode_job(job, device="cpu", should_stop=lambda: True)
    assert result.status == "cancelled" and not decision.promoted
    assert campaign.adopt(job) is None
    assert campaign.registry.current().number == 0


def test_an_ended_job_is_not_run_twice(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    seen = scores(monkeypatch, before=0.4, after=0.6)
    job = next_job(campaign)
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
    job = next_job(campaign)

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


def test_a_rejected_candidate_is_never_in_the_network(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    scores(monkeypatch, before=0.6, after=0.5)
    job = next_job(campaign)
    run_episode_job(job, device="cpu")
    live = campaign.model.network
    before = {name: p._version for name, p in live.named_parameters()}
    version = campaign.adopt(job)
    assert version is not None and version.decision is not None and not version.decision.promoted
    assert {name: p._version for name, p in live.named_parameters()} == before, "not even for a moment"
    assert campaign.model.version == 0


def test_a_second_candidate_is_compared_with_the_version_in_use(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    weights: list[float] = []
    firsts: list[bool] = []
    check = job_runner.check_candidate

    def score(model: LoadedModel, *_: object) -> tuple[float, ...]:
        weights.append(float(sum(p.detach().double().sum() for p in model.network.parameters())))
        return (0.6 if model.version else 0.4,) * 2

    def noted(*given: Any, first: bool, **named: Any) -> GateDecision:
        firsts.append(first)
        return check(*given, first=first, **named)

    monkeypatch.setattr(checking, "score_case", score)
    monkeypatch.setattr(job_runner, "check_candidate", noted)
    for more in ((), (5, 6, 7)):
        for number in more:
            confirm_case(campaign, dataset, number)
        request = campaign.next_episode(final_one=True)
        assert request is not None
        job = campaign.prepare_job(request)
        run_episode_job(job, device="cpu")
        version = campaign.adopt(job)
        assert version is not None
    assert version.parent == 1
    assert weights[2] == weights[1] != weights[0], "the second one's rival is the first, not the base"
    assert firsts == [True, False]


def test_the_campaigns_limits_decide(
    tmp_path: Path, model_folder: Path, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_campaign.make_episodes_tiny(monkeypatch)
    scores(monkeypatch, before=0.4, after=0.6)
    config = tiny_campaign.tiny_config(model_folder, gate_min_gain=0.3)
    with Campaign.create(tmp_path / "strict", config, device="cpu") as campaign:
        confirm_five(campaign, dataset)
        _, decision = run_episode_job(next_job(campaign), device="cpu")
        assert not decision.promoted and "by more than 0.300" in decision.reason
