"""Measuring one weights version on a dataset: ``clopa evaluate``, over processes or a cluster, resumable.

Each case in each inference run is a job of its own (`evaluation.runner`). A killed evaluation goes on with
the jobs that ``jobs.jsonl`` does not hold yet.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.datasets.target_present import require_target
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation import pictures
from clopa_annotator.evaluation.curves import CaseCurve, summarise_versions
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings
from clopa_annotator.evaluation.report import write_report
from clopa_annotator.evaluation.rows import RunSummary, case_row, click_rows
from clopa_annotator.evaluation.runner import JOURNAL, Job, run_jobs
from clopa_annotator.evaluation.tables import replace_text, to_json, write_run
from clopa_annotator.experiments.measurement import EXPERT_DICE, Clicking, Progress, annotate
from clopa_annotator.experiments.run_folder import REPORT, RESULTS, TABLES, RunFolder

ABOUT = "evaluation.json"


@dataclass(frozen=True)
class EvaluationSettings:
    """How one weights version is measured.

    Attributes:
        model: base model; ignored where a campaign is given, which names its own.
        campaign: "DIR" (its current version) or "DIR@VERSION"; None measures the base model.
        clicks: corrections per case.
        runs: inference runs with different prompts.
        seed: of every random choice.
        tolerance_mm: of the surface Dice; None leaves it out.
        threshold: Dice that NoI counts to.
        device: of the network.
        overwrite: replace an earlier run in the same folder.
    """

    model: str = "bundled"
    campaign: str | None = None
    clicks: int = 100
    runs: int = 3
    seed: int = 0
    tolerance_mm: float | None = 1.0
    threshold: float = EXPERT_DICE
    device: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise ConfigError("An evaluation needs at least one run.")


def split_campaign(text: str) -> tuple[Path, int | None]:
    """ "DIR@VERSION" as a folder and a number; "DIR" alone means the current version.

    Raises:
        ConfigError: what follows the last @ is not a number and there is no such folder.
    """
    folder, mark, version = text.rpartition("@")
    if not mark or Path(text).is_dir():
        return Path(text), None
    if not version.isdecimal():
        raise ConfigError(f"{text!r} does not name a weights version: give DIR or DIR@NUMBER.")
    return Path(folder), int(version)


@contextmanager
def _subject(settings: EvaluationSettings) -> Iterator[Campaign]:
    """The campaign whose network is measured; for a bare model an empty one that goes away again."""
    if settings.campaign is None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            config = CampaignConfig("Evaluation", 1, model=settings.model, strategy="static")
            with Campaign.create(Path(folder) / "campaign", config, device=settings.device) as campaign:
                yield campaign
        return
    path, version = split_campaign(settings.campaign)
    with Campaign.open(path, device=settings.device, writer=False) as campaign:
        if version is not None:
            campaign.activate(version)
        yield campaign


_open_subjects: dict[EvaluationSettings, tuple[ExitStack, Campaign]] = {}
"""What this process measures: loading a network takes longer than a click."""


def _kept_subject(settings: EvaluationSettings) -> Campaign:
    if settings not in _open_subjects:
        stack = ExitStack()
        _open_subjects[settings] = (stack, stack.enter_context(_subject(settings)))
    return _open_subjects[settings][1]


def _let_go(settings: EvaluationSettings) -> None:
    if settings in _open_subjects:
        _open_subjects.pop(settings)[0].close()


@dataclass(frozen=True)
class _Measure:
    """A job's function: one case in one inference run, in whatever process."""

    settings: EvaluationSettings
    cases: tuple[LabelledCase, ...]
    out: Path

    def __call__(self, job: Job) -> CaseCurve:
        settings = self.settings
        number = next(n for n, case in enumerate(self.cases) if case.case_id == job.case_id)
        protocol = ProtocolSettings(clicks=settings.clicks, tolerance_mm=settings.tolerance_mm)
        case, clicking = self.cases[number], Clicking(settings.seed, job.run)
        curve = annotate(_kept_subject(settings), case, protocol, clicking, unprompted=job.run == 0)
        if job.run == 0:
            pictures.record(self.out, curve, *case.read(), number=number + 1)
        return curve


def run_evaluation(
    cases: Sequence[LabelledCase],
    settings: EvaluationSettings,
    out: Path,
    progress: Progress,
    *,
    workers: int = 1,
    cluster: bool = False,
) -> dict[str, Any]:
    """Measure one weights version and write ``summary.json``, the tables, pictures and the report.

    Args:
        cases: what to measure on.
        settings: see `EvaluationSettings`.
        out: folder of the results; one that holds an interrupted run with these settings is gone on with.
        progress: told what happens.
        workers: local processes, each with one thread.
        cluster: use Ray instead.

    Returns:
        The content of ``summary.json``.

    Raises:
        ConfigError: no cases, or ``out`` holds an earlier run or files of another origin.
        DatasetError: no case has the target.
    """
    if not cases:
        raise ConfigError("There is no case to evaluate on; raise --limit or give a larger dataset.")
    require_target(cases)
    started = time.perf_counter()
    folder = _prepare(out, settings, cases)
    try:
        campaign = _kept_subject(settings)
        version = campaign.model.version
        jobs = [Job(case.case_id, run, version) for run in range(settings.runs) for case in cases]
        progress.begin("Evaluating", len(jobs))
        shown = {c.case_id: pictures.file_name("test", n + 1, version) for n, c in enumerate(cases)}
        folder.claim(JOURNAL, *shown.values())

        def told(job: Job, curve: CaseCurve) -> None:
            if job.run == 0:
                folder.seal(shown[job.case_id])
            progress.advance(f"{job.case_id}: {curve.dice[0]:.2f} to {curve.dice[-1]:.2f}")

        function = _Measure(settings, tuple(cases), out)
        curves = run_jobs(jobs, function, out, workers=workers, cluster=cluster, on_done=told)
        summary = _summary(campaign, cases, curves, settings, time.perf_counter() - started)
    finally:
        _let_go(settings)
    rows = [case_row(c, "test", n + 1) for n, c in enumerate(curves)]
    with folder.making(*TABLES):
        write_run(out, summary, rows, [row for c in curves for row in click_rows(c, "test")])
    with folder.making(REPORT):
        write_report(out)
    folder.seal(JOURNAL, *shown.values())
    content: dict[str, Any] = to_json(summary)
    return content


def _prepare(out: Path, settings: EvaluationSettings, cases: Sequence[LabelledCase]) -> RunFolder:
    """Make ``out`` free, unless it holds the beginning of this very evaluation."""
    about = {"settings": {**asdict(settings), "overwrite": False}, "cases": [c.case_id for c in cases]}
    try:
        same = json.loads((out / ABOUT).read_text(encoding="utf-8")) == about
    except (OSError, ValueError):
        same = False
    folder = RunFolder(out, "evaluate")
    if not same or (out / "summary.json").exists():
        folder.begin(settings.overwrite, ABOUT, JOURNAL)
    folder.refuse_strangers(*RESULTS)
    with folder.making(ABOUT):
        replace_text(out / ABOUT, json.dumps(about, ensure_ascii=False, indent=1) + "\n")
    return folder


def _summary(
    campaign: Campaign,
    cases: Sequence[LabelledCase],
    curves: Sequence[CaseCurve],
    settings: EvaluationSettings,
    seconds: float,
) -> RunSummary:
    return RunSummary(
        strategy=campaign.config.strategy,
        model=campaign.config.model,
        seed=settings.seed,
        schedule="",
        clicks=settings.clicks,
        test=summarise_versions(curves, settings.threshold),
        command="evaluate",
        dataset=cases[0].image_path.parent.parent.name,
        runs=settings.runs,
        threshold=settings.threshold,
        tolerance_mm=settings.tolerance_mm if settings.tolerance_mm is not None else math.nan,
        seconds=seconds,
        licence=campaign.model.licence,
    )
