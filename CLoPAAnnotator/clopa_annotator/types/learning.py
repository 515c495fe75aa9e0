"""What learning produces: the split of cases, episodes, gate decisions and weights versions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from clopa_annotator.errors import ConfigError


@dataclass(frozen=True)
class Split:
    """Which confirmed cases train and which validate; both only grow.

    Attributes:
        train: sequence numbers of the cases to train on, in order of arrival.
        val: sequence numbers of the held-out cases, in order of arrival.
        unassigned: sequence numbers not in an episode yet, in order of arrival.
    """

    train: tuple[int, ...] = ()
    val: tuple[int, ...] = ()
    unassigned: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        everything = (*self.train, *self.val, *self.unassigned)
        if len(set(everything)) != len(everything):
            raise ConfigError("A case was given to training and validation both, or twice to one of them.")


@dataclass(frozen=True)
class EpisodeRequest:
    """An order to fine-tune: made by the scheduler, completed by the pipeline.

    Attributes:
        number: 1 for the campaign's first episode.
        at_case: how many cases had been confirmed when it fired.
        split: the cases, after this episode's additions; ``unassigned`` is empty.
        parent_version: weights version to start from.
        strategy: name of the strategy, see ``config``.
        seed: seed of every random choice in the episode.
        target: key of the target that it trains; "" for the campaign's first.
    """

    number: int
    at_case: int
    split: Split
    parent_version: int = 0
    strategy: str = "clopa-in"
    seed: int = 0
    target: str = ""


EpisodeStatus = Literal["finished", "cancelled", "failed"]


@dataclass(frozen=True)
class EpisodeResult:
    """How an episode ended.

    Attributes:
        number: the request's number.
        status: only "finished" can lead to a promotion.
        reason: a sentence when the status is not "finished", else empty.
        delta_path: safetensors file of the candidate's changed tensors; None unless finished.
        seconds: wall time over all runs of a resumed episode.
        updates: optimiser steps done.
        best_epoch: epoch whose weights the delta holds; 0 means that the incoming weights were kept.
        train_loss: mean loss per epoch.
        val_score: the loop's own validation score per epoch, index 0 before training.
    """

    number: int
    status: EpisodeStatus
    reason: str = ""
    delta_path: Path | None = None
    seconds: float = 0.0
    updates: int = 0
    best_epoch: int = 0
    train_loss: tuple[float, ...] = ()
    val_score: tuple[float, ...] = ()


@dataclass(frozen=True)
class PairedCurves:
    """One case, annotated with two versions of the weights by the same simulated clicks.

    Attributes:
        case_id: the case.
        before: Dice of the first proposal and after each correction with the weights to beat, in [0, 1].
        after: the same with the candidate's, of the same length.
    """

    case_id: str
    before: tuple[float, ...]
    after: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.before or len(self.before) != len(self.after):
            raise ConfigError(f"Case {self.case_id} needs two curves of one length to be compared.")


@dataclass(frozen=True)
class GateDecision:
    """Whether a candidate may replace the current weights or stay in their place, and why.

    Attributes:
        promoted: the decision.
        reason: a sentence with its numbers.
        case_ids: the cases that it rests on, paired with the lists of scores.
        before: score of the weights to beat per case, in [0, 1]: mean Dice over the curve.
        after: score of the candidate per case, in [0, 1].
        first_before: Dice of the first proposal per case with the weights to beat.
        first_after: with the candidate's.
        last_before: Dice after the last correction per case with the weights to beat.
        last_after: with the candidate's.
        chance: probability that the score's gain is real; None where it was not asked for.
        probation: newly confirmed cases that have still to decide; 0 for none.
    """

    promoted: bool
    reason: str
    case_ids: tuple[str, ...] = ()
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    first_before: tuple[float, ...] = ()
    first_after: tuple[float, ...] = ()
    last_before: tuple[float, ...] = ()
    last_after: tuple[float, ...] = ()
    chance: float | None = None
    probation: int = 0

    @property
    def why(self) -> str:
        """The reason without its verdict, for a sentence that has said it already."""
        return self.reason.removeprefix("Promoted: ").removeprefix("Not promoted: ")

    @property
    def mean_before(self) -> float:
        """Mean score of the current weights; NaN without cases."""
        return float(np.mean(self.before)) if self.before else float("nan")

    @property
    def mean_after(self) -> float:
        """Mean score of the candidate; NaN without cases."""
        return float(np.mean(self.after)) if self.after else float("nan")

    @property
    def worst_change(self) -> float:
        """Most negative change of a single case; NaN without cases."""
        if not self.before:
            return float("nan")
        return float(np.min(np.subtract(self.after, self.before)))


Standing = Literal[
    "", "on probation", "confirmed", "taken back", "replaced", "promoted", "rejected", "chosen"
]
"""What became of a version: "promoted" is one that an earlier version of the program put into use for good,
"replaced" one whose probation ended because other weights came into use, "chosen" one that a person restored.
"""


@dataclass(frozen=True)
class WeightsVersion:
    """One entry of the registry: base plus delta, with its lineage.

    Attributes:
        number: 0 is the untouched base.
        parent: version it was trained from; None for the base.
        model_hash: SHA-256 of the base weights that the delta belongs to.
        licence: first line of the base's licence, inherited.
        delta_file: file name relative to the version's folder; None for the base.
        delta_hash: SHA-256 of that file; empty for the base.
        parameter_group: name of the tuned group; empty for the base.
        episode: number of the episode; None for the base and for imported deltas.
        case_hashes: record hashes of the cases it was trained on.
        seed: the episode's seed.
        code_version: version of this package.
        created: ISO 8601 instant, for people.
        decision: the gate's decision; None for the base.
        standing: what became of it; empty for the base and for a candidate that was not judged.
        verdict: what its probation ended with; None before that.
    """

    number: int
    parent: int | None
    model_hash: str
    licence: str
    delta_file: str | None = None
    delta_hash: str = ""
    parameter_group: str = ""
    episode: int | None = None
    case_hashes: tuple[str, ...] = ()
    seed: int = 0
    code_version: str = ""
    created: str = ""
    decision: GateDecision | None = None
    standing: Standing = ""
    verdict: GateDecision | None = None
