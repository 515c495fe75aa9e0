"""When an episode starts and what becomes of it: never two at once, never weights that were not compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import scripted_trainer
import tiny_campaign
from tiny_campaign import tiny_config

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.episode_controller import EpisodeController
from clopa_annotator.campaign.training_desk import TrainingDesk
from clopa_annotator.episode.folder import read_result, write_result
from clopa_annotator.errors import EpisodeError
from clopa_annotator.events import EventLog
from clopa_annotator.geometry import Geometry
from clopa_annotator.training.signals import CANCEL
from clopa_annotator.training.supervisor import SupervisorSettings
from clopa_annotator.types import Confirmation, EpisodeResult, GateDecision, Image

model_folder, campaign = tiny_campaign.model_folder, tiny_campaign.campaign
SHAPE = (4, 5, 6)


@dataclass
class Trainer:
    """Stands in for the supervisor: a job runs until the test ends it."""

    job: Path | None = None
    started: list[str] = field(default_factory=list)

    def run(self, job: Path) -> None:
        if self.job is not None:
            raise EpisodeError("An episode is already running; wait for it, or cancel it.")
        self.job = job
        self.started.append(job.name)

    def cancel(self) -> None:
        raise EpisodeError("No episode is running.")


@dataclass
class Watched:
    """A controller, what it told, and a hand on its trainer."""

    desk: TrainingDesk
    campaign: Campaign
    events: EventLog
    trainer: Trainer
    used: list[int]

    @property
    def controller(self) -> EpisodeController:
        return self.desk.controller()

    def confirm(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            image = Image(np.full(SHAPE, number, np.int16), Geometry(SHAPE))
            self.campaign.store.add_case(f"case {number}", image)
            self.campaign.confirm(Confirmation(f"id {number}", f"case {number}", np.ones(SHAPE, np.uint8)))
            self.controller.confirmed()

    def end(self, outcome: str = "finished", reason: str = "") -> None:
        job, self.trainer.job = self.trainer.job, None
        assert job is not None
        if outcome == "finished":
            scripted_trainer.finish(job, trained=4)
        self.desk._ended(job, outcome, reason)  # type: ignore[arg-type]

    def told(self, name: str) -> list[dict[str, object]]:
        return [dict(e.data) for e in self.events.since(0) if e.name == name]


def a_controller(campaign: Campaign) -> Watched:
    events, used = EventLog(), []
    desk = TrainingDesk(
        campaign,
        events,
        SupervisorSettings(),
        lambda line, version, _: used.append(version),
        lambda work: work(),
    )
    trainer = desk.supervisor = Trainer()  # type: ignore[assignment]
    return Watched(desk, campaign, events, trainer, used)


@pytest.fixture
def at(campaign: Campaign) -> Watched:
    return a_controller(campaign)


def test_the_fifth_case_starts_an_episode_whose_candidate_is_put_into_use(at: Watched) -> None:
    at.confirm(1, 4)
    assert at.trainer.started == []
    at.confirm(5, 5)
    assert at.trainer.started == ["0001"]
    at.end()
    assert at.campaign.registry.current().number == at.campaign.model.version == 1
    assert at.used == [1]
    assert [row["version"] for row in at.told("promoted")] == [1]
    (row,) = at.controller.episodes()
    assert (row.number, row.status, row.promoted, row.version) == (1, "finished", True, 1)


def test_confirmations_during_an_episode_wait_for_its_end(at: Watched) -> None:
    at.confirm(1, 5)
    at.confirm(6, 10)
    assert at.trainer.started == ["0001"]
    assert [job.name for job in at.campaign.line().jobs()] == ["0001"], "no job folder without a trainer"
    assert at.told("episode_failed") == []
    assert len(at.told("episode_started")) == 1
    at.end()
    assert at.trainer.started == ["0001", "0002"], "what has gathered meanwhile is learned next"


def test_an_episode_is_not_started_by_hand_while_one_runs_or_nothing_is_new(at: Watched) -> None:
    with pytest.raises(EpisodeError, match="nothing new"):
        at.controller.train_now()
    at.confirm(1, 3)
    at.controller.train_now()
    with pytest.raises(EpisodeError, match="running already"):
        at.controller.train_now()
    assert at.trainer.started == ["0001"]
    assert len(at.campaign.line().jobs()) == 1


def test_a_roll_back_during_an_episode_keeps_its_candidate_out_of_use(at: Watched) -> None:
    at.confirm(1, 5)
    at.end()
    at.confirm(6, 10)
    at.controller.roll_back(0, "Ada")
    at.end()
    assert at.campaign.registry.current().number == at.campaign.model.version == 0
    (told,) = at.told("rejected")
    assert "compared with version 1, and meanwhile version 0" in str(told["reason"])
    assert at.campaign.registry.version(2).decision is not None, "kept, and can be restored"
    assert at.used == [1, 0]


def test_a_pause_starts_nothing_until_it_ends(at: Watched) -> None:
    at.controller.pause(True)
    at.confirm(1, 6)
    assert at.trainer.started == [] and at.controller.state(0).phase == "paused"
    at.controller.pause(False)
    assert at.trainer.started == ["0001"] and at.controller.state(0).phase == "training"


def test_a_failed_episode_says_why_changes_nothing_and_is_not_repeated_at_once(at: Watched) -> None:
    at.confirm(1, 5)
    at.confirm(6, 10)
    at.end("failed", "The training process ended with status 3.")
    assert at.trainer.started == ["0001"]
    state = at.controller.state(0)
    assert state.phase == "failed"
    assert state.sentence == ("Episode 1 failed: The training process ended with status 3. The weights stay.")
    assert [row["reason"] for row in at.told("episode_failed")] == [
        "The training process ended with status 3."
    ]
    assert at.campaign.registry.current().number == 0
    at.confirm(11, 11)
    assert at.trainer.started == ["0001", "0002"], "the next confirmation tries anew"


def test_a_cancelled_episode_is_recorded_and_no_failure(at: Watched) -> None:
    at.confirm(1, 5)
    at.end("cancelled", "The episode was cancelled.")
    ended = read_result(at.campaign.line().jobs()[0])
    assert ended is not None and ended[0].status == "cancelled"
    assert at.controller.state(0).phase == "cancelled" and at.told("episode_failed") == []


def test_an_outcome_that_cannot_be_taken_over_is_told_as_a_failure(at: Watched) -> None:
    at.confirm(1, 5)
    job = at.trainer.job
    assert job is not None
    (job / "result.json").write_text("{torn")
    at.trainer.job = None
    at.desk._ended(job, "finished", "")
    assert at.controller.state(0).phase == "failed"
    assert "Episode 1 failed" in at.controller.state(0).sentence


def test_an_episode_that_changed_nothing_is_rejected_with_its_reason(at: Watched) -> None:
    at.confirm(1, 5)
    job, at.trainer.job = at.trainer.job, None
    assert job is not None
    write_result(job, EpisodeResult(1, "finished"), GateDecision(False, "Not promoted: no epoch was better."))
    at.desk._ended(job, "finished", "")
    assert at.controller.state(0).phase == "rejected"
    assert [row["version"] for row in at.told("rejected")] == [None]
    assert [v.number for v in at.campaign.registry.versions()] == [0]


def test_a_new_engine_resumes_a_job_without_a_result(at: Watched) -> None:
    at.confirm(1, 5)
    again = a_controller(at.campaign)
    again.desk.recover()
    assert again.trainer.started == ["0001"]


def test_a_new_engine_records_a_cancellation_that_its_forerunner_did_not(at: Watched) -> None:
    at.confirm(1, 5)
    (at.campaign.line().jobs()[0] / CANCEL).touch()
    again = a_controller(at.campaign)
    again.desk.recover()
    assert again.trainer.started == []
    ended = read_result(at.campaign.line().jobs()[0])
    assert ended is not None and ended[0].status == "cancelled"


def test_a_new_engine_registers_a_finished_job_once(at: Watched) -> None:
    at.confirm(1, 5)
    scripted_trainer.finish(at.campaign.line().jobs()[0], trained=4)
    for _ in range(2):
        again = a_controller(at.campaign)
        again.desk.recover()
        assert again.trainer.started == []
        assert [v.number for v in at.campaign.registry.versions()] == [0, 1]
    assert again.used == [], "the second engine had nothing left to take over"
    assert at.campaign.registry.current().number == 1


def test_a_campaign_that_does_not_learn_says_so(tmp_path: Path, model_folder: Path) -> None:
    config = tiny_config(model_folder, strategy="static")
    with Campaign.create(tmp_path / "static", config, device="cpu") as campaign:
        at = a_controller(campaign)
        at.confirm(1, 6)
        assert at.trainer.started == []
        assert at.controller.state(0).sentence == "This campaign was set up not to learn."
