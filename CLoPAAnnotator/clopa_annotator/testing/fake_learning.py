"""Scripted learning for the in-process engine: episodes that go through every phase without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from clopa_annotator.errors import EpisodeError, UnknownVersion
from clopa_annotator.events import EventLog
from clopa_annotator.types import EventValue, GateDecision, WeightsVersion
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningPhase, LearningState, SwapPolicy

LICENCE = "CC BY-NC-SA 4.0 (demonstration weights)"
MODEL_HASH = "0" * 64


@dataclass(frozen=True)
class ScriptedEpisode:
    """How one episode ends.

    Attributes:
        after: held-out scores of the candidate.
        before: held-out scores of the weights it started from.
        promoted: the gate's decision.
        failure: a sentence if the episode fails instead.
    """

    before: tuple[float, ...] = (0.62, 0.58)
    after: tuple[float, ...] = (0.81, 0.79)
    promoted: bool = True
    failure: str = ""


@dataclass
class FakeLearning:
    """Counts confirmations, runs scripted episodes step by step, keeps versions.

    Attributes:
        events: told what happens.
        needed: confirmations that start an episode.
        epochs: steps of the training phase.
        script: how the first, second, ... episode ends; the last entry repeats.
        held: while true, a running episode does not advance.
        target: key of what is learned.
        busy: whether another target's episode runs; one trains at a time.
    """

    events: EventLog
    needed: int = 5
    epochs: int = 4
    script: tuple[ScriptedEpisode, ...] = (ScriptedEpisode(),)
    held: bool = False
    target: str = ""
    busy: Callable[[], bool] = lambda: False
    versions: list[WeightsVersion] = field(
        default_factory=lambda: [WeightsVersion(0, None, MODEL_HASH, LICENCE)]
    )
    episodes: list[EpisodeRow] = field(default_factory=list)
    current: int = 0
    waiting: int | None = None
    confirmed: int = 0
    gathered: int = 0
    paused: bool = False
    policy: SwapPolicy = "between cases"
    wanted: bool = False
    _epoch: int = 0
    _phase: LearningPhase = "idle"
    _sentence: str = ""

    @property
    def running(self) -> bool:
        """Whether an episode is under way."""
        return self._phase in ("training", "checking")

    def state(self) -> LearningState:
        """The state line."""
        phase, sentence = self._phase, self._sentence
        if phase in ("idle", "waiting", "paused"):
            phase = "paused" if self.paused else ("waiting" if self.confirmed else "idle")
            sentence = {
                "paused": "Learning is paused; confirmed cases are kept for later.",
                "waiting": f"{self.gathered} of {self.needed} confirmed cases until the next episode.",
                "idle": "Nothing to learn from yet: confirm a case.",
            }[phase]
        losses = self.episodes[-1].train_loss if self.episodes else ()
        return LearningState(
            phase=phase,
            sentence=sentence,
            weights_version=self.current,
            waiting_version=self.waiting,
            confirmed=self.confirmed,
            gathered=self.gathered,
            needed=self.needed,
            episode=len(self.episodes),
            epoch=self._epoch,
            epochs=self.epochs,
            loss=losses[-1] if losses else None,
            seconds_left=float(self.epochs - self._epoch) if phase == "training" else None,
            swap_policy=self.policy,
            paused=self.paused,
            target=self.target,
        )

    def case_confirmed(self) -> None:
        """Count a confirmation; start an episode when enough have gathered."""
        self.confirmed += 1
        self.gathered += 1
        if not self.running:
            self._enter("waiting", "")
            self.start_if_due()

    def start_if_due(self) -> None:
        """Start an episode if enough have gathered, or one was asked for, and no other target trains."""
        due = self.wanted or (self.gathered >= self.needed and not self.paused)
        if due and not self.running and not self.busy():
            self.start()

    def start(self) -> None:
        """Start an episode with what has gathered; while another target trains, this one is next."""
        if self.running:
            raise EpisodeError(f"Episode {len(self.episodes)} is running already; wait for it or cancel it.")
        if self.confirmed < 2:
            raise EpisodeError("An episode needs at least two confirmed cases; confirm more first.")
        self.wanted = self.busy()
        if self.wanted:
            return
        held_out = max(1, round(0.2 * self.confirmed))
        self.episodes.append(
            EpisodeRow(
                len(self.episodes) + 1, self.confirmed, self.confirmed - held_out, held_out, "running",
                started="2026-01-01T00:00:00Z", val_score=(0.6,), target=self.target,
            )
        )  # fmt: skip
        self.gathered = self._epoch = 0
        self._enter("training", f"Episode {len(self.episodes)} is training.")

    def step(self) -> None:
        """Advance the running episode by one epoch, or to its decision."""
        if not self.running or self.held:
            return
        scripted = self.script[min(len(self.episodes), len(self.script)) - 1]
        row = self.episodes[-1]
        if self._phase == "training" and self._epoch < self.epochs:
            self._epoch += 1
            loss = round(1.0 / (1.0 + self._epoch), 4)
            self.episodes[-1] = replace(
                row,
                train_loss=(*row.train_loss, loss),
                val_score=(*row.val_score, round(0.6 + 0.04 * self._epoch, 4)),
                seconds=row.seconds + 1.0,
            )
            self._tell(
                "episode_progress", episode=row.number, epoch=self._epoch, epochs=self.epochs, loss=loss,
                seconds_left=float(self.epochs - self._epoch),
            )  # fmt: skip
        elif scripted.failure:
            self._end(replace(row, status="failed", reason=scripted.failure), "failed", scripted.failure)
            self._tell("episode_failed", episode=row.number, reason=scripted.failure)
        elif self._phase == "training":
            self._enter("checking", "The new weights are compared with the current ones on held-out cases.")
        else:
            self._decide(row, scripted)

    def _decide(self, row: EpisodeRow, scripted: ScriptedEpisode) -> None:
        names = tuple(f"held-out {i + 1}" for i in range(len(scripted.before)))
        decision = GateDecision(scripted.promoted, "", names, scripted.before, scripted.after)
        better = "better" if scripted.promoted else "not better"
        reason = (
            f"Mean Dice on {len(names)} held-out cases {decision.mean_before:.2f} before, "
            f"{decision.mean_after:.2f} after: {better}."
        )
        number = len(self.versions)
        self.versions.append(
            WeightsVersion(
                number, self.current, MODEL_HASH, LICENCE, "delta.safetensors", "1" * 64, "in", row.number,
                created="2026-01-01T00:00:00Z", decision=replace(decision, reason=reason),
            )
        )  # fmt: skip
        row = replace(
            row, status="finished", promoted=scripted.promoted, reason=reason, version=number,
            mean_before=decision.mean_before, mean_after=decision.mean_after,
            worst_change=decision.worst_change,
        )  # fmt: skip
        name: LearningPhase = "promoted" if scripted.promoted else "rejected"
        if scripted.promoted:
            self.waiting = number
        self._end(row, name, f"Episode {row.number} was {name}. {reason}")
        self._tell(name, episode=row.number, version=number, reason=reason)
        if self.policy == "at once":
            self.swap_if_waiting()

    def take_back(self, reason: str) -> None:
        """End the newest version's probation: the version before it comes back."""
        version = self.versions[-1]
        self.versions[-1] = replace(
            version, standing="taken back", verdict=GateDecision(False, reason, ("new case",), (0.6,), (0.5,))
        )
        self.current, self.waiting = version.parent or 0, None
        again = f"Version {self.current} is in use again."
        self._end(
            replace(self.episodes[-1], standing="taken back", verdict=reason),
            "taken back",
            f"Version {version.number} was taken back. {again} {reason}",
        )
        self._tell("taken_back", version=version.number, in_use=self.current, reason=reason)

    def cancel(self) -> None:
        """Stop the running episode."""
        if not self.running:
            raise EpisodeError("No episode is running, so there is nothing to cancel.")
        self._end(replace(self.episodes[-1], status="cancelled", reason="Cancelled."), "cancelled",
                  f"Episode {len(self.episodes)} was cancelled; the weights stay as they were.")  # fmt: skip

    def swap_if_waiting(self) -> None:
        """Bring promoted weights into use."""
        if self.waiting is not None:
            self.current, self.waiting = self.waiting, None
            self._tell("swapped", version=self.current)
            self._tell("learning")

    def roll_back(self, version: int) -> None:
        """Use an earlier version."""
        if not 0 <= version < len(self.versions):
            newest = len(self.versions) - 1
            raise UnknownVersion(f"There is no weights version {version}; the newest is {newest}.")
        self.current, self.waiting = version, None
        self._tell("rolled_back", version=version)
        self._tell("learning")

    def _end(self, row: EpisodeRow, phase: LearningPhase, sentence: str) -> None:
        self.episodes[-1] = row
        self._enter(phase, sentence)

    def _tell(self, name: str, **data: EventValue) -> None:
        self.events.publish(name, target=self.target, **data)

    def _enter(self, phase: LearningPhase, sentence: str) -> None:
        self._phase, self._sentence = phase, sentence
        self._tell("learning")
