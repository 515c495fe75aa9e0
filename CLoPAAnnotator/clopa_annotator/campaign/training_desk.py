"""Who trains next: one trainer for all targets of a campaign, and a controller for each line of learning.

One episode trains at a time. What an engine before this one left comes first, then what a person asked for,
then the target that has most to gain (`scheduler.whose_turn`; none waits for ever), then the replays of
versions on probation.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clopa_annotator.campaign.episode_controller import EpisodeController
from clopa_annotator.campaign.episode_rows import job_has_ended
from clopa_annotator.campaign.prediction import OnThread
from clopa_annotator.errors import EpisodeError
from clopa_annotator.events import EventLog
from clopa_annotator.training.replay import is_replay
from clopa_annotator.training.supervisor import Outcome, Supervisor, SupervisorSettings
from clopa_annotator.types import EpisodeRequest

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.campaign.lines import LearningLine

logger = logging.getLogger(__name__)


class TrainingDesk:
    """Starts and follows the episodes of one campaign; thread-safe.

    Attributes:
        supervisor: of the training process.
        mutex: held while somebody decides what trains.
    """

    def __init__(
        self,
        campaign: Campaign,
        events: EventLog,
        settings: SupervisorSettings,
        on_promoted: Callable[[str, int, bool], None],
        on_thread: OnThread,
    ) -> None:
        """Nothing starts before `recover`.

        Args:
            campaign: whose episodes these are.
            events: where to tell.
            settings: of the supervisor.
            on_promoted: told the line's key, the number of a version that comes into use, and whether at once
                for all.
            on_thread: runs what changes the live weights, between two predictions.
        """
        self._campaign, self._events, self._on_promoted = campaign, events, on_promoted
        self._on_thread = on_thread
        self.mutex = threading.RLock()
        settings = replace(settings, has_ended=job_has_ended, logs=campaign.folder / "logs")
        self.supervisor = Supervisor(settings, self._heard, self._ended)
        self._controllers: dict[str, EpisodeController] = {}
        self._left: list[Path] = []
        self._wanted: list[str] = []

    def controller(self, target: str = "") -> EpisodeController:
        """Of the line on which a target learns.

        Raises:
            ConfigError: the campaign has no such target.
        """
        line = self._campaign.line(target)
        with self.mutex:
            if line.key not in self._controllers:
                self._controllers[line.key] = EpisodeController(
                    line,
                    self._events,
                    self,
                    lambda version, at_once: self._on_promoted(line.key, version, at_once),
                    self._on_thread,
                )
            return self._controllers[line.key]

    def controllers(self) -> tuple[EpisodeController, ...]:
        """One for each line of learning, in the targets' order."""
        found = (self.controller(target.key) for target in self._campaign.targets)
        return tuple({controller.key: controller for controller in found}.values())

    def recover(self) -> None:
        """Pick up what an engine before this one left; to be called once, at the start."""
        for controller in self.controllers():
            self._left += controller.recover()
        with self.mutex:
            if self._left:
                self.start_next()
            else:
                self._start_replay()

    def confirmed(self, target: str = "") -> None:
        """A case was confirmed: learn if it is time."""
        self.controller(target).confirmed()

    @property
    def job(self) -> Path | None:
        """What runs now, of whichever line."""
        return self.supervisor.job

    def prepare(self, request: EpisodeRequest) -> Path:
        """Write an episode's job folder."""
        return self._campaign.prepare_job(request)

    def job_of(self, line: LearningLine) -> Path | None:
        """What runs now of a line."""
        job = self.supervisor.job
        return job if job is not None and job.parent.parent == line.folder else None

    def want(self, key: str) -> None:
        """A person asked for an episode of this line; it is next. What only compares makes room."""
        with self.mutex:
            if key not in self._wanted:
                self._wanted.append(key)
            if self.job is None:
                self.start_next()
            elif is_replay(self.job):
                self.supervisor.cancel()

    def wants(self, key: str) -> bool:
        """Whether an episode of this line was asked for and waits."""
        return key in self._wanted

    def cancel(self, line: LearningLine) -> None:
        """Stop a line's episode, running or asked for.

        Raises:
            EpisodeError: none runs.
        """
        with self.mutex:
            job = self.job_of(line)
            if job is not None and not is_replay(job):
                self.supervisor.cancel()
            elif line.key in self._wanted:
                self._wanted.remove(line.key)
            else:
                raise EpisodeError("No episode is running.")

    def start_next(self, but_not: Collection[str] = ()) -> None:
        """Start what comes next, unless something runs.

        Args:
            but_not: keys of lines whose episodes are not started now.
        """
        with self.mutex:
            if self.job is not None:
                return
            if self._left:
                job = self._left.pop(0)
                self._of(job).resume(job)
                return
            if self._start_wanted() or self._start_due(but_not):
                return
            self._start_replay()

    def _start_wanted(self) -> bool:
        while self._wanted:
            controller = self.controller(self._wanted.pop(0))
            request = controller.line.next_episode(final_one=True)
            if request is not None:
                controller.start(request)
                return True
        return False

    def _start_due(self, but_not: Collection[str]) -> bool:
        paused = {c.key for c in self.controllers() if c.paused}
        turn = self._campaign.next_in_turn(but_not={*paused, *but_not})
        if turn is None:
            return False
        self.controller(turn[0].key).start(turn[1])
        return True

    def _start_replay(self) -> None:
        for controller in self.controllers():
            if self.job is None:
                controller.replay_if_due()

    def let_go(self) -> None:
        """Begin to end the running trainer; its job is resumed at the next start. Does not wait."""
        self.supervisor.let_go()

    def close(self) -> None:
        """`let_go`, and wait until the trainer is gone."""
        self.supervisor.close()

    def _of(self, job: Path) -> EpisodeController:
        return next(c for c in self.controllers() if job.parent.parent == c.line.folder)

    def _heard(self, job: Path, row: dict[str, Any]) -> None:
        self._of(job).heard(job, row)

    def _ended(self, job: Path, outcome: Outcome, reason: str) -> None:
        controller = self._of(job)
        # A failed episode would fail again at once; the next confirmation tries anew.
        self.start_next(() if controller.ended(job, outcome, reason) else (controller.key,))
