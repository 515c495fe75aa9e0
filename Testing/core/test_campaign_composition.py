"""The stages composed: confirm, fire, train in a job folder, check, promote, swap, roll back, reopen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_campaign
import torch
from tiny_campaign import confirm_case, confirm_five, next_job, scores, tiny_config

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.episode.folder import read_job
from clopa_annotator.errors import RegistryError
from clopa_annotator.training.job_runner import run_episode_job
from clopa_annotator.types import PointPrompt

model_folder, dataset, campaign = tiny_campaign.model_folder, tiny_campaign.dataset, tiny_campaign.campaign


def live_weights(campaign: Campaign) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in campaign.model.network.named_parameters()}


def differs(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(first[name], second[name]) for name in first)


def test_nothing_is_due_before_the_fifth_case(campaign: Campaign, dataset: MsdDataset) -> None:
    for number in range(4):
        confirm_case(campaign, dataset, number)
        assert campaign.next_episode() is None
    confirm_case(campaign, dataset, 4)
    request = campaign.next_episode()
    assert request is not None
    assert (request.number, request.at_case, request.parent_version) == (1, 5, 0)
    assert (len(request.split.train), len(request.split.val)) == (4, 1)


def test_a_better_candidate_is_promoted_and_swapped_in(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    seen = scores(monkeypatch, before=0.4, after=0.6)
    base = live_weights(campaign)
    job = next_job(campaign)
    result, decision = run_episode_job(job, device="cpu")
    if result.best_epoch == 0:
        pytest.fail(f"the tiny episode should have changed something: {result}")
    version = campaign.adopt(job)
    assert decision.promoted and version is not None
    assert campaign.registry.current().number == campaign.model.version == version.number == 1
    assert version.licence == campaign.model.licence
    assert differs(base, live_weights(campaign))
    held_out = {ref.case_id for ref in read_job(job).val}
    assert {case for case, _ in seen} == held_out, "the gate looks at held-out cases only"
    assert [e.name for e in campaign.events.since(0)][-2:] == ["swapped", "promoted"]


def test_a_worse_candidate_is_kept_but_never_used(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    scores(monkeypatch, before=0.6, after=0.5)
    base = live_weights(campaign)
    job = next_job(campaign)
    run_episode_job(job, device="cpu")
    version = campaign.adopt(job)
    assert campaign.registry.current().number == 0
    assert not differs(base, live_weights(campaign))
    assert version is None or (version.decision is not None and not version.decision.promoted)


def test_roll_back_restores_the_base_to_the_bit(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    scores(monkeypatch, before=0.4, after=0.6)
    base = live_weights(campaign)
    job = next_job(campaign)
    run_episode_job(job, device="cpu")
    campaign.adopt(job)
    campaign.line().roll_back(0, by="lead")
    assert not differs(base, live_weights(campaign))
    assert campaign.registry.current().number == 0
    campaign.line().roll_back(1, by="lead")
    assert differs(base, live_weights(campaign))


def test_a_campaign_reopens_with_its_weights_and_its_roles(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_five(campaign, dataset)
    scores(monkeypatch, before=0.4, after=0.6)
    job = next_job(campaign)
    run_episode_job(job, device="cpu")
    campaign.adopt(job)
    weights, split = live_weights(campaign), campaign.line().split()
    campaign.close()
    with Campaign.open(campaign.folder, device="cpu") as again:
        assert again.model.version == 1
        assert not differs(weights, live_weights(again))
        assert again.line().split() == split
        assert again.next_episode() is None, "nothing waits"


def test_a_corrected_case_keeps_its_role_and_a_withdrawn_one_leaves(
    campaign: Campaign, dataset: MsdDataset
) -> None:
    confirm_five(campaign, dataset)
    next_job(campaign)
    corrected = confirm_case(campaign, dataset, 2, suffix="-corrected")
    campaign.store.withdraw(dataset[0].case_id, "Ann", "wrong patient")
    split = campaign.line().split()
    assert split.val == (corrected.sequence,)
    assert len(split.train) == 3
    assert split.unassigned == ()


def test_leftovers_train_when_asked(campaign: Campaign, dataset: MsdDataset) -> None:
    for number in range(3):
        confirm_case(campaign, dataset, number)
    assert campaign.next_episode() is None
    request = campaign.next_episode(final_one=True)
    assert request is not None
    assert (len(request.split.train), len(request.split.val)) == (2, 1)


def test_a_static_campaign_never_trains(tmp_path: Path, model_folder: Path, dataset: MsdDataset) -> None:
    config = tiny_config(model_folder, strategy="static")
    with Campaign.create(tmp_path / "static", config, device="cpu") as campaign:
        confirm_five(campaign, dataset)
        assert campaign.next_episode() is None
        assert campaign.next_episode(final_one=True) is None


def test_another_base_model_is_refused(
    campaign: Campaign, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign.close()
    other = tmp_path / "other"
    shutil.copytree(model_folder, other)
    weights = torch.load(other / "fold_0" / "checkpoint_final.pth", weights_only=True)
    weights["network_weights"] = {name: value + 1 for name, value in weights["network_weights"].items()}
    torch.save(weights, other / "fold_0" / "checkpoint_final.pth")
    monkeypatch.setattr("clopa_annotator.models.resolve", lambda name: other)
    with Campaign.open(campaign.folder, device="cpu") as again:
        with pytest.raises(RegistryError, match="not the one that this campaign began with"):
            _ = again.model


def test_sessions_of_a_campaign_answer_with_the_version_in_use(
    campaign: Campaign, dataset: MsdDataset
) -> None:
    image, _ = dataset[0].read()
    with campaign.line().annotating() as session:
        session.set_image(image)
        proposal = session.add_prompt(PointPrompt((9, 10, 11)))
    assert proposal.weights_version == 0
    assert proposal.mask.shape == image.voxels.shape
    assert proposal.mask.dtype == np.uint8


def test_settings_are_in_the_campaign_folder_in_plain_text(campaign: Campaign) -> None:
    text = (campaign.folder / "campaign.json").read_text(encoding="utf-8")
    assert json.loads(text)["settings"]["strategy"] == campaign.config.strategy


def test_whether_masks_are_suggested_is_kept_with_the_campaign(campaign: Campaign) -> None:
    for on in (False, True):
        campaign.set_suggestions(on)
        with Campaign.open(campaign.folder, device="cpu", writer=False) as again:
            assert again.config == campaign.config and again.config.suggestions is on
            assert again.targets == campaign.targets


def test_what_an_online_strategy_learns_passes_the_same_gate(
    tmp_path: Path, model_folder: Path, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, before=0.4, after=0.6)
    config = tiny_config(model_folder, strategy="oaims-pi")
    with Campaign.create(tmp_path / "online", config, device="cpu") as campaign:
        base = live_weights(campaign)
        for number in range(5):
            image, mask = dataset[number].read()
            campaign.store.add_case(dataset[number].case_id, image)
            with campaign.line().annotating() as session:
                session.set_image(image)
                session.add_prompt(PointPrompt((9, 10, 11)))
                campaign.line().learn_from(session, dataset[number].case_id, mask)
                confirm_case(campaign, dataset, number)
        assert campaign.model.version < 0, "learned, but not yet registered"
        job = next_job(campaign)
        run_episode_job(job, device="cpu")
        learned = live_weights(campaign)
        version = campaign.adopt(job)
        assert version is not None and campaign.model.version == version.number == 1
        assert differs(base, learned) and not differs(learned, live_weights(campaign))
        campaign.line().roll_back(0, by="lead")
        assert not differs(base, live_weights(campaign))
