"""A held-out case never trains, and is what a candidate is judged by: each place where that could slip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_campaign
import tiny_episode
import torch
from tiny_campaign import confirm_case, confirm_five, tiny_config
from tiny_episode import PATCH, QUICK, run, tiny_job, tiny_reader

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.episode.folder import read_job
from clopa_annotator.episode.sampling import Sampler, plan
from clopa_annotator.episode.training_cases import CaseSource
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings
from clopa_annotator.experiments.measurement import Clicking, annotate
from clopa_annotator.scheduler import SchedulerSettings
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.training import job_runner as trainer_module
from clopa_annotator.training.candidate_evaluation import Comparing
from clopa_annotator.training.job_runner import run_episode_job
from clopa_annotator.training.roles import ROLES, RoleBook
from clopa_annotator.types import CaseRef, EpisodeResult, PointPrompt

model_folder, dataset, campaign = tiny_campaign.model_folder, tiny_campaign.dataset, tiny_campaign.campaign
loaded = tiny_episode.loaded


class NotedSource(CaseSource):
    """Notes whose region is read."""

    def __init__(self) -> None:
        super().__init__(tiny_reader(), 0, 7)
        self.read: set[str] = set()

    def region(self, ref: CaseRef, bounds):  # type: ignore[no-untyped-def]
        self.read.add(ref.case_id)
        return super().region(ref, bounds)


def read_by(sampler: Sampler, source: NotedSource, validation: bool) -> set[str]:
    source.read.clear()
    for place in plan(replace(QUICK, epochs=3), sampler.val_batches, -1):
        if place.validation == validation:
            sampler.batch(place)
    return set(source.read)


def test_training_reads_no_held_out_case_and_validation_nothing_else() -> None:
    source, refs = NotedSource(), tiny_reader().refs
    sampler = Sampler(source, refs[:3], refs[3:], QUICK, PATCH, seed=7)
    assert read_by(sampler, source, validation=False) == {"case 1", "case 2", "case 3"}
    assert read_by(sampler, source, validation=True) == {"case 4", "case 5"}


def test_an_episode_is_given_the_orders_roles(
    tmp_path: Path, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[list[int], list[int]]] = []

    class Noted(Sampler):
        def __init__(self, source, train, val, *more, **named) -> None:  # type: ignore[no-untyped-def]
            given.append(([ref.sequence for ref in train], [ref.sequence for ref in val]))
            super().__init__(source, train, val, *more, **named)

    monkeypatch.setattr("clopa_annotator.episode.job.Sampler", Noted)
    assert run(tiny_job(tmp_path / "job", train=(1, 3, 4), val=(2, 5)), loaded).status == "finished"
    assert given == [([1, 3, 4], [2, 5])]


def test_a_job_orders_the_roles_that_the_scheduler_gave(campaign: Campaign, dataset: MsdDataset) -> None:
    confirm_five(campaign, dataset)
    request = campaign.next_episode()
    assert request is not None
    order = read_job(campaign.prepare_job(request))
    assert tuple(ref.sequence for ref in order.train) == request.split.train == (1, 2, 4, 5)
    assert tuple(ref.sequence for ref in order.val) == request.split.val == (3,)


def test_a_held_out_case_stays_held_out_through_corrections_and_later_episodes(
    campaign: Campaign, dataset: MsdDataset
) -> None:
    confirm_five(campaign, dataset)
    request = campaign.next_episode()
    assert request is not None
    campaign.prepare_job(request)
    held_out = dataset[2].case_id
    for number in (5, 6, 7):
        confirm_case(campaign, dataset, number)
    confirm_case(campaign, dataset, 2, suffix="-corrected")
    request = campaign.next_episode(final_one=True)
    assert request is not None
    order = read_job(campaign.prepare_job(request))
    assert held_out not in {ref.case_id for ref in order.train}
    assert held_out in {ref.case_id for ref in order.val}
    assert not {ref.case_id for ref in order.train} & {ref.case_id for ref in order.val}


def test_a_candidate_is_compared_on_the_held_out_cases_with_what_it_would_replace(
    campaign: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cases, both sides' weights and the limits reach the gate as the campaign and the job have them."""
    confirm_five(campaign, dataset)
    request = campaign.next_episode()
    assert request is not None
    job = campaign.prepare_job(request)
    seen: list[SimpleNamespace] = []
    check = trainer_module.check_candidate

    def noted(model, cases, **more):  # type: ignore[no-untyped-def]
        seen.append(SimpleNamespace(cases=[case.case_id for case in cases], **more))
        return check(model, cases, **more)

    monkeypatch.setattr(trainer_module, "check_candidate", noted)
    result, _ = run_episode_job(job, device="cpu")
    assert isinstance(result, EpisodeResult) and result.best_epoch == 1
    (call,) = seen
    assert call.cases == [dataset[2].case_id]
    assert call.before == {} and call.after
    config = campaign.config
    assert (call.gate.min_gain, call.gate.worst_drop) == (config.gate_min_gain, config.gate_worst_drop)
    assert call.how == Comparing(config.gate_clicks, config.gate_runs, request.seed)
    assert call.first, "what it would replace is the base"


def test_asking_for_a_role_again_decides_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / ROLES
    book = RoleBook(path, SchedulerSettings(size=16), {})
    given = [book.decide(name, f"image of {name}", {"a", "b", "c"}) for name in "abc"]
    written = path.read_bytes()
    assert [book.decide(name, "another image", {"a", "b", "c"}) for name in "abc"] == given
    assert path.read_bytes() == written


@pytest.mark.parametrize("what", ["measured", "held out", "confirmed"])
def test_what_clicks_teach_in_a_case_stays_only_with_the_confirmation_of_a_training_case(
    tmp_path: Path,
    model_folder: Path,
    dataset: MsdDataset,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OAIMS as published keeps what its clicks taught; a test case or a held-out one may teach nothing."""
    config = tiny_config(model_folder, strategy="oaims")
    with Campaign.create(tmp_path / "campaign", config, device="cpu") as campaign:
        assert campaign.online is not None
        before = {name: value.clone() for name, value in campaign.online.persisted().items()}
        case = dataset[0]
        line = campaign.line()
        monkeypatch.setattr(line.roles, "of", lambda _: what if what == "held out" else "train")
        if what == "measured":
            curve = annotate(line, case, ProtocolSettings(clicks=3), Clicking(seed=1, run=0))
            assert len(curve.dice) == 4
        else:
            image, mask = case.read()
            with line.annotating() as session:
                session.set_image(image)
                for place in ((9, 10, 11), (2, 2, 2), (5, 6, 7)):
                    session.add_prompt(PointPrompt(place))
                line.learn_from(session, case.case_id, mask)
        assert len(campaign.online.history) >= 2, "within the case it learned"
        after = campaign.online.persisted()
        kept = all(torch.equal(value, after[name]) for name, value in before.items())
        assert kept is (what != "confirmed")
        campaign.online.start_case()
        live = dict(campaign.model.network.named_parameters())
        assert all(torch.equal(value, live[name]) for name, value in before.items()) is kept
