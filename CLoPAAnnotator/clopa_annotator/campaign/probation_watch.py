"""The engine's side of a probation: replays while nothing else runs, verdicts carried out and told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Protocol

from clopa_annotator.campaign.prediction import OnThread
from clopa_annotator.campaign.probation import Probation
from clopa_annotator.events import EventLog
from clopa_annotator.training.replay import ReplayResult, is_replay, write_replay_result
from clopa_annotator.training.supervisor import Outcome, Supervisor
from clopa_annotator.types import EpisodeRequest
from clopa_annotator.wire.learning_messages import LearningPhase

if TYPE_CHECKING:
    from clopa_annotator.campaign.lines import LearningLine


class Desk(Protocol):
    """Who decides what trains, as a line of learning needs it; `training_desk` has it.

    Attributes:
        mutex: held while somebody decides.
        supervisor: of the training process.
    """

    mutex: RLock
    supervisor: Supervisor

    def job_of(self, line: LearningLine) -> Path | None:
        """What runs now of a line."""
        ...

    def want(self, key: str) -> None:
        """A person asked for an episode of this line; it is next."""
        ...

    def wants(self, key: str) -> bool:
        """Whether an episode of this line was asked for and waits."""
        ...

    def cancel(self, line: LearningLine) -> None:
        """Stop a line's episode, running or asked for. Raises `EpisodeError` if there is none."""
        ...

    def prepare(self, request: EpisodeRequest) -> Path:
        """Write an episode's job folder."""
        ...

    def start_next(self) -> None:
        """Start what comes next, unless something runs."""
        ...


class ProbationWatch:
    """Runs the replays of one line of learning on the supervisor that also runs the episodes.

    Args:
        line: whose versions prove themselves.
        events: where to tell.
        on_thread: runs what changes the live weights, between two predictions.
        conclude: told the phase and the sentence that a verdict leaves.
        on_promoted: told the version that comes into use, and whether at once for all.
    """

    def __init__(
        self,
        line: LearningLine,
        events: EventLog,
        on_thread: OnThread,
        conclude: Callable[[LearningPhase, str], None],
        on_promoted: Callable[[int, bool], None],
    ) -> None:
        self._probation, self._events, self._on_thread = Probation(line), events, on_thread
        self._key = line.key
        self._conclude, self._on_promoted = conclude, on_promoted

    def in_words(self) -> str:
        """Where the version on probation stands; empty if there is none."""
        return self._probation.in_words()

    def start_if_due(self, supervisor: Supervisor) -> None:
        """Look how the version on probation does on newly confirmed cases; the supervisor must be free."""
        job = self._probation.next_replay()
        if job is not None:
            supervisor.run(job)

    def ended(self, job: Path, outcome: Outcome, reason: str) -> None:
        """A replay has ended."""
        if outcome != "finished":
            write_replay_result(job, ReplayResult(outcome, reason))
        self.settle()

    def settle(self) -> None:
        """Confirm the version on probation or take it back, if the cases so far say so."""
        verdict = self._on_thread(self._probation.settle)
        if verdict is None:
            return
        stays, reason = verdict.decision.promoted, verdict.decision.reason
        if stays:
            self._conclude("confirmed", f"Version {verdict.version} stays in use. {reason}")
        else:
            again = f"Version {verdict.in_use} is in use again."
            self._conclude("taken back", f"Version {verdict.version} was taken back. {again} {reason}")
            self._on_promoted(verdict.in_use, False)
        self._events.publish(
            "version_confirmed" if stays else "taken_back",
            version=verdict.version,
            in_use=verdict.in_use,
            reason=reason,
            target=self._key,
        )


def replays(job: Path | None) -> bool:
    """Whether a job is a replay's."""
    return job is not None and is_replay(job)
