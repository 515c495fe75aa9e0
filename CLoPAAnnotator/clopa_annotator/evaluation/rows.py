"""What a finished run says about itself, as dataclasses; `tables` writes and reads them as files."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from clopa_annotator.evaluation.curves import CaseCurve, TestSummary, nauc
from clopa_annotator.types import EpisodeRequest, EpisodeResult, GateDecision, WeightsVersion

NAN = math.nan
Part = Literal["stream", "test"]


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
class TargetSummary:
    """What a run says about one of its targets.

    Attributes:
        episodes: in order; those of all targets where they learn together.
        test: one row per weights version of this target, the base first.
        stream: about its confirmed masks.
    """

    episodes: tuple[EpisodeSummary, ...] = ()
    test: tuple[TestSummary, ...] = ()
    stream: StreamSummary = StreamSummary()


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
        variant: what sets this run apart from others of its strategy; empty for nothing.
        permutation: order of the stream; 0 is that of the draw.
        targets: by the target's name, in order; empty unless the run was given targets.
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
    variant: str = ""
    permutation: int = 0
    targets: Mapping[str, TargetSummary] = field(default_factory=dict)

    def of(self, target: str) -> RunSummary:
        """The run as if it had this target alone; itself where it was given none."""
        if not self.targets:
            return self
        only = self.targets[target]
        return replace(self, episodes=only.episodes, test=only.test, stream=only.stream, targets={})


@dataclass(frozen=True)
class CaseRow:
    """One row of ``cases.csv``: one case with one weights version in one run.

    Attributes:
        part: "stream" for a case that was confirmed, "test" for one that never trains.
        order: place in the stream, from 1; for test cases, place in the list.
        case: name of the case.
        run: inference run.
        version: weights version of the proposals.
        clicks: corrections given.
        dice_first_shown: Dice of the first proposal.
        dice_confirmed: Dice of the last proposal.
        dice_nauc: area under the Dice curve.
        nsd_first_shown: NSD of the first proposal.
        nsd_confirmed: NSD of the last proposal.
        seconds: time of all predictions.
        target: name of the target where a run has several; else empty.
    """

    part: Part
    order: int
    case: str
    run: int
    version: int
    clicks: int
    dice_first_shown: float
    dice_confirmed: float
    dice_nauc: float
    nsd_first_shown: float
    nsd_confirmed: float
    seconds: float
    target: str = ""


@dataclass(frozen=True)
class ClickRow:
    """One row of ``clicks.csv``: the score after one correction; click 0 is the initial prompt.

    Attributes:
        case: name of the case.
        run: inference run.
        version: weights version.
        click: number of the correction.
        dice: of the proposal.
        nsd: of the proposal.
        seconds: that the prediction took; 0 where nothing was left to correct and the value is repeated.
        part: as in `CaseRow`.
        target: as in `CaseRow`.
    """

    case: str
    run: int
    version: int
    click: int
    dice: float
    nsd: float
    seconds: float
    part: Part = "test"
    target: str = ""


def case_row(curve: CaseCurve, part: Part, order: int) -> CaseRow:
    """The row of ``cases.csv`` about one curve."""
    return CaseRow(
        part=part,
        order=order,
        case=curve.case_id,
        run=curve.run,
        version=curve.version,
        clicks=curve.used,
        dice_first_shown=curve.dice[0],
        dice_confirmed=curve.dice[-1],
        dice_nauc=nauc(curve.dice),
        nsd_first_shown=curve.nsd[0],
        nsd_confirmed=curve.nsd[-1],
        seconds=sum(curve.seconds),
        target=curve.target,
    )


def click_rows(curve: CaseCurve, part: Part) -> tuple[ClickRow, ...]:
    """The rows of ``clicks.csv`` about one curve, padding included."""
    points = enumerate(zip(curve.dice, curve.nsd, curve.seconds, strict=True))
    return tuple(
        ClickRow(curve.case_id, curve.run, curve.version, click, dice, nsd, seconds, part, curve.target)
        for click, (dice, nsd, seconds) in points
    )


def curves_from_clicks(rows: Iterable[ClickRow], part: Part = "test") -> tuple[CaseCurve, ...]:
    """The curves behind ``clicks.csv``, in the order of their first rows.

    ``used`` is the last click that took time, which is exact for real predictions.
    """
    groups: dict[tuple[str, str, int, int], list[ClickRow]] = defaultdict(list)
    for row in rows:
        if row.part == part:
            groups[row.target, row.case, row.run, row.version].append(row)
    return tuple(_curve(sorted(group, key=lambda row: row.click)) for group in groups.values())


def _curve(rows: list[ClickRow]) -> CaseCurve:
    return CaseCurve(
        case_id=rows[0].case,
        run=rows[0].run,
        version=rows[0].version,
        dice=tuple(row.dice for row in rows),
        nsd=tuple(row.nsd for row in rows),
        seconds=tuple(row.seconds for row in rows),
        used=max((row.click for row in rows if row.seconds > 0), default=0),
        target=rows[0].target,
    )


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
