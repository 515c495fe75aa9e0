"""A campaign with a simulated annotator, from the first case to the report.

`run_simulation` walks a stream of labelled cases through a real campaign: real session, real cache, real
episodes in their job folders, the real gate, real swaps. Afterwards every weights version that was ever in
use is measured on cases outside the stream (`measurement`).
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation import pictures
from clopa_annotator.evaluation.annotator import SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.curves import CaseCurve, summarise_versions
from clopa_annotator.evaluation.protocol import ProtocolSettings, run_case
from clopa_annotator.evaluation.report import write_report
from clopa_annotator.evaluation.rows import (
    EpisodeSummary,
    RunSummary,
    case_row,
    click_rows,
    episode_summary,
    summarise_stream,
)
from clopa_annotator.evaluation.tables import to_json, write_run
from clopa_annotator.measurement import EXPERT_DICE, Progress, clear_output, measure
from clopa_annotator.pipeline import Campaign, run_episode_job
from clopa_annotator.types import Confirmation


@dataclass(frozen=True)
class SimulationSettings:
    """How a campaign is simulated.

    Attributes:
        model: base model, see `CampaignConfig`.
        strategy: how it learns.
        schedule: "quick" or "paper".
        clicks: corrections per case, in the stream and in the test.
        seed: of every random choice.
        tolerance_mm: of the surface Dice; None leaves it out.
        threshold: Dice with which the annotator is content: the stream's cases end there, NoI counts to it.
        device: of the network.
        final_episode: train once more on what is left when the stream ends.
        overwrite: replace an earlier run in the same folder.
    """

    model: str = "bundled"
    strategy: str = "clopa-cn"
    schedule: str = "quick"
    clicks: int = 10
    seed: int = 0
    tolerance_mm: float | None = 1.0
    threshold: float = EXPERT_DICE
    device: str = "auto"
    final_episode: bool = False
    overwrite: bool = False


@dataclass
class _Run:
    """What a run gathers on its way."""

    stream: list[CaseCurve] = field(default_factory=list)
    test: list[CaseCurve] = field(default_factory=list)
    episodes: list[EpisodeSummary] = field(default_factory=list)


def run_simulation(
    stream: Sequence[LabelledCase],
    held_out: Sequence[LabelledCase],
    settings: SimulationSettings,
    out: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Simulate a campaign and test its weights versions.

    Args:
        stream: cases in their order of arrival.
        held_out: cases for the test, outside the stream.
        settings: see `SimulationSettings`.
        out: gets ``summary.json``, the tables, ``report.html``, pictures and the campaign folder itself.
        progress: told what happens.

    Returns:
        The content of ``summary.json``.

    Raises:
        ConfigError: the stream is empty, or ``out`` holds an earlier run.
    """
    if not stream:
        raise ConfigError("A campaign needs at least one case; raise --limit or give a larger dataset.")
    started = time.perf_counter()
    clear_output(out, settings.overwrite)
    config = CampaignConfig(
        name=f"Simulation on {stream[0].image_path.parent.parent.name}",
        size=len(stream),
        model=settings.model,
        strategy=settings.strategy,
        schedule=settings.schedule,
        seed=settings.seed,
    )
    run = _Run()
    with Campaign.create(out / "campaign", config, device=settings.device) as campaign:
        _walk_stream(campaign, stream, settings, run, progress)
        _test_versions(campaign, held_out, settings, run, out, progress)
        summary = RunSummary(
            strategy=settings.strategy,
            model=settings.model,
            seed=settings.seed,
            schedule=settings.schedule,
            clicks=settings.clicks,
            episodes=tuple(run.episodes),
            test=summarise_versions(run.test, settings.threshold) if run.test else (),
            stream=summarise_stream(case_row(c, "stream", n + 1) for n, c in enumerate(run.stream)),
            dataset=stream[0].image_path.parent.parent.name,
            threshold=settings.threshold,
            tolerance_mm=settings.tolerance_mm if settings.tolerance_mm is not None else math.nan,
            seconds=time.perf_counter() - started,
            licence=campaign.model.licence,
        )
    return _write(out, summary, run)


def _write(out: Path, summary: RunSummary, run: _Run) -> dict[str, Any]:
    cases = [case_row(c, "stream", n + 1) for n, c in enumerate(run.stream)]
    orders = {case_id: n + 1 for n, case_id in enumerate(dict.fromkeys(c.case_id for c in run.test))}
    cases += [case_row(c, "test", orders[c.case_id]) for c in run.test]
    clicks = [row for c in run.stream for row in click_rows(c, "stream")]
    clicks += [row for c in run.test for row in click_rows(c, "test")]
    write_run(out, summary, cases, clicks)
    write_report(out)
    content: dict[str, Any] = to_json(summary)
    return content


def _walk_stream(
    campaign: Campaign,
    stream: Sequence[LabelledCase],
    settings: SimulationSettings,
    run: _Run,
    progress: Progress,
) -> None:
    """Annotate, confirm, learn when the scheduler says so."""
    progress.begin("Annotating", len(stream))
    protocol = ProtocolSettings(
        clicks=settings.clicks,
        tolerance_mm=settings.tolerance_mm,
        stop_above_dice=settings.threshold,
        keep=(),
    )
    for number, case in enumerate(stream):
        curve = _annotate(campaign, case, protocol, settings.seed)
        run.stream.append(curve)
        progress.advance(f"{case.case_id}: first {curve.dice[0]:.2f}, {curve.used} clicks")
        last = number == len(stream) - 1
        _learn(campaign, settings, run, progress, final=last and settings.final_episode)


def _annotate(campaign: Campaign, case: LabelledCase, protocol: ProtocolSettings, seed: int) -> CaseCurve:
    image, reference = case.read()
    campaign.store.add_case(case.case_id, image, source=case.image_path.name)
    annotator = SimulatedAnnotator(case_rng(seed, 0, case.case_id))
    with campaign.annotating() as session:
        curve = run_case(session, image, reference, annotator, protocol, case_id=case.case_id)
        campaign.learn_from(session, reference)
        campaign.confirm(
            Confirmation(
                confirmation_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"clopa:{seed}:{case.case_id}")),
                case_id=case.case_id,
                mask=reference,
                prompts=curve.prompts,
                annotator="simulated annotator",
                seconds_active=sum(curve.seconds),
                weights_version=max(curve.version, 0),
                first_shown_dice=curve.dice[0],
            )
        )
    return curve


def _learn(
    campaign: Campaign, settings: SimulationSettings, run: _Run, progress: Progress, final: bool
) -> None:
    request = campaign.next_episode(final_one=final)
    if request is None:
        return
    progress.say(
        f"Episode {request.number} after {request.at_case} cases: training on {len(request.split.train)}, "
        f"checking on {len(request.split.val)} ..."
    )
    job = campaign.prepare_job(request)
    result, decision = run_episode_job(job, device=settings.device)
    version = campaign.adopt(job)
    run.episodes.append(episode_summary(request, result, version.number if version else None, decision))
    progress.say(f"Episode {request.number}: {decision.reason or result.reason}")


def _test_versions(
    campaign: Campaign,
    held_out: Sequence[LabelledCase],
    settings: SimulationSettings,
    run: _Run,
    out: Path,
    progress: Progress,
) -> None:
    """Measure the base and every promoted version on the held-out cases; keep pictures of the proposals."""
    versions = [v.number for v in campaign.registry.versions() if v.decision is None or v.decision.promoted]
    progress.begin("Testing", len(versions) * len(held_out))
    protocol = ProtocolSettings(clicks=settings.clicks, tolerance_mm=settings.tolerance_mm)
    for version in versions:
        with campaign.using(version):
            measured = measure(campaign, held_out, protocol, settings.seed + 1, 0)
            for number, (case, curve) in enumerate(measured, start=1):
                run.test.append(curve)
                pictures.record(out, curve, *case.read(), number=number)
                progress.advance(f"version {version}, {case.case_id}: first {curve.dice[0]:.2f}")
