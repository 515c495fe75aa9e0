"""The desk's part of a probation: replays while nothing else runs, verdicts told, episodes first."""

from __future__ import annotations

from pathlib import Path

import pytest
import test_campaign_probation
from tiny_campaign import confirm_case, scores

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.episode_controller import EpisodeController
from clopa_annotator.campaign.probation import Probation
from clopa_annotator.campaign.training_desk import TrainingDesk
from clopa_annotator.datasets import MsdDataset
from clopa_annotator.errors import EpisodeError
from clopa_annotator.events import EventLog
from clopa_annotator.training.replay import is_replay, run_replay
from clopa_annotator.training.supervisor import SupervisorSettings

model_folder, campaign = test_campaign_probation.model_folder, test_campaign_probation.campaign
dataset, promoted = test_campaign_probation.dataset, test_campaign_probation.promoted
promoted_folder = test_campaign_probation.promoted_folder


class InlineSupervisor:
    """Runs a replay at once; holds an episode's job as if it ran."""

    def __init__(self, desk: TrainingDesk, inline: bool = True) -> None:
        self.desk, self.inline = desk, inline
        self.job: Path | None = None
        self.cancelled = False

    def run(self, job: Path) -> None:
        if self.inline and is_replay(job):
            run_replay(job, device="cpu")
            self.desk._ended(job, "finished", "")
        else:
            self.job = job

    def cancel(self) -> None:
        self.cancelled = True


def a_desk(campaign: Campaign, inline: bool = True) -> tuple[EpisodeController, InlineSupervisor, EventLog]:
    events = EventLog()
    desk = TrainingDesk(campaign, events, SupervisorSettings(), lambda *_: None, lambda work: work())
    supervisor = InlineSupervisor(desk, inline)
    desk.supervisor = supervisor  # type: ignore[assignment]
    return desk.controller(), supervisor, events


def test_the_desk_replays_what_is_confirmed_and_says_where_it_stands(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, _, events = a_desk(promoted)
    scores(monkeypatch, before=0.4, after=0.41)
    confirm_case(promoted, dataset, 5)
    desk.confirmed()
    assert "Version 1 is on probation: 1 of 10 newly confirmed cases compared." in desk.state(1).sentence
    assert desk.episodes()[0].standing == "on probation"
    scores(monkeypatch, before=0.6, after=0.1)
    confirm_case(promoted, dataset, 6)
    desk.confirmed()
    state = desk.state(0)
    assert state.phase == "taken back" and "Version 0 is in use again" in state.sentence
    row = desk.episodes()[0]
    assert (row.standing, row.promoted) == ("taken back", True) and row.verdict.startswith("Taken back: ")
    assert "taken_back" in [e.name for e in events.since(0)]


def test_a_verdict_that_a_killed_engine_owed_is_given_by_the_next(
    promoted: Campaign, dataset: MsdDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, before=0.6, after=0.1)
    confirm_case(promoted, dataset, 5)
    job = Probation(promoted.line()).next_replay()
    assert job is not None
    run_replay(job, device="cpu")
    desk, _, _ = a_desk(promoted)
    desk.recover()
    assert promoted.registry.current().number == 0 and desk.state(0).phase == "taken back"


def test_an_episode_that_a_person_wants_does_not_wait_for_a_replay(
    promoted: Campaign, dataset: MsdDataset
) -> None:
    desk, supervisor, _ = a_desk(promoted, inline=False)
    for number in (5, 6):
        confirm_case(promoted, dataset, number)
    desk.confirmed()
    replay = supervisor.job
    assert replay is not None and is_replay(replay) and desk.state(1).phase == "waiting"
    with pytest.raises(EpisodeError, match="No episode is running"):
        desk.cancel()
    desk.train_now()
    assert supervisor.cancelled
    supervisor.job = None
    supervisor.desk._ended(replay, "cancelled", "It was asked to stop.")
    assert supervisor.job is not None and not is_replay(supervisor.job)
    assert len(promoted.line().jobs()) == 2
