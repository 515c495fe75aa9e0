"""What is told of learning: frozen values, without behaviour. Instants are ISO 8601 strings in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LearningPhase = Literal[
    "idle", "waiting", "training", "checking", "promoted", "rejected", "confirmed", "taken back", "failed",
    "cancelled", "paused",
]  # fmt: skip
SwapPolicy = Literal["between cases", "at once"]


@dataclass(frozen=True)
class LearningState:
    """What the learning panel shows in one line.

    Attributes:
        phase: "waiting" while cases gather, "paused" if the lead paused learning; "promoted", "rejected",
            "confirmed", "taken back", "failed" and "cancelled" last until the next confirmation.
        sentence: the same in words, with numbers and reasons; never empty.
        weights_version: version that the next prediction uses.
        waiting_version: promoted version that will be used from the next case on; None if there is none.
        confirmed: cases confirmed and not withdrawn.
        gathered: cases since the last episode.
        needed: how many of them start an episode.
        episode: number of the running or last episode; 0 before the first.
        epoch: epochs finished of the running episode.
        epochs: epochs it will have.
        loss: latest mean training loss; None if there is none.
        seconds_left: estimate for the running episode; None if unknown.
        swap_policy: when promoted weights come into use.
        paused: whether no new episode starts by itself.
        target: key of the target that this is about.
    """

    phase: LearningPhase
    sentence: str
    weights_version: int = 0
    waiting_version: int | None = None
    confirmed: int = 0
    gathered: int = 0
    needed: int = 0
    episode: int = 0
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    seconds_left: float | None = None
    swap_policy: SwapPolicy = "between cases"
    paused: bool = False
    target: str = ""


@dataclass(frozen=True)
class EpisodeRow:
    """One episode, as the lead's table shows it.

    Attributes:
        number: 1 for the first.
        at_case: confirmed cases when it fired.
        train: number of training cases.
        val: number of held-out cases.
        status: "running", or how it ended.
        promoted: the gate's decision; None while there is none.
        reason: the decision's or the failure's reason, in words.
        version: weights version that it made; None if none.
        started: ISO 8601 instant.
        seconds: wall time.
        mean_before: mean score of the weights before, over the held-out cases; None if not scored.
        mean_after: mean score of the candidate; None if not scored.
        worst_change: most negative change of a single held-out case; None if not scored.
        train_loss: mean loss per epoch.
        val_score: validation score per epoch, index 0 before training.
        standing: what became of its version, see `types.Standing`; empty if it made none.
        verdict: how the version's probation ended, in words; empty before that.
        target: key of the target that it trained.
    """

    number: int
    at_case: int
    train: int
    val: int
    status: Literal["running", "finished", "cancelled", "failed"]
    promoted: bool | None = None
    reason: str = ""
    version: int | None = None
    started: str = ""
    seconds: float = 0.0
    mean_before: float | None = None
    mean_after: float | None = None
    worst_change: float | None = None
    train_loss: tuple[float, ...] = ()
    val_score: tuple[float, ...] = ()
    standing: str = ""
    verdict: str = ""
    target: str = ""
