"""A campaign with a simulated annotator, from the first case to the report.

`run_simulation` walks a stream of labelled cases through a real campaign: real session, real cache, real
episodes in their job folders, the real gate, real swaps. Afterwards the weights versions that were in use are
measured on cases outside the stream (`measurement`).
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.probation import Probation
from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.datasets.target_present import require_target
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation import pictures
from clopa_annotator.evaluation.curves import CaseCurve, summarise_versions
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings
from clopa_annotator.evaluation.report import write_report
from clopa_annotator.evaluation.rows import (
    EpisodeSummary,
    RunSummary,
    case_row,
    click_rows,
    episode_summary,
    summarise_stream,
    with_standing,
)
from clopa_annotator.evaluation.tables import to_json, write_run
from clopa_annotator.experiments.measurement import (
    Clicking,
    Progress,
    annotate,
    measure,
)
from clopa_annotator.experiments.result_cache import ResultCache, episode_key
from clopa_annotator.experiments.run_folder import CAMPAIGN, REPORT, TABLES, RunFolder
from clopa_annotator.experiments.simulated_campaign import SIMULATED_ANNOTATOR
from clopa_annotator.experiments.simulation_settings import SimulationSettings
from clopa_annotator.training.job_runner import run_episode_job
from clopa_annotator.training.replay import run_replay
from clopa_annotator.types import Confirmation, EpisodeResult, GateDecision


@dataclass
class _Run:
    """What a run gathers on its way."""

    settings: SimulationSettings
    progress: Progress
    recall: ResultCache | None
    stream: list[CaseCurve] = field(default_factory=list)
    test: list[CaseCurve] = field(default_factory=list)
    episodes: list[EpisodeSummary] = field(default_factory=list)
    returns: dict[int, tuple[int, int]] = field(default_factory=dict)


def run_simulation(
    stream: Sequence[LabelledCase],
    held_out: Sequence[LabelledCase],
    settings: SimulationSettings,
    out: Path | RunFolder,
    progress: Progress,
    recall: ResultCache | None = None,
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

    Returns:
        The content of ``summary.json``.

    Raises:
        ConfigError: the stream is empty, or ``out`` holds an earlier run or files of another origin.
        DatasetError: no case has the target.
    """
    if not stream:
        raise ConfigError("A campaign needs at least one case; raise --limit or give a larger dataset.")
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
    )
    run = _Run(settings, progress, recall)
    folder.claim(CAMPAIGN)
    with Campaign.create(folder.out / CAMPAIGN, config, device=settings.device) as campaign:
        _walk_stream(campaign, stream, run)
        _test_versions(campaign, held_out, run, folder)
        licence = campaign.model.licence
    summary = _summary(run, _dataset_name(stream), time.perf_counter() - started, licence)
    return _write(folder, summary, run)


def _begun(out: Path, overwrite: bool) -> RunFolder:
    folder = RunFolder(out, "simulate")
    folder.begin(overwrite)
    return folder


def _dataset_name(stream: Sequence[LabelledCase]) -> str:
    return stream[0].image_path.parent.parent.name


def _summary(run: _Run, dataset: str, seconds: float, licence: str) -> RunSummary:
    settings = run.settings
    return RunSummary(
        strategy=settings.strategy,
        model=settings.model,
        seed=settings.seed,
        schedule=settings.schedule,
        clicks=settings.clicks,
        episodes=tuple(run.episodes),
        test=summarise_versions(run.test, settings.threshold) if run.test else (),
        stream=summarise_stream(case_row(c, "stream", n + 1) for n, c in enumerate(run.stream)),
        dataset=dataset,
        runs=settings.runs,
        threshold=settings.threshold,
        tolerance_mm=settings.tolerance_mm if settings.tolerance_mm is not None else math.nan,
        seconds=seconds,
        licence=licence,
        variant=settings.variant,
        permutation=settings.permutation,
    )


def _write(folder: RunFolder, summary: RunSummary, run: _Run) -> dict[str, Any]:
    cases = [case_row(c, "stream", n + 1) for n, c in enumerate(run.stream)]
    orders = {case_id: n + 1 for n, case_id in enumerate(dict.fromkeys(c.case_id for c in run.test))}
    cases += [case_row(c, "test", orders[c.case_id]) for c in run.test]
    clicks = [row for c in run.stream for row in click_rows(c, "stream")]
    clicks += [row for c in run.test for row in click_rows(c, "test")]
    with folder.making(*TABLES):
        write_run(folder.out, summary, cases, clicks)
    if run.settings.report:
        with folder.making(REPORT):
            write_report(folder.out)
    content: dict[str, Any] = to_json(summary)
    return content


def _walk_stream(campaign: Campaign, stream: Sequence[LabelledCase], run: _Run) -> None:
    """Annotate, confirm, learn when the scheduler says so."""
    settings = run.settings
    run.progress.begin("Annotating", len(stream))
    clicks = settings.clicks if settings.stream_clicks is None else settings.stream_clicks
    protocol = ProtocolSettings(clicks, settings.tolerance_mm, settings.threshold, keep=())
    for number, case in enumerate(stream):
        curve = _annotate(campaign, case, protocol, run)
        run.stream.append(curve)
        run.progress.advance(f"{case.case_id}: first {curve.dice[0]:.2f}, {curve.used} clicks")
        _prove(campaign, run)
        last = number == len(stream) - 1
        _learn(campaign, run, final=last and settings.final_episode)
    standings = {v.number: v for v in campaign.registry.versions()}
    run.episodes = [with_standing(e, standings.get(e.version or 0), run.returns) for e in run.episodes]


def _prove(campaign: Campaign, run: _Run) -> None:
    """Replay the new case with the version on probation and the one before; confirm it or take it back."""
    probation = Probation(campaign.line())
    job = probation.next_replay()
    if job is None:
        return
    run_replay(job, device=run.settings.device)
    verdict = probation.settle()
    if verdict is not None:
        run.progress.say(f"Version {verdict.version}: {verdict.decision.reason}")
    if verdict is not None and not verdict.decision.promoted:
        run.returns[verdict.version] = (len(run.stream), verdict.in_use)


def _annotate(campaign: Campaign, case: LabelledCase, protocol: ProtocolSettings, run: _Run) -> CaseCurve:
    seed = run.settings.seed
    image, reference = case.read()
    campaign.store.add_case(case.case_id, image, source=case.image_path.name)
    clicking = Clicking(seed, 0, run.settings.first_prompt)
    curve = annotate(campaign, case, protocol, clicking, run.recall, confirming=True)
    campaign.confirm(
        Confirmation(
            confirmation_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"clopa:{seed}:{case.case_id}")),
            case_id=case.case_id,
            mask=reference,
            prompts=curve.prompts,
            annotator=SIMULATED_ANNOTATOR,
            seconds_active=sum(curve.seconds),
            weights_version=max(curve.version, 0),
            first_shown_dice=curve.dice[0],
        )
    )
    return curve


def _learn(campaign: Campaign, run: _Run, final: bool) -> None:
    request = campaign.next_episode(final_one=final)
    if request is None:
        return
    run.progress.say(
        f"Episode {request.number} after {request.at_case} cases: training on {len(request.split.train)}, "
        f"checking on {len(request.split.val)} ..."
    )
    job = campaign.prepare_job(request)
    result, decision = _train(campaign, job, run)
    version = campaign.adopt(job)
    run.episodes.append(episode_summary(request, result, version.number if version else None, decision))
    run.progress.say(f"Episode {request.number}: {decision.reason or result.reason}")


def _train(campaign: Campaign, job: Path, run: _Run) -> tuple[EpisodeResult, GateDecision]:
    """Run an episode, unless one with the same inputs was run before."""
    train = partial(run_episode_job, job, device=run.settings.device)
    if run.recall is None or campaign.online is not None:
        return train()
    return run.recall.episode(job, episode_key(job, campaign.config, campaign.model.model_hash), train)


def _versions_to_test(campaign: Campaign, which: str) -> list[int]:
    # Negative numbers are provisional: learned between clicks and replaced by the next episode's version.
    known = [v for v in campaign.registry.versions() if v.number >= 0]
    versions = [v.number for v in known if v.decision is None or v.decision.promoted]
    last = campaign.registry.current().number
    return {"all": versions, "ends": sorted({0, last}), "last": [last]}[which]


def _test_versions(
    campaign: Campaign, held_out: Sequence[LabelledCase], run: _Run, folder: RunFolder
) -> None:
    """Measure weights versions on the held-out cases; keep pictures of the first run's proposals."""
    settings = run.settings
    versions = _versions_to_test(campaign, settings.test_versions)
    run.progress.begin("Testing", len(versions) * len(held_out) * settings.runs)
    protocol = ProtocolSettings(settings.clicks, settings.tolerance_mm)
    for version in versions:
        with campaign.using(version):
            for number in range(settings.first_run, settings.first_run + settings.runs):
                clicking = Clicking(settings.seed + 1, number, settings.first_prompt)
                measured = measure(campaign, held_out, protocol, clicking, run.recall)
                for order, (case, curve) in enumerate(measured, start=1):
                    run.test.append(curve)
                    if number == settings.first_run:
                        with folder.making(pictures.file_name("test", order, curve.version)):
                            pictures.record(folder.out, curve, *case.read(), number=order)
                    run.progress.advance(f"version {version}, {case.case_id}: first {curve.dice[0]:.2f}")
