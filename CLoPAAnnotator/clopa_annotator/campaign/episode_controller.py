"""The learning side of an engine: when an episode starts, how it goes, what becomes of it.

It listens to the supervisor, keeps the one line that the lead's panel shows, and after a restart picks up
whatever was under way: a job without a result is resumed or its running trainer adopted, a finished one whose
candidate was not registered is registered now.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clopa_annotator.campaign.episode_rows import (
    episode_row,
    job_has_ended,
    job_number,
    phase_in_words,
    progress_in_words,
)
from clopa_annotator.campaign.prediction import OnThread
from clopa_annotator.episode.folder import read_result, write_result
from clopa_annotator.errors import ClopaError, EpisodeError
from clopa_annotator.events import EventLog
from clopa_annotator.scheduler import SchedulerSettings, threshold
from clopa_annotator.training.job_index import hold_back_if_overtaken
from clopa_annotator.training.signals import CANCEL
from clopa_annotator.training.supervisor import Outcome, Supervisor, SupervisorSettings, has_result
from clopa_annotator.types import EpisodeRequest, EpisodeResult, WeightsVersion
from clopa_annotator.wire.messages import EpisodeRow, LearningPhase, LearningState, SwapPolicy

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign

logger = logging.getLogger(__name__)


_LASTING: frozenset[LearningPhase] = frozenset({"promoted", "rejected", "failed", "cancelled"})


class EpisodeController:
    """Starts and follows the episodes of one campaign; thread-safe."""

    def __init__(
        self,
        campaign: Campaign,
        events: EventLog,
        settings: SupervisorSettings,
        on_promoted: Callable[[int], None],
        on_thread: OnThread,
    ) -> None:
        """Nothing starts before `recover`.

        Args:
            campaign: whose episodes these are.
            events: where to tell.
            settings: of the supervisor.
            on_promoted: told the number of a version that was promoted or restored.
            on_thread: runs what changes the live weights, between two predictions.
        """
        self._campaign, self._events, self._on_promoted = campaign, events, on_promoted
        self._on_thread = on_thread
        self.supervisor = Supervisor(replace(settings, has_ended=job_has_ended), self._heard, self._ended)
        self._mutex = threading.RLock()
        self._phase: LearningPhase = "idle"
        self._sentence = ""
        self._progress: dict[str, Any] = {}
        self.paused = False
        self.policy: SwapPolicy = "between cases"

    # -- what happens --------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Pick up what an engine before this one left; to be called once, at the start."""
        for job in self._campaign.jobs():
            if job_has_ended(job):
                self._register_if_left(job)
            elif (job / CANCEL).exists():
                self._record_end(job, "cancelled", "The episode was cancelled.")
            else:
                logger.info("Resuming episode %s", job.name)
                self._begin(job)
                break

    def confirmed(self) -> None:
        """A case was confirmed: learn if it is time."""
        with self._mutex:
            if self._phase in _LASTING:
                self._phase, self._sentence = "waiting", ""
            self._start_if_due()
        self._events.publish("learning")

    def train_now(self) -> None:
        """Start an episode with what is there.

        Raises:
            EpisodeError: one runs already, or there is too little.
        """
        with self._mutex:
            if self.supervisor.job is not None:
                raise EpisodeError("An episode is running already; wait for it, or cancel it.")
            request = self._campaign.next_episode(final_one=True)
            if request is None:
                raise EpisodeError(
                    "There is nothing new to learn from: an episode needs at least two confirmed cases that "
                    "no episode has seen."
                )
            self._start(request)

    def pause(self, paused: bool) -> None:
        """Start no episode by itself, or again."""
        with self._mutex:
            self.paused = paused
            if not paused:
                self._start_if_due()
        self._events.publish("learning")

    def cancel(self) -> None:
        """Stop the running episode.

        Raises:
            EpisodeError: none runs.
        """
        self.supervisor.cancel()

    def roll_back(self, version: int, by: str) -> None:
        """Use an earlier version from now on.

        Raises:
            UnknownVersion: the registry has no such version.
        """
        restored = self._on_thread(lambda: self._campaign.roll_back(version, by))
        self._on_promoted(restored.number)
        self._events.publish("rolled_back", version=restored.number)
        self._events.publish("learning")

    def let_go(self) -> None:
        """Begin to end the running trainer; its job is resumed at the next start. Does not wait."""
        self.supervisor.let_go()

    def close(self) -> None:
        """`let_go`, and wait until the trainer is gone."""
        self.supervisor.close()

    # -- what is asked -------------------------------------------------------------------------------------

    def episodes(self) -> tuple[EpisodeRow, ...]:
        """Every episode, oldest first."""
        versions = {v.episode: v for v in self._campaign.registry.versions() if v.episode is not None}
        return tuple(episode_row(job, versions.get(job_number(job))) for job in self._campaign.jobs())

    def state(self, in_use: int) -> LearningState:
        """What the learning panel shows, for a client whose next prediction uses version ``in_use``."""
        with self._mutex:
            split = self._campaign.split()
            needed = threshold(SchedulerSettings(size=self._campaign.config.size))
            confirmed = len(split.train) + len(split.val) + len(split.unassigned)
            phase = self._phase
            if phase in ("idle", "waiting", "paused"):
                phase = "paused" if self.paused else "waiting" if confirmed else "idle"
            job = self.supervisor.job
            if job is not None and has_result(job):
                # Training is over; what the trainer still does is to compare on the held-out cases.
                phase = "checking"
            current = self._campaign.registry.current().number
            jobs = self._campaign.jobs()
            row = self._progress
            return LearningState(
                phase=phase,
                sentence=self._in_words(phase, len(split.unassigned), needed),
                weights_version=in_use,
                waiting_version=current if current != in_use else None,
                confirmed=confirmed,
                gathered=len(split.unassigned),
                needed=needed,
                episode=job_number(jobs[-1]) if jobs else 0,
                epoch=int(row.get("epoch") or 0),
                epochs=int(row.get("epochs") or 0),
                loss=row.get("loss"),
                seconds_left=row.get("eta_s"),
                swap_policy=self.policy,
                paused=self.paused,
            )

    def _in_words(self, phase: LearningPhase, gathered: int, needed: int) -> str:
        if not self._campaign.strategy.learns:
            return "This campaign was set up not to learn."
        return phase_in_words(phase, gathered, needed, self._progress) or self._sentence

    # -- the course of an episode --------------------------------------------------------------------------

    def _start_if_due(self) -> None:
        if self.paused or self.supervisor.job is not None:
            return
        request = self._campaign.next_episode()
        if request is not None:
            self._start(request)

    def _start(self, request: EpisodeRequest) -> None:
        if self._campaign.online is None:
            job = self._campaign.prepare_job(request)
        else:
            # What was learned between clicks is read from the live network.
            job = self._on_thread(lambda: self._campaign.prepare_job(request))
        self._begin(job)
        self._events.publish("episode_started", episode=request.number, at_case=request.at_case)

    def _begin(self, job: Path) -> None:
        with self._mutex:
            self._phase, self._progress = "training", {}
            self._sentence = f"Episode {job_number(job)} is getting ready."
            self.supervisor.run(job)
        self._events.publish("learning")

    def _heard(self, job: Path, row: dict[str, Any]) -> None:
        with self._mutex:
            kept = self._progress.get("loss")
            self._progress = {**row, "loss": row.get("loss") if row.get("loss") is not None else kept}
            self._phase = "checking" if row.get("phase") == "checking" else "training"
            self._sentence = progress_in_words(job_number(job), self._progress)
        self._events.publish(
            "episode_progress",
            episode=job_number(job),
            phase=str(row.get("phase", "")),
            epoch=row.get("epoch"),
            epochs=row.get("epochs"),
            loss=self._progress.get("loss"),
            seconds_left=row.get("eta_s"),
        )

    def _ended(self, job: Path, outcome: Outcome, reason: str) -> None:
        try:
            if outcome != "finished":
                self._record_end(job, outcome, reason)
            self._register(job)
        except (ClopaError, OSError) as error:
            logger.exception("The outcome of episode %s could not be taken over", job.name)
            self._conclude("failed", f"Episode {job_number(job)} failed: {error}")
        self._events.publish("learning")
        with self._mutex:
            # A failed episode would fail again at once; the next confirmation tries anew.
            if self._phase in ("promoted", "rejected"):
                self._start_if_due()

    def _record_end(self, job: Path, outcome: Outcome, reason: str) -> None:
        ended = read_result(job)
        # A candidate that was trained and not checked is kept: a person may go on with it.
        known = ended[0] if ended is not None else EpisodeResult(job_number(job), outcome)
        write_result(job, replace(known, status=outcome, reason=reason))

    def _register_if_left(self, job: Path) -> None:
        """An engine before this one may have died between a job's end and the registry."""
        number = job_number(job)
        known = [v for v in self._campaign.registry.versions() if v.episode == number]
        ended = read_result(job)
        finished = ended is not None and ended[0].status == "finished" and ended[0].delta_path is not None
        if finished and not (known and known[0].decision is not None):
            self._register(job)

    def _register(self, job: Path) -> None:
        """Take over how a job ended; registering a candidate twice gives the same version."""
        number = job_number(job)
        ended = read_result(job)
        if ended is not None and ended[0].status != "finished":
            self._not_finished(ended[0])
            return
        version = self._on_thread(lambda: self._adopt(job))
        if version is None or version.decision is None:
            reason = ended[0].reason if ended and ended[0].reason else "No epoch was better than the start."
            self._conclude("rejected", f"Episode {number} changed nothing. {reason}")
            self._events.publish("rejected", episode=number, version=None, reason=reason)
            return
        verdict: LearningPhase = "promoted" if version.decision.promoted else "rejected"
        self._conclude(verdict, f"Episode {number} was {verdict}: {version.decision.why}")
        if verdict == "promoted":
            self._on_promoted(version.number)
        self._events.publish(verdict, episode=number, version=version.number, reason=version.decision.reason)

    def _adopt(self, job: Path) -> WeightsVersion | None:
        registry, number = self._campaign.registry, job_number(job)
        if not any(v.episode == number and v.decision is not None for v in registry.versions()):
            hold_back_if_overtaken(job, registry.current().number)
        return self._campaign.adopt(job)

    def _not_finished(self, result: EpisodeResult) -> None:
        phase: LearningPhase = "cancelled" if result.status == "cancelled" else "failed"
        word = "was cancelled" if phase == "cancelled" else "failed"
        self._conclude(phase, f"Episode {result.number} {word}: {result.reason} The weights stay.")
        if phase == "failed":
            self._events.publish("episode_failed", episode=result.number, reason=result.reason)

    def _conclude(self, phase: LearningPhase, sentence: str) -> None:
        with self._mutex:
            self._phase, self._sentence, self._progress = phase, sentence, {}
