"""Which target trains next: one at a time, what was asked for first, none for ever last, each recovered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import scripted_trainer
import tiny_campaign
from tiny_campaign import tiny_config

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.training_desk import TrainingDesk
from clopa_annotator.errors import ConfigError, EpisodeError
from clopa_annotator.events import EventLog
from clopa_annotator.geometry import Geometry
from clopa_annotator.training.supervisor import SupervisorSettings
from clopa_annotator.types import Confirmation, Image, Slot, Targets

model_folder = tiny_campaign.model_folder
SHAPE = (4, 5, 6)
KEYS = ("", "kidney", "spleen")


@dataclass
class Trainer:
    """Stands in for the supervisor: a job runs until the test ends it."""

    job: Path | None = None
    started: list[str] = field(default_factory=list)

    def run(self, job: Path) -> None:
        assert self.job is None, "one trains at a time"
        self.job = job
        self.started.append(job.parent.parent.name if job.parent.parent.name in KEYS else "")

    def cancel(self) -> None:
        assert self.job is not None


@dataclass
class Watched:
    """A desk, what it told, and a hand on its trainer."""

    desk: TrainingDesk
    campaign: Campaign
    events: EventLog
    trainer: Trainer
    used: list[tuple[str, int]]

    def confirm(self, key: str, first: int, last: int) -> None:
        for number in range(first, last + 1):
            case, mask = f"case {number}", np.zeros(SHAPE, np.uint8)
            mask[KEYS.index(key)] = 1
            self.campaign.store.add_case(case, Image(np.full(SHAPE, number, np.int16), Geometry(SHAPE)))
            self.campaign.confirm(Confirmation(f"{key} {number}", case, mask, slot=Slot(key)))
            self.desk.confirmed(key)

    def end(self, outcome: str = "finished", reason: str = "") -> None:
        job, self.trainer.job = self.trainer.job, None
        assert job is not None
        if outcome == "finished":
            scripted_trainer.finish(job, trained=4)
        self.desk._ended(job, outcome, reason)  # type: ignore[arg-type]

    def told(self, name: str) -> list[object]:
        return [event.data.get("target") for event in self.events.since(0) if event.name == name]


def watch(campaign: Campaign) -> Watched:
    events, used = EventLog(), []
    desk = TrainingDesk(
        campaign,
        events,
        SupervisorSettings(),
        lambda line, version, _: used.append((line, version)),
        lambda work: work(),
    )
    trainer = desk.supervisor = Trainer()  # type: ignore[assignment]
    return Watched(desk, campaign, events, trainer, used)


@pytest.fixture
def at(model_folder: Path, tmp_path: Path) -> Iterator[Watched]:
    config, targets = tiny_config(model_folder), Targets.named(["liver", "kidney", "spleen"])
    with Campaign.create(tmp_path / "campaign", config, targets, device="cpu") as campaign:
        yield watch(campaign)


def test_two_targets_that_are_due_train_one_after_the_other(at: Watched) -> None:
    at.confirm("kidney", 1, 5)
    at.confirm("", 1, 5)
    assert at.trainer.started == ["kidney"]
    at.end()
    assert at.trainer.started == ["kidney", ""]
    at.end()
    assert at.told("episode_started") == at.told("promoted") == ["kidney", ""]
    assert at.used == [("kidney", 1), ("", 1)]
    versions = {key: at.campaign.line(key).registry.current().number for key in KEYS}
    assert versions == {"": 1, "kidney": 1, "spleen": 0}


def test_each_target_says_where_it_stands(at: Watched) -> None:
    at.confirm("kidney", 1, 5)
    at.confirm("", 1, 2)
    kidney, liver = at.desk.controller("kidney").state(0), at.desk.controller("").state(0)
    assert (kidney.phase, kidney.target, kidney.episode) == ("training", "kidney", 1)
    assert (liver.phase, liver.target, liver.gathered, liver.episode) == ("waiting", "", 2, 0)
    at.end()
    assert [row.target for row in at.desk.controller("kidney").episodes()] == ["kidney"]
    assert at.desk.controller("").episodes() == ()


def test_what_a_person_asks_for_is_next_and_can_be_taken_back(at: Watched) -> None:
    at.confirm("kidney", 1, 5)
    at.confirm("", 1, 3)
    at.confirm("spleen", 1, 2)
    at.desk.controller("").train_now()
    at.desk.controller("spleen").train_now()
    assert at.trainer.started == ["kidney"]
    assert at.desk.controller("").state(0).sentence == "Another target is training; this one is next."
    at.desk.controller("spleen").cancel()
    at.end()
    assert at.trainer.started == ["kidney", ""]
    with pytest.raises(EpisodeError, match="No episode is running"):
        at.desk.controller("kidney").cancel()
    with pytest.raises(EpisodeError, match="running already"):
        at.desk.controller("").train_now()


def test_a_paused_target_lets_the_others_train(at: Watched) -> None:
    at.desk.controller("kidney").pause(True)
    at.confirm("kidney", 1, 6)
    at.confirm("", 1, 5)
    assert at.trainer.started == [""]
    at.end()
    assert at.trainer.started == [""]
    at.desk.controller("kidney").pause(False)
    assert at.trainer.started == ["", "kidney"]


def test_a_failed_episode_is_not_repeated_at_once_and_stops_nobody_else(at: Watched) -> None:
    at.confirm("kidney", 1, 6)
    at.confirm("", 1, 5)
    at.confirm("kidney", 7, 12)
    at.end("failed", "The training process ended with status 3.")
    assert at.trainer.started == ["kidney", ""]
    assert at.desk.controller("kidney").state(0).phase == "failed"
    assert at.told("episode_failed") == ["kidney"]


def test_none_waits_for_ever(at: Watched) -> None:
    for key in KEYS:
        at.confirm(key, 1, 5)
    for turn in range(1, 4):
        at.confirm("", 5 * turn + 1, 5 * turn + 5)
        at.end()
    assert {"kidney", "spleen"} < set(at.trainer.started), "although the liver always has more to learn from"


def test_after_a_restart_each_target_goes_on(at: Watched) -> None:
    at.confirm("", 1, 5)
    at.end()
    at.confirm("kidney", 1, 5)
    left = at.trainer.job
    again = watch(at.campaign)
    again.desk.recover()
    assert again.trainer.job == left and again.trainer.started == ["kidney"]
    again.end()
    assert again.campaign.line("kidney").registry.current().number == 1
    assert again.campaign.line("").registry.current().number == 1


def test_a_target_that_is_not_there_has_no_controller(at: Watched) -> None:
    with pytest.raises(ConfigError, match="no target 'heart'"):
        at.desk.controller("heart")
