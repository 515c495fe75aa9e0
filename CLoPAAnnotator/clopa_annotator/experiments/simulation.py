"""A campaign with a simulated annotator, from the first case to the report.

`run_simulation` walks a stream of labelled cases through a real campaign: real session, real cache, real
episodes in their job folders, the real gate, real swaps. Afterwards the weights versions that were in use are
measured on cases outside the stream (`measurement`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.lines import LearningLine
from clopa_annotator.campaign.probation import Probation
from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.datasets.target_present import require_target
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation import pictures
from clopa_annotator.evaluation.case_rows import case_row, click_rows
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings
from clopa_annotator.evaluation.report import write_report
from clopa_annotator.evaluation.rows import RunSummary, episode_summary, with_standing
from clopa_annotator.evaluation.suggestion_rows import SuggestionRow
from clopa_annotator.evaluation.tables import to_json, write_rows, write_run
from clopa_annotator.experiments.gathered import TargetRun, stream_rows, summary_of, target_runs
from clopa_annotator.experiments.measurement import (
    Clicking,
    Progress,
    annotate,
    measure,
)
from clopa_annotator.experiments.result_cache import ResultCache, episode_key
from clopa_annotator.experiments.run_folder import CAMPAIGN, REPORT, SUGGESTIONS, TABLES, RunFolder
from clopa_annotator.experiments.simulated_campaign import SIMULATED_ANNOTATOR
from clopa_annotator.experiments.simulation_settings import SimulationSettings
from clopa_annotator.experiments.suggested_stream import SuggestedStream
from clopa_annotator.experiments.target_labels import TargetLabel, cases_of, check_labels, named_targets
from clopa_annotator.training.job_runner import run_episode_job
from clopa_annotator.training.replay import run_replay
from clopa_annotator.types import Confirmation, EpisodeResult, GateDecision
from clopa_annotator.types.targets import FIRST


def run_simulation(
    stream: Sequence[LabelledCase],
    held_out: Sequence[LabelledCase],
    settings: SimulationSettings,
    out: Path | RunFolder,
    progress: Progress,
    recall: ResultCache | None = None,
    targets: Sequence[TargetLabel] = (),
) -> dict[str, Any]:
    """Simulate a campaign and test its weights versions.

    Args:
        stream: cases in their order of arrival.
        held_out: cases for the test, outside the stream.
        settings: see `SimulationSettings`.
        out: gets ``summary.json``, the tables, ``report.html``, pictures and the campaign folder itself; a
            `RunFolder` has been made free by the caller.
        progress: told what happens.
        recall: work that other simulations may have done before; None computes everything.
        targets: what is segmented in each case, in order; empty for what the cases say themselves.

    Returns:
        The content of ``summary.json``.

    Raises:
        ConfigError: the stream is empty, or ``out`` holds an earlier run or files of another origin.
        DatasetError: no case has the target, or one of the targets.
    """
    if not stream:
        raise ConfigError("A campaign needs at least one case; raise --limit or give a larger dataset.")
    remarks = check_labels([*stream, *held_out], targets) if targets else ()
    if not targets:
        require_target([*stream, *held_out])
    started = time.perf_counter()
    folder = out if isinstance(out, RunFolder) else _begun(out, settings.overwrite)
    config = CampaignConfig(
        name=f"Simulation on {_dataset_name(stream)}",
        size=len(stream),
        model=settings.model,
        strategy=settings.strategy,
        schedule=settings.schedule,
        seed=settings.seed,
        unprompted=settings.unprompted if settings.suggestions else 0.0,
        others_as_background=settings.others_as_background,
        first_episode=settings.first_episode,
    )
    for remark in remarks:
        progress.say(remark)
    folder.claim(CAMPAIGN)
    with Campaign.create(
        folder.out / CAMPAIGN, config, named_targets(targets), device=settings.device
    ) as campaign:
        runs = target_runs(campaign, settings, progress, recall, bool(targets))
        _walk_stream(campaign, _per_target(stream, targets), runs)
        for run, cases in zip(runs, _per_target(held_out, targets), strict=True):
            _test_versions(cases, run, folder)
        licence = campaign.model.licence
    summary = summary_of(runs, _dataset_name(stream), time.perf_counter() - started, licence)
    return _write(folder, summary, runs)


def _per_target(
    cases: Sequence[LabelledCase], targets: Sequence[TargetLabel]
) -> list[Sequence[LabelledCase]]:
    """The cases once for each target."""
    return [cases_of(cases, targets, number) for number in range(len(targets))] or [cases]


def _begun(out: Path, overwrite: bool) -> RunFolder:
    folder = RunFolder(out, "simulate")
    folder.begin(overwrite)
    return folder


def _dataset_name(stream: Sequence[LabelledCase]) -> str:
    return stream[0].image_path.parent.parent.name


def _write(folder: RunFolder, summary: RunSummary, runs: Sequence[TargetRun]) -> dict[str, Any]:
    cases = stream_rows(runs)
    for run in runs:
        orders = {case_id: n + 1 for n, case_id in enumerate(dict.fromkeys(c.case_id for c in run.test))}
        cases += [case_row(c, "test", orders[c.case_id]) for c in run.test]
    clicks = [row for run in runs for c in run.stream for row in click_rows(c, "stream")]
    clicks += [row for run in runs for c in run.test for row in click_rows(c, "test")]
    with folder.making(*TABLES, SUGGESTIONS):
        write_run(folder.out, summary, cases, clicks)
        write_rows(folder.out / SUGGESTIONS, SuggestionRow, [row for run in runs for row in run.suggested])
    if runs[0].settings.report:
        with folder.making(REPORT):
            write_report(folder.out)
    content: dict[str, Any] = to_json(summary)
    return content


def _walk_stream(
    campaign: Campaign, streams: Sequence[Sequence[LabelledCase]], runs: Sequence[TargetRun]
) -> None:
    """Annotate every target of a case, confirm each, learn when the scheduler says so."""
    settings, progress = runs[0].settings, runs[0].progress
    progress.begin("Annotating", sum(map(len, streams)))
    clicks = settings.clicks if settings.stream_clicks is None else settings.stream_clicks
    protocol = ProtocolSettings(clicks, settings.tolerance_mm, settings.threshold, keep=())
    suggested = SuggestedStream(campaign, streams, runs)
    for case_id in suggested.case_ids():
        for cases, run in zip(streams, runs, strict=True):
            for case in (case for case in cases if case.case_id == case_id):
                curve = _annotate(campaign, case, protocol, run, suggested)
                run.stream.append(curve)
                which = f"{case.name}, {run.target}" if run.target else case.name
                progress.advance(f"{which}: first {curve.dice[0]:.2f}, {curve.used} clicks")
                _prove(run)
            _learn(campaign, runs)
    if settings.final_episode:
        _learn(campaign, runs, final=True)
    for run in runs:
        standings = {v.number: v for v in run.line.registry.versions()}
        run.episodes[:] = [with_standing(e, standings.get(e.version or 0), run.returns) for e in run.episodes]


def _prove(run: TargetRun) -> None:
    """Replay the new case with the version on probation and the one before; confirm it or take it back."""
    probation = Probation(run.line)
    job = probation.next_replay()
    if job is None:
        return
    run_replay(job, device=run.settings.device)
    verdict = probation.settle()
    if verdict is not None:
        run.progress.say(f"{_of(run)}Version {verdict.version}: {verdict.decision.reason}")
    if verdict is not None and not verdict.decision.promoted:
        run.returns[verdict.version] = (run.line.cases_in(), verdict.in_use)


def _of(run: TargetRun) -> str:
    """How a sentence about a line's learning begins."""
    return f"{run.target}: " if run.target and not run.line.strategy.joint else ""


def _annotate(
    campaign: Campaign,
    case: LabelledCase,
    protocol: ProtocolSettings,
    run: TargetRun,
    suggested: SuggestedStream,
) -> CaseCurve:
    seed = run.settings.seed
    image, reference = case.read()
    campaign.store.add_case(case.case_id, image, source=case.image_path.name)
    clicking = Clicking(seed, 0, run.settings.first_prompt)
    curve = annotate(run.line, case, protocol, clicking, run.recall, confirming=True)
    slot = replace(run.slot, instance=case.part or 1)
    named = f":{slot.target}:{slot.instance}" if slot != FIRST else ""
    ref = campaign.confirm(
        Confirmation(
            confirmation_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"clopa:{seed}:{case.case_id}{named}")),
            case_id=case.case_id,
            mask=reference,
            prompts=curve.prompts,
            annotator=SIMULATED_ANNOTATOR,
            seconds_active=sum(curve.seconds),
            weights_version=max(curve.version, 0),
            first_shown_dice=curve.dice[0],
            slot=slot,
        )
    )
    return replace(
        curve, target=run.target, dice_zero=suggested.confirmed(run, case, reference, ref.sequence)
    )


def _learn(campaign: Campaign, runs: Sequence[TargetRun], final: bool = False) -> None:
    """Train what is due, one episode after another."""
    while (turn := campaign.next_in_turn(final_one=final)) is not None:
        line, request = turn
        run = next(run for run in runs if run.line is line)
        run.progress.say(
            f"{_of(run)}Episode {request.number} after {request.at_case} cases: training on "
            f"{len(request.split.train)}, checking on {len(request.split.val)} ..."
        )
        job = campaign.prepare_job(request)
        result, decision = _train(campaign, job, run)
        version = line.adopt(job)
        run.episodes.append(episode_summary(request, result, version.number if version else None, decision))
        run.progress.say(f"{_of(run)}Episode {request.number}: {decision.reason or result.reason}")


def _train(campaign: Campaign, job: Path, run: TargetRun) -> tuple[EpisodeResult, GateDecision]:
    """Run an episode, unless one with the same inputs was run before."""
    train = partial(run_episode_job, job, device=run.settings.device)
    if run.recall is None or run.line.online is not None:
        return train()
    return run.recall.episode(job, episode_key(job, campaign.config, campaign.model.model_hash), train)


def _versions_to_test(line: LearningLine, which: str) -> list[int]:
    # Negative numbers are provisional: learned between clicks and replaced by the next episode's version.
    known = [v for v in line.registry.versions() if v.number >= 0]
    versions = [v.number for v in known if v.decision is None or v.decision.promoted]
    last = line.registry.current().number
    return {"all": versions, "ends": sorted({0, last}), "last": [last]}[which]


def _test_versions(held_out: Sequence[LabelledCase], run: TargetRun, folder: RunFolder) -> None:
    """Measure weights versions on the held-out cases; keep pictures of the first run's proposals."""
    settings = run.settings
    versions = _versions_to_test(run.line, settings.test_versions)
    run.progress.begin(f"Testing {run.target}".strip(), len(versions) * len(held_out) * settings.runs)
    protocol = ProtocolSettings(settings.clicks, settings.tolerance_mm)
    for version in versions:
        with run.line.using(version):
            for number in range(settings.first_run, settings.first_run + settings.runs):
                clicking = Clicking(settings.seed + 1, number, settings.first_prompt)
                ask = number == settings.first_run and settings.suggestions
                measured = measure(run.line, held_out, protocol, clicking, run.recall, unprompted=ask)
                for order, (case, found) in enumerate(measured, start=1):
                    curve = replace(found, target=run.target)
                    run.test.append(curve)
                    if number == settings.first_run:
                        _picture(folder, curve, case, order)
                        run.found(case, curve)
                    run.progress.advance(f"version {version}, {case.name}: first {curve.dice[0]:.2f}")


def _picture(folder: RunFolder, curve: CaseCurve, case: LabelledCase, order: int) -> None:
    with folder.making(pictures.file_name("test", order, curve.version, curve.target)):
        pictures.record(folder.out, curve, *case.read(), number=order)
