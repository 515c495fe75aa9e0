"""A promoted version proves itself on cases that are confirmed while it is in use, or goes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import tiny_campaign
import torch
from tiny_campaign import (
    confirm_case,
    confirm_five,
    make_episodes_tiny,
    next_job,
    scores,
    tiny_config,
    tiny_dataset,
)

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.probation import Probation
from clopa_annotator.campaign.probation_watch import ProbationWatch
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.episode.folder import read_job
from clopa_annotator.events import EventLog
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.training.job_runner import run_episode_job
from clopa_annotator.training.replay import read_replay, read_replay_result, run_replay
from clopa_annotator.training.trainer_process import run_leashed
from clopa_annotator.types import Confirmation

model_folder, campaign = tiny_campaign.model_folder, tiny_campaign.campaign


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> MsdDataset:
    return tiny_dataset(tmp_path_factory.mktemp("dataset"), 18)


@pytest.fixture(scope="module")
def promoted_folder(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, dataset: MsdDataset
) -> Path:
    """The folder of a campaign whose version 1 is on probation: trained once, copied by every test."""
    folder = tmp_path_factory.mktemp("promoted") / "campaign"
    with pytest.MonkeyPatch.context() as patch:
        make_episodes_tiny(patch)
        scores(patch, before=0.4, after=0.45)
        with Campaign.create(folder, tiny_config(model_folder), device="cpu") as campaign:
            confirm_five(campaign, dataset)
            job = next_job(campaign)
            run_episode_job(job, device="cpu")
            version = campaign.adopt(job)
            assert version is not None and version.standing == "on probation", version
    return folder


@pytest.fixture
def promoted(promoted_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Campaign]:
    """A campaign of the test's own whose version 1 is on probation."""
    make_episodes_tiny(monkeypatch)
    scores(monkeypatch, before=0.4, after=0.45)
    shutil.copytree(promoted_folder, tmp_path / "campaign")
    with Campaign.open(tmp_path / "campaign", device="cpu") as campaign:
        yield campaign


def live(campaign: Campaign) -> list[torch.Tensor]:
    return [p.detach().clone() for p in campaign.model.network.parameters()]


def prove(campaign: Campaign) -> object:
    """Replay what is due and settle."""
    job = Probation(campaign.line()).next_replay()
    assert job is not None
    run_replay(job, device="cpu")
    return Probation(campaign.line()).settle()


def test_cases_that_validated_or_trained_are_not_replayed_and_new_ones_are_once(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    probation = Probation(promoted.line())
    assert probation.next_replay() is None, "nothing was confirmed since"
    confirm_case(promoted, dataset, 0, "-corrected")
    assert probation.next_replay() is None, "a case that trained is no unseen case, corrected or not"
    confirm_case(promoted, dataset, 5)
    seen = scores(monkeypatch, before=0.4, after=0.41)
    job = probation.next_replay()
    assert job is not None
    assert [ref.case_id for ref in read_replay(job).cases] == [dataset[5].case_id]
    assert "0 of 10 newly confirmed cases" in probation.in_words()
    run_replay(job, device="cpu")
    assert seen == [(dataset[5].case_id, 0), (dataset[5].case_id, 1)], "with the old weights and the new"
    assert probation.settle() is None and probation.next_replay() is None
    assert "1 of 10 newly confirmed cases" in probation.in_words()
    confirm_case(promoted, dataset, 5, "-corrected")
    again = probation.next_replay()
    assert again is not None, "the mask that it was judged by is not the confirmed one any more"
    assert "0 of 10 newly confirmed cases" in probation.in_words()


def test_an_image_that_trained_under_another_name_is_not_replayed(
    promoted: Campaign, dataset: MsdDataset
) -> None:
    image, mask = dataset[0].read()
    promoted.store.add_case("another name", image)
    promoted.confirm(Confirmation("another", "another name", mask, annotator="Ann"))
    assert Probation(promoted.line()).next_replay() is None


def test_a_replay_annotates_with_the_settled_weights_before_and_the_versions_after(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by the weights that are in the network, not by what it says of itself."""

    def total(parameters: Iterable[torch.Tensor]) -> float:
        return float(sum(p.detach().double().sum() for p in parameters))

    def score(model: LoadedModel, *_: object) -> tuple[float, ...]:
        return (total(model.network.parameters()) / 1e6,) * 2

    monkeypatch.setattr("clopa_annotator.training.candidate_evaluation.score_case", score)
    confirm_case(promoted, dataset, 5)
    job = Probation(promoted.line()).next_replay()
    assert job is not None
    (pair,) = run_replay(job, device="cpu").curves
    base, version = (
        total(weights) / 1e6 for weights in (promoted.model.base_state().values(), live(promoted))
    )
    assert base != version
    assert (pair.before[0], pair.after[0]) == pytest.approx((base, version), rel=1e-12)


def test_a_version_that_goes_on_being_better_is_confirmed(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, before=0.4, after=0.5)
    verdicts = []
    for number in range(5, 11):
        confirm_case(promoted, dataset, number)
        verdicts.append(prove(promoted) if promoted.registry.probation() else None)
    version = promoted.registry.current()
    assert (version.number, version.standing) == (1, "confirmed")
    assert version.verdict is not None and version.verdict.reason.startswith("Confirmed: ")
    assert sum(v is not None for v in verdicts) == 1
    assert [e.name for e in promoted.events.since(0)].count("version_confirmed") == 1


def test_a_version_that_gets_worse_is_taken_back_visibly_and_the_old_weights_are_live(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, before=0.5, after=0.4)
    for number in range(5, 12):
        confirm_case(promoted, dataset, number)
        if promoted.registry.probation():
            prove(promoted)
    assert promoted.registry.current().number == promoted.model.version == 0
    base = promoted.model.base_state()
    assert all(torch.equal(a, b) for a, b in zip(live(promoted), base.values(), strict=True))
    taken = next(e for e in promoted.events.since(0) if e.name == "taken_back")
    assert taken.data["in_use"] == 0 and str(taken.data["reason"]).startswith("Taken back: ")
    assert promoted.registry.version(1).standing == "taken back"
    request = promoted.next_episode(final_one=True)
    assert request is not None and request.parent_version == 0


def test_a_version_that_shows_nothing_is_gone_ten_cases_later(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, before=0.4, after=0.4)
    for number in range(5, 15):
        confirm_case(promoted, dataset, number)
        if promoted.registry.probation():
            prove(promoted)
    assert promoted.registry.current().number == 0


def test_after_a_kill_the_same_verdict_is_reached(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, before=0.6, after=0.1)
    confirm_case(promoted, dataset, 5)
    job = Probation(promoted.line()).next_replay()
    assert job is not None

    def killed(*_: object) -> tuple[float, ...]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("clopa_annotator.training.candidate_evaluation.score_case", killed)
        with pytest.raises(KeyboardInterrupt):
            run_replay(job, device="cpu")
    assert Probation(promoted.line()).next_replay() == job, "the interrupted replay is done again"
    run_replay(job, device="cpu")
    promoted.close()  # before the verdict
    with Campaign.open(promoted.folder, device="cpu") as again:
        assert again.model.version == 1
        verdict = Probation(again.line()).settle()
        assert verdict is not None and not verdict.decision.promoted
        assert again.model.version == again.registry.current().number == 0


def test_a_persons_choice_stops_the_replays(promoted: Campaign, dataset: MsdDataset) -> None:
    confirm_case(promoted, dataset, 5)
    promoted.line().roll_back(1, by="lead")
    assert Probation(promoted.line()).next_replay() is None and Probation(promoted.line()).settle() is None
    assert promoted.registry.current().number == 1


def test_the_training_process_runs_a_replay_and_stops_when_asked(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_case(promoted, dataset, 5)
    job = Probation(promoted.line()).next_replay()
    assert job is not None
    (job / "cancel").touch()
    assert run_leashed(job) == 0
    result = read_replay_result(job)
    assert result is not None and result.status == "cancelled"
    again = Probation(promoted.line()).next_replay()
    assert again is not None and again != job, "a cancelled comparison is made another time"
    scores(monkeypatch, before=0.4, after=0.5)
    run_leashed(again)
    assert read_replay_result(again).status == "finished"


def test_a_replay_that_failed_is_not_tried_for_ever(promoted: Campaign, dataset: MsdDataset) -> None:
    confirm_case(promoted, dataset, 5)
    watch, told = a_watch(promoted)
    job = Probation(promoted.line()).next_replay()
    assert job is not None
    watch.ended(job, "failed", "The process was killed.")
    assert Probation(promoted.line()).next_replay() is None and not told
    confirm_case(promoted, dataset, 6)
    job = Probation(promoted.line()).next_replay()
    assert job is not None and len(read_replay(job).cases) == 1


def a_watch(campaign: Campaign) -> tuple[ProbationWatch, list[object]]:
    told: list[object] = []
    watch = ProbationWatch(
        campaign.line(),
        EventLog(),
        lambda work: work(),
        lambda phase, sentence: told.append((phase, sentence)),
        lambda version, at_once: told.append((version, at_once)),
    )
    return watch, told


def test_the_engine_says_what_became_of_a_version(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, before=0.6, after=0.1)
    confirm_case(promoted, dataset, 5)
    watch, told = a_watch(promoted)
    job = Probation(promoted.line()).next_replay()
    assert job is not None
    run_replay(job, device="cpu")
    watch.ended(job, "finished", "")
    (phase, sentence), (version, at_once) = told
    assert phase == "taken back" and (version, at_once) == (0, False)
    assert "Version 1 was taken back. Version 0 is in use again. Taken back: case" in sentence


def test_a_version_that_replaces_one_on_probation_is_compared_with_the_settled_one(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_case(promoted, dataset, 5)
    scores(monkeypatch, before=0.4, after=0.41)
    assert prove(promoted) is None, "version 1 is still on probation"
    for number in range(6, 10):
        confirm_case(promoted, dataset, number)
    scores(monkeypatch, before=0.4, after=0.5)
    request = promoted.next_episode()
    assert request is not None and request.parent_version == 1
    job = promoted.prepare_job(request)
    run_episode_job(job, device="cpu")
    version = promoted.adopt(job)
    assert version is not None and promoted.registry.probation() == (2, 0)
    assert Probation(promoted.line()).next_replay() is None, "version 2 has learned from all of them"
    assert "Version 2 is on probation: 0 of 10" in Probation(promoted.line()).in_words(), (
        "whose replays count"
    )
    confirm_case(promoted, dataset, 10)
    replay = Probation(promoted.line()).next_replay()
    assert replay is not None
    order = read_replay(replay)
    assert (order.version, order.reference) == (2, 0)
    known = {ref.case_id for ref in (*read_job(job).train, *read_job(job).val)}
    assert {ref.case_id for ref in order.cases}.isdisjoint(known)


def test_replays_lie_in_the_campaign_folder(promoted: Campaign, dataset: MsdDataset) -> None:
    confirm_case(promoted, dataset, 5)
    job = Probation(promoted.line()).next_replay()
    assert job == Path(promoted.folder) / "replays" / "0001"
