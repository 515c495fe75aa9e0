"""What a simulation gathers on its way, target by target, and what its summary makes of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.lines import LearningLine
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.evaluation.case_rows import CaseRow, case_row
from clopa_annotator.evaluation.curves import CaseCurve, summarise_versions
from clopa_annotator.evaluation.metrics import detect, together
from clopa_annotator.evaluation.rows import (
    DetectionSummary,
    EpisodeSummary,
    RunSummary,
    TargetSummary,
    summarise_stream,
)
from clopa_annotator.evaluation.suggestion_rows import SuggestionRow, summarise_suggestions
from clopa_annotator.experiments.measurement import Progress
from clopa_annotator.experiments.result_cache import ResultCache
from clopa_annotator.experiments.simulation_settings import SimulationSettings
from clopa_annotator.types import Mask, Slot
from clopa_annotator.types.targets import FIRST


@dataclass
class Shown:
    """Several of a kind in one unseen case: what there is, and what was proposed for each."""

    references: list[Mask] = field(default_factory=list)
    first: list[Mask] = field(default_factory=list)
    last: list[Mask] = field(default_factory=list)


@dataclass
class TargetRun:
    """What a run gathers on its way about one target; targets that learn together share their episodes."""

    settings: SimulationSettings
    progress: Progress
    recall: ResultCache | None
    line: LearningLine
    target: str = ""
    slot: Slot = FIRST
    stream: list[CaseCurve] = field(default_factory=list)
    test: list[CaseCurve] = field(default_factory=list)
    episodes: list[EpisodeSummary] = field(default_factory=list)
    returns: dict[int, tuple[int, int]] = field(default_factory=dict)
    detections: dict[tuple[int, str], Shown] = field(default_factory=dict)
    suggested: list[SuggestionRow] = field(default_factory=list)

    def found(self, case: LabelledCase, curve: CaseCurve) -> None:
        """Keep what the detection figures need of an unseen case, if it is one of several of a kind."""
        if case.part is not None:
            shown = self.detections.setdefault((curve.version, case.case_id), Shown())
            shown.references.append(case.read()[1])
            shown.first.append(curve.proposals[0])
            shown.last.append(curve.proposals[curve.used])


def target_runs(
    campaign: Campaign,
    settings: SimulationSettings,
    progress: Progress,
    recall: ResultCache | None,
    is_named: bool,
) -> list[TargetRun]:
    """What there is to gather, per target of a campaign; nothing has a name where no target was given."""
    runs: list[TargetRun] = []
    for target in campaign.targets:
        name, line = target.name if is_named else "", campaign.line(target.key)
        run = TargetRun(settings, progress, recall, line, name, Slot(target.key))
        together = next((other for other in runs if other.line is line), run)
        run.episodes, run.returns = together.episodes, together.returns
        runs.append(run)
    return runs


def summary_of(runs: Sequence[TargetRun], dataset: str, seconds: float, licence: str) -> RunSummary:
    """``summary.json`` of a simulation."""
    settings, whole = runs[0].settings, [_target_summary(run) for run in runs]
    named = {run.target: summary for run, summary in zip(runs, whole, strict=True) if run.target}
    only = TargetSummary() if named else whole[0]
    return RunSummary(
        strategy=settings.strategy,
        model=settings.model,
        seed=settings.seed,
        schedule=settings.schedule,
        clicks=settings.clicks,
        episodes=only.episodes,
        test=only.test,
        stream=summarise_stream(stream_rows(runs)),
        dataset=dataset,
        runs=settings.runs,
        threshold=settings.threshold,
        tolerance_mm=settings.tolerance_mm if settings.tolerance_mm is not None else math.nan,
        seconds=seconds,
        licence=licence,
        suggestions=summarise_suggestions([row for run in runs for row in run.suggested]),
        variant=settings.variant,
        permutation=settings.permutation,
        targets=named,
        order=settings.order,
    )


def _target_summary(run: TargetRun) -> TargetSummary:
    test = summarise_versions(run.test, run.settings.threshold) if run.test else ()
    stream, found = summarise_stream(stream_rows([run])), detection_rows(run.detections)
    return TargetSummary(tuple(run.episodes), test, stream, found)


def stream_rows(runs: Iterable[TargetRun]) -> list[CaseRow]:
    """The rows of ``cases.csv`` about the stream, one target after another."""
    return [case_row(c, "stream", n + 1) for run in runs for n, c in enumerate(run.stream)]


def detection_rows(shown: Mapping[tuple[int, str], Shown]) -> tuple[DetectionSummary, ...]:
    """One row per weights version.

    Args:
        shown: by weights version and case.
    """
    rows = []
    for version in sorted({version for version, _ in shown}):
        cases = [case for (of, _), case in shown.items() if of == version]
        first = together(detect(case.references, case.first) for case in cases)
        last = together(detect(case.references, case.last) for case in cases)
        rows.append(DetectionSummary(version, first.references, first.f1, last.f1))
    return tuple(rows)
