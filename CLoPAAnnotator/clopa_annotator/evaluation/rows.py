"""What a finished run says about itself, as dataclasses; `tables` writes and reads them as files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from clopa_annotator.evaluation.case_rows import CaseRow
from clopa_annotator.evaluation.curves import TestSummary
from clopa_annotator.evaluation.suggestion_rows import SuggestionSummary
from clopa_annotator.types import EpisodeRequest, EpisodeResult, GateDecision, WeightsVersion

NAN = math.nan


@dataclass(frozen=True)
class EpisodeSummary:
    """One episode as the report shows it.

    Attributes:
        version: weights version that the episode made; None if it made none.
        at_case: confirmed cases when it fired.
        train: number of training cases.
        val: number of held-out cases.
        seconds: wall time.
        updates: optimiser steps.
        val_before: mean score of the weights before, on the held-out cases through the real session.
        val_after: the candidate's, on the same cases.
        promoted: whether the candidate replaced the weights before.
        reason: the gate's sentence, or why the episode failed.
        train_loss: mean loss per epoch.
        val_score: the loop's own validation score, index 0 before training.
        standing: what became of the version by the end of the run, see `types.Standing`.
        verdict: how its probation ended, in words; empty if it did not.
        taken_back_at: confirmed cases when the version was taken back; None if it was not.
        returned_to: the version that came into use instead.
        target: name of the target where a run has several; else empty.
    """

    version: int | None
    at_case: int
    train: int
    val: int
    seconds: float
    updates: int
    val_before: float = NAN
    val_after: float = NAN
    promoted: bool = False
    reason: str = ""
    train_loss: tuple[float, ...] = ()
    val_score: tuple[float, ...] = ()
    standing: str = ""
    verdict: str = ""
    taken_back_at: int | None = None
    returned_to: int | None = None
    target: str = ""


def episode_summary(
    request: EpisodeRequest, result: EpisodeResult, version: int | None, decision: GateDecision | None
) -> EpisodeSummary:
    """The report's row about an episode."""
    return EpisodeSummary(
        version=version,
        at_case=request.at_case,
        train=len(request.split.train),
        val=len(request.split.val),
        seconds=result.seconds,
        updates=result.updates,
        val_before=decision.mean_before if decision else NAN,
        val_after=decision.mean_after if decision else NAN,
        promoted=bool(decision and decision.promoted),
        reason=decision.reason if decision else result.reason,
        train_loss=result.train_loss,
        val_score=result.val_score,
    )


def with_standing(
    episode: EpisodeSummary, version: WeightsVersion | None, returns: Mapping[int, tuple[int, int]]
) -> EpisodeSummary:
    """The row with what became of the episode's version.

    Args:
        episode: the row.
        version: its version at the end of the run.
        returns: per version that was taken back the number of confirmed cases then, and what came instead.
    """
    if version is None or version.number != episode.version:
        return episode
    verdict = version.verdict.reason if version.verdict else ""
    at, to = returns.get(version.number, (None, None))
    return replace(episode, standing=version.standing, verdict=verdict, taken_back_at=at, returned_to=to)


def versions_in_use(episodes: Iterable[EpisodeSummary]) -> tuple[tuple[int, int], ...]:
    """(confirmed cases, version in use from then on), in order; empty if the base always was."""
    changes = []
    for e in episodes:
        if e.promoted and e.version is not None:
            changes.append((e.at_case, 1, e.version))
        if e.taken_back_at is not None:
            changes.append((e.taken_back_at, 0, e.returned_to or 0))
    return tuple((count, version) for count, _, version in sorted(changes))


@dataclass(frozen=True)
class StreamSummary:
    """The stream of confirmed cases in three numbers.

    Attributes:
        n: confirmed cases.
        dice_first_shown: mean Dice of the first proposals.
        dice_confirmed: mean Dice of the last proposals, before the confirmed mask took their place.
        clicks: mean number of corrections.
    """

    n: int = 0
    dice_first_shown: float = NAN
    dice_confirmed: float = NAN
    clicks: float = NAN


@dataclass(frozen=True)
class DetectionSummary:
    """How many of a kind were found on the unseen cases with one weights version; see `metrics.detect`.

    Attributes:
        version: weights version.
        references: how many there are.
        f1_init: F1 at IoU 0.5 of the first proposals.
        f1_final: of those after the last correction.
    """

    version: int
    references: int
    f1_init: float
    f1_final: float


@dataclass(frozen=True)
class TargetSummary:
    """What a run says about one of its targets.

    Attributes:
        episodes: in order; those of all targets where they learn together.
        test: one row per weights version of this target, the base first.
        stream: about its confirmed masks.
        detection: one row per weights version where there may be several of it in an image; else empty.
    """

    episodes: tuple[EpisodeSummary, ...] = ()
    test: tuple[TestSummary, ...] = ()
    stream: StreamSummary = StreamSummary()
    detection: tuple[DetectionSummary, ...] = ()


@dataclass(frozen=True)
class RunSummary:
    """``summary.json``: what was run, and what came of it.

    A run with targets says everything per target: ``episodes`` and ``test`` are empty then, because versions
    count per target, and ``stream`` is about all masks.

    Attributes:
        strategy: name of the strategy.
        model: name or folder of the base model.
        seed: seed of every random choice.
        schedule: name of the schedule; empty for an evaluation.
        clicks: corrections allowed per case.
        episodes: in order.
        test: one row per weights version, the base first.
        stream: about the confirmed cases.
        command: "simulate" or "evaluate".
        dataset: name of the dataset; runs on the same one can be compared.
        runs: inference runs per case.
        threshold: expert's Dice for NoI; NaN if none was given.
        tolerance_mm: of the surface Dice; NaN if it was left out.
        seconds: wall time of the whole run.
        licence: first line of the base model's licence.
        suggestions: about the masks before the first click.
        variant: what sets this run apart from others of its strategy; empty for nothing.
        permutation: order of the stream; 0 is that of the draw.
        targets: by the target's name, in order; empty unless the run was given targets.
        order: in which the stream's cases came, see `case_order.in_order`.
    """

    strategy: str
    model: str
    seed: int
    schedule: str
    clicks: int
    episodes: tuple[EpisodeSummary, ...] = ()
    test: tuple[TestSummary, ...] = ()
    stream: StreamSummary = StreamSummary()
    command: str = "simulate"
    dataset: str = ""
    runs: int = 1
    threshold: float = NAN
    tolerance_mm: float = NAN
    seconds: float = NAN
    licence: str = ""
    suggestions: SuggestionSummary = field(default_factory=SuggestionSummary)
    variant: str = ""
    permutation: int = 0
    targets: Mapping[str, TargetSummary] = field(default_factory=dict)
    order: str = "added"

    def of(self, target: str) -> RunSummary:
        """The run as if it had this target alone; itself where it was given none."""
        if not self.targets:
            return self
        only = self.targets[target]
        return replace(self, episodes=only.episodes, test=only.test, stream=only.stream, targets={})


def summarise_stream(rows: Iterable[CaseRow]) -> StreamSummary:
    """Means over the rows of the stream; NaN where there is none."""
    stream = [row for row in rows if row.part == "stream"]
    if not stream:
        return StreamSummary()
    n = len(stream)
    return StreamSummary(
        n=n,
        dice_first_shown=sum(row.dice_first_shown for row in stream) / n,
        dice_confirmed=sum(row.dice_confirmed for row in stream) / n,
        clicks=sum(row.clicks for row in stream) / n,
    )
