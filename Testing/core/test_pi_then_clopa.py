"""PI between episodes: the next episode starts from what it learned, the gate compares with the registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import tiny_campaign
import torch
from tiny_campaign import confirm_case, make_episodes_tiny, next_job, tiny_config, tiny_dataset

from clopa_annotator import strategies
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.delta import unpack_delta
from clopa_annotator.episode.folder import read_job, read_result
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings, run_case
from clopa_annotator.training import candidate_evaluation
from clopa_annotator.training.job_runner import run_episode_job
from clopa_annotator.types import Confirmation, GateDecision, PairedCurves

model_folder = tiny_campaign.model_folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> MsdDataset:
    return tiny_dataset(tmp_path_factory.mktemp("dataset"), 10)


def annotate(campaign: Campaign, dataset: MsdDataset, number: int) -> None:
    """Click on a case, let the strategy learn from it, confirm it."""
    case = dataset[number]
    image, mask = case.read()
    campaign.store.add_case(case.case_id, image)
    annotator = SimulatedAnnotator(case_rng(0, 0, case.case_id))
    with campaign.line().annotating() as session:
        run_case(session, image, mask, annotator, ProtocolSettings(clicks=1, keep=()))
        campaign.line().learn_from(session, case.case_id, mask)
        campaign.confirm(Confirmation(f"id-{number}", case.case_id, mask, annotator="Ann"))


def a_campaign(folder: Path, model: Path, **changes: object) -> Campaign:
    config = tiny_config(model, strategy="pi-then-clopa", **{"size": 5, **changes})
    return Campaign.create(folder, config, device="cpu")


def open_the_gate(patch: pytest.MonkeyPatch) -> None:
    """Promote whatever was compared: a tiny network's gains are chance."""

    def decide(pairs: Sequence[PairedCurves], _: object, **__: object) -> object:
        names, before, after = zip(*((p.case_id, p.before[0], p.after[0]) for p in pairs), strict=True)
        return GateDecision(True, "For the test.", names, before, after)

    patch.setattr(candidate_evaluation, "decide", decide)


def live(campaign: Campaign) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in campaign.model.network.named_parameters()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[n], b[n]) for n in a)


def test_an_episode_starts_from_pis_weights_and_is_compared_with_the_registered_ones(
    tmp_path: Path, model_folder: Path, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_episodes_tiny(monkeypatch)
    open_the_gate(monkeypatch)
    with a_campaign(tmp_path / "c", model_folder) as campaign:
        for number in range(5):
            annotate(campaign, dataset, number)
        learned = live(campaign)
        assert campaign.model.version < 0 and not same(learned, campaign.model.base_state())
        request = campaign.next_episode()
        assert request is not None and request.parent_version == 0
        job = campaign.prepare_job(request)
        order = read_job(job)
        assert order.parent_path is None, "the gate compares with version 0, the base"
        assert order.start_path is not None and read_result(job) is None, "the episode still has to train"
        _, start = unpack_delta(order.start_path.read_bytes())
        assert start and all(torch.equal(learned[n], v) for n, v in start.items())
        result, decision = run_episode_job(job, device="cpu")
        assert result.status == "finished", result.reason
        version = campaign.adopt(job)
        assert version is not None and decision.promoted and version.parent == 0
        assert campaign.model.version == version.number == 1
        promoted = live(campaign)
        annotate(campaign, dataset, 5)
        history = campaign.online.history if campaign.online else ()
        assert history[-1].parent_version == 1, "PI goes on from the promoted version"
        assert not same(live(campaign), promoted)


def test_pis_weights_are_a_candidate_even_if_no_epoch_is_better(
    tmp_path: Path, model_folder: Path, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_episodes_tiny(monkeypatch)
    open_the_gate(monkeypatch)
    hopeless = (("learning_rate", 1e-12), ("weight_decay", 0.0), ("keep", "best"))
    spec = strategies.get_strategy("pi-then-clopa")
    changed = strategies.StrategySpec(spec.name, "", "all", hopeless, online=spec.online)
    monkeypatch.setattr(strategies, "SPECS", (changed,))
    with a_campaign(tmp_path / "c", model_folder) as campaign:
        for number in range(5):
            annotate(campaign, dataset, number)
        learned = live(campaign)
        job = next_job(campaign)
        result, decision = run_episode_job(job, device="cpu")
        assert result.best_epoch == 0 and decision.promoted and len(decision.after) == 1
        campaign.adopt(job)
        torch.testing.assert_close(live(campaign), learned, rtol=0, atol=1e-6)


def test_a_rejection_takes_back_what_pi_learned(
    tmp_path: Path, model_folder: Path, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_episodes_tiny(monkeypatch)
    with a_campaign(tmp_path / "c", model_folder, gate_min_gain=1.0) as campaign:
        for number in range(5):
            annotate(campaign, dataset, number)
        job = next_job(campaign)
        _, decision = run_episode_job(job, device="cpu")
        assert not decision.promoted
        campaign.adopt(job)
        assert same(live(campaign), campaign.model.base_state())


def test_where_pi_has_learned_nothing_an_episode_starts_from_its_parent(
    tmp_path: Path, model_folder: Path, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_episodes_tiny(monkeypatch)
    with a_campaign(tmp_path / "c", model_folder) as campaign:
        for number in range(5):
            confirm_case(campaign, dataset, number)
        order = read_job(next_job(campaign))
        assert not order.has_start and order.start_path is None
