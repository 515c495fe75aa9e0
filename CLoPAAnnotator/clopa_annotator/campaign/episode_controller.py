"""The learning of one target in an engine: how an episode goes, what becomes of it.

It is told what the trainer does, keeps the one line that the lead's panel shows, and after a restart picks up
whatever was under way: a job without a result is resumed or its running trainer adopted, a finished one whose
candidate was not registered is registered now. When an episode starts is the desk's matter (`training_desk`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clopa_annotator.campaign.episode_rows import (
    episode_row,
    job_has_ended,
    job_number,
    learning_state,
    phase_in_words,
    progress_in_words,
)
from clopa_annotator.campaign.prediction import OnThread
from clopa_annotator.campaign.probation_watch import Desk, ProbationWatch, replays
from clopa_annotator.episode.folder import read_result, write_result
from clopa_annotator.errors import ClopaError, EpisodeError
from clopa_annotator.events import EventLog
from clopa_annotator.training.job_index import hold_back_if_overtaken
from clopa_annotator.training.signals import CANCEL
from clopa_annotator.training.supervisor import Outcome
from clopa_annotator.types import EpisodeRequest, EpisodeResult, EventValue, WeightsVersion
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningPhase, LearningState, SwapPolicy

if TYPE_CHECKING:
    from clopa_annotator.campaign.lines import LearningLine

logger = logging.getLogger(__name__)
_LASTING: frozenset[LearningPhase] = frozenset(
    {"promoted", "rejected", "confirmed", "taken back", "failed", "cancelled"}
)


class EpisodeController:
    """Follows the episodes of one line of learning; thread-safe.

    Attributes:
        line: whose episodes these are.
        key: of the line.
        paused: whether none starts by itself.
        policy: when promoted weights come into use.
    """

    def __init__(
        self,
        line: LearningLine,
        events: EventLog,
        desk: Desk,
        on_promoted: Callable[[int, bool], None],
        on_thread: OnThread,
    ) -> None:
        """Nothing starts before `recover`.

        Args:
            line: whose episodes these are.
            events: where to tell.
            desk: decides what trains, and runs it.
            on_promoted: told the number of a version that comes into use, and whether at once for all.
            on_thread: runs what changes the live weights, between two predictions.
        """
        self.line, self.key = line, line.key
        self._events, self._on_promoted = events, on_promoted
        self._desk, self._on_thread = desk, on_thread
        self._probation = ProbationWatch(line, events, on_thread, self._conclude, on_promoted)
        self._mutex = desk.mutex
        self._phase: LearningPhase = "idle"
        self._sentence = ""
        self._progress: dict[str, Any] = {}
        self.paused = False
        self.policy: SwapPolicy = "between cases"

    # -- what happens --------------------------------------------------------------------------------------

    def recover(self) -> list[Path]:
        """Settle what an engine before this one left; answers the jobs that have to go on."""
        self._probation.settle()
        left = []
        for job in self.line.jobs():
            if job_has_ended(job):
                self._register_if_left(job)
            elif (job / CANCEL).exists():
                self._record_end(job, "cancelled", "The episode was cancelled.")
            else:
                left.append(job)
        return left

    def resume(self, job: Path) -> None:
        """Go on with a job that was left."""
        logger.info("Resuming episode %s", job.name)
        self._begin(job)

    def confirmed(self) -> None:
        """A case was confirmed: learn if it is time."""
        with self._mutex:
            if self._phase in _LASTING:
                self._phase, self._sentence = "waiting", ""
            self._desk.start_next()
        self._tell("learning")

    def train_now(self) -> None:
        """Start an episode with what is there; while another target trains, it is next.

        Raises:
            EpisodeError: one runs already, or there is too little.
        """
        with self._mutex:
            running = self._desk.job_of(self.line)
            if running is not None and not replays(running):
                raise EpisodeError("An episode is running already; wait for it, or cancel it.")
            if self.line.next_episode(final_one=True) is None:
                raise EpisodeError(
                    "There is nothing new to learn from: an episode needs at least two confirmed cases that "
                    "no episode has seen."
                )
            self._desk.want(self.key)
        self._tell("learning")

    def pause(self, paused: bool) -> None:
        """Start no episode by itself, or again."""
        with self._mutex:
            self.paused = paused
            if not paused:
                self._desk.start_next()
        self._tell("learning")

    def cancel(self) -> None:
        """Stop the running episode, or the one that was asked for.

        Raises:
            EpisodeError: none runs.
        """
        self._desk.cancel(self.line)
        self._tell("learning")

    def roll_back(self, version: int, by: str) -> None:
        """Use an earlier version from now on.

        Raises:
            UnknownVersion: the registry has no such version.
        """
        restored = self._on_thread(lambda: self.line.roll_back(version, by))
        self._on_promoted(restored.number, True)
        self._tell("rolled_back", version=restored.number)
        self._tell("learning")

    def replay_if_due(self) -> None:
        """Look how the version on probation does on newly confirmed cases; the trainer must be free."""
        self._probation.start_if_due(self._desk.supervisor)

    # -- what is asked -------------------------------------------------------------------------------------

    def episodes(self) -> tuple[EpisodeRow, ...]:
        """Every episode, oldest first."""
        versions = {v.episode: v for v in self.line.registry.versions() if v.episode is not None}
        return tuple(episode_row(job, versions.get(job_number(job))) for job in self.line.jobs())

    def state(self, in_use: int) -> LearningState:
        """What the learning panel shows, for a client whose next prediction uses version ``in_use``."""
        with self._mutex:
            return learning_state(
                self.line,
                self._desk.job_of(self.line),
                self._phase,
                self._progress,
                self._in_words,
                LearningState(
                    "idle", "", in_use, swap_policy=self.policy, paused=self.paused, target=self.key
                ),
            )

    def _in_words(self, phase: LearningPhase, gathered: int, needed: int) -> str:
        if not self.line.strategy.learns:
            return "This campaign was set up not to learn."
        if self._desk.wants(self.key) and phase in ("waiting", "idle", "paused"):
            return "Another target is training; this one is next."
        said = phase_in_words(phase, gathered, needed, self._progress) or self._sentence
        probation = self._probation.in_words() if phase in ("waiting", "idle", "paused") else ""
        return f"{said} {probation}".strip()

    # -- the course of an episode --------------------------------------------------------------------------

    def start(self, request: EpisodeRequest) -> None:
        """Prepare an episode and hand it to the trainer, which must be free."""
        if self.line.online is None:
            job = self._desk.prepare(request)
        else:
            # What was learned between clicks is read from the live network.
            job = self._on_thread(lambda: self._desk.prepare(request))
        self._begin(job)
        self._tell("episode_started", episode=request.number, at_case=request.at_case)

    def _begin(self, job: Path) -> None:
        with self._mutex:
            self._phase, self._progress = "training", {}
            self._sentence = f"Episode {job_number(job)} is getting ready."
            self._desk.supervisor.run(job)
        self._tell("learning")

    def heard(self, job: Path, row: dict[str, Any]) -> None:
        """The trainer tells how far it is."""
        if replays(job):
            return
        with self._mutex:
            kept = self._progress.get("loss")
            self._progress = {**row, "loss": row.get("loss") if row.get("loss") is not None else kept}
            self._phase = "checking" if row.get("phase") == "checking" else "training"
            self._sentence = progress_in_words(job_number(job), self._progress)
        self._tell(
            "episode_progress",
            episode=job_number(job),
            phase=str(row.get("phase", "")),
            epoch=row.get("epoch"),
            epochs=row.get("epochs"),
            loss=self._progress.get("loss"),
            seconds_left=row.get("eta_s"),
        )

    def ended(self, job: Path, outcome: Outcome, reason: str) -> bool:
        """Take over how a job ended; whether the next episode of this line may start at once."""
        replayed = replays(job)
        try:
            if replayed:
                self._probation.ended(job, outcome, reason)
            elif outcome != "finished":
                self._record_end(job, outcome, reason)
            if not replayed:
                self._register(job)
        except (ClopaError, OSError) as error:
            logger.exception("The outcome of %s could not be taken over", job)
            what = "The comparison of new cases" if replayed else f"Episode {job_number(job)}"
            self._conclude("failed", f"{what} failed: {error}")
        self._tell("learning")
        return replayed or self._phase in ("promoted", "rejected")

    def _record_end(self, job: Path, outcome: Outcome, reason: str) -> None:
        ended = read_result(job)
        # A candidate that was trained and not checked is kept: a person may go on with it.
        known = ended[0] if ended is not None else EpisodeResult(job_number(job), outcome)
        write_result(job, replace(known, status=outcome, reason=reason))

    def _register_if_left(self, job: Path) -> None:
        """An engine before this one may have died between a job's end and the registry."""
        number = job_number(job)
        known = [v for v in self.line.registry.versions() if v.episode == number]
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
            self._tell("rejected", episode=number, version=None, reason=reason)
            return
        verdict: LearningPhase = "promoted" if version.decision.promoted else "rejected"
        self._conclude(verdict, f"Episode {number} was {verdict}: {version.decision.why}")
        if verdict == "promoted":
            self._on_promoted(version.number, False)
        self._tell(verdict, episode=number, version=version.number, reason=version.decision.reason)

    def _adopt(self, job: Path) -> WeightsVersion | None:
        registry, number = self.line.registry, job_number(job)
        if not any(v.episode == number and v.decision is not None for v in registry.versions()):
            hold_back_if_overtaken(job, registry.current().number)
        return self.line.adopt(job)

    def _not_finished(self, result: EpisodeResult) -> None:
        phase: LearningPhase = "cancelled" if result.status == "cancelled" else "failed"
        word = "was cancelled" if phase == "cancelled" else "failed"
        self._conclude(phase, f"Episode {result.number} {word}: {result.reason} The weights stay.")
        if phase == "failed":
            self._tell("episode_failed", episode=result.number, reason=result.reason)

    def _tell(self, name: str, **data: EventValue) -> None:
        self._events.publish(name, target=self.key, **data)

    def _conclude(self, phase: LearningPhase, sentence: str) -> None:
        with self._mutex:
            self._phase, self._sentence, self._progress = phase, sentence, {}
