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
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.campaign.lines import LearningLine
from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.datasets.target_present import require_target
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation import pictures
from clopa_annotator.evaluation.case_rows import case_row, click_rows
from clopa_annotator.evaluation.curves import CaseCurve, summarise_versions
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings
from clopa_annotator.evaluation.report import write_report
from clopa_annotator.evaluation.rows import RunSummary, TargetSummary
from clopa_annotator.evaluation.runner import JOURNAL, Job, run_jobs
from clopa_annotator.evaluation.tables import replace_text, to_json, write_run
from clopa_annotator.experiments.measurement import EXPERT_DICE, Clicking, Progress, annotate
from clopa_annotator.experiments.run_folder import REPORT, RESULTS, TABLES, RunFolder
from clopa_annotator.experiments.target_labels import TargetLabel, cases_of, check_labels, named_targets

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
        targets: what is measured, in the order in which it is segmented; empty for what the cases say. Of a
            campaign, its targets of these names; a bare model has no versions of its own for them.
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
    targets: tuple[TargetLabel, ...] = ()

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
            named = named_targets(settings.targets)
            with Campaign.create(
                Path(folder) / "campaign", config, named, device=settings.device
            ) as campaign:
                yield campaign
        return
    path, _ = split_campaign(settings.campaign)
    with Campaign.open(path, device=settings.device, writer=False) as campaign:
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


def _versions(campaign: Campaign, settings: EvaluationSettings) -> dict[str, int]:
    """The version to measure, by the target's name; the only one's is empty.

    Raises:
        ConfigError: the campaign has no such target, or several and none was named.
        UnknownVersion: it has no such version.
    """
    if not settings.targets and len(campaign.targets) > 1:
        raise ConfigError(
            f"The campaign segments {campaign.targets.in_words}: say which value is which with "
            "--target NAME=VALUE."
        )
    version = split_campaign(settings.campaign)[1] if settings.campaign else None
    found = {}
    for name in [target.name for target in settings.targets] or [""]:
        registry = _line(campaign, name).registry
        found[name] = registry.current().number if version is None else registry.version(version).number
    return found


def _line(campaign: Campaign, target: str) -> LearningLine:
    return campaign.line(campaign.targets.by_name(target).key if target else campaign.targets[0].key)


def _cases(cases: Sequence[LabelledCase], settings: EvaluationSettings) -> dict[str, Sequence[LabelledCase]]:
    """The cases by the name of their target; the only one's is empty."""
    named = enumerate(settings.targets)
    return {t.name: cases_of(cases, settings.targets, n) for n, t in named} or {"": cases}


@dataclass(frozen=True)
class _Measure:
    """A job's function: one case in one inference run, in whatever process."""

    settings: EvaluationSettings
    cases: tuple[LabelledCase, ...]
    out: Path

    def __call__(self, job: Job) -> CaseCurve:
        settings = self.settings
        cases = _cases(self.cases, settings)[job.target]
        number = next(n for n, case in enumerate(cases) if case.name == job.case_id)
        protocol = ProtocolSettings(clicks=settings.clicks, tolerance_mm=settings.tolerance_mm)
        case, clicking = cases[number], Clicking(settings.seed, job.run)
        line = _line(_kept_subject(settings), job.target)
        if (line.live_version(), line.model.lineage) != (job.version, line.key):
            line.put_in(job.version)
        curve = annotate(line, case, protocol, clicking, unprompted=job.run == 0)
        curve = replace(curve, target=job.target)
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
    for sentence in _look_for_targets(cases, settings):
        progress.say(sentence)
    started = time.perf_counter()
    try:
        campaign = _kept_subject(settings)
        shown = _jobs(campaign, cases, settings)
        folder = _prepare(out, settings, cases)
        progress.begin("Evaluating", len(shown))
        folder.claim(JOURNAL, *dict.fromkeys(shown.values()))

        def told(job: Job, curve: CaseCurve) -> None:
            if job.run == 0:
                folder.seal(shown[job])
            progress.advance(f"{job.case_id}: {curve.dice[0]:.2f} to {curve.dice[-1]:.2f}")

        function = _Measure(settings, tuple(cases), out)
        curves = run_jobs(tuple(shown), function, out, workers=workers, cluster=cluster, on_done=told)
        summary = _summary(campaign, cases, curves, settings, time.perf_counter() - started)
    finally:
        _let_go(settings)
    rows = [case_row(c, "test", n + 1) for n, c in enumerate(curves)]
    with folder.making(*TABLES):
        write_run(out, summary, rows, [row for c in curves for row in click_rows(c, "test")])
    with folder.making(REPORT):
        write_report(out)
    folder.seal(JOURNAL, *dict.fromkeys(shown.values()))
    content: dict[str, Any] = to_json(summary)
    return content


def _jobs(campaign: Campaign, cases: Sequence[LabelledCase], settings: EvaluationSettings) -> dict[Job, str]:
    """What there is to do, target by target and run by run, with the file of each job's picture.

    Raises `ConfigError` as `_versions` does.
    """
    by_target, versions = _cases(cases, settings), _versions(campaign, settings)
    return {
        Job(case.name, run, version, target): pictures.file_name("test", n, version, target)
        for target, version in versions.items()
        for run in range(settings.runs)
        for n, case in enumerate(by_target[target], start=1)
    }


def _look_for_targets(cases: Sequence[LabelledCase], settings: EvaluationSettings) -> tuple[str, ...]:
    """Raises `DatasetError` if no case has the target, or one of the targets; see `check_labels`."""
    if settings.targets:
        return check_labels(cases, settings.targets)
    require_target(cases)
    return ()


def _prepare(out: Path, settings: EvaluationSettings, cases: Sequence[LabelledCase]) -> RunFolder:
    """Make ``out`` free, unless it holds the beginning of this very evaluation."""
    plain = json.loads(json.dumps({**asdict(settings), "overwrite": False}))
    about = {"settings": plain, "cases": [c.case_id for c in cases]}
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
    test = {
        target: summarise_versions([c for c in curves if c.target == target], settings.threshold)
        for target in dict.fromkeys(c.target for c in curves)
    }
    return RunSummary(
        strategy=campaign.config.strategy,
        model=campaign.config.model,
        seed=settings.seed,
        schedule="",
        clicks=settings.clicks,
        test=test.get("", ()),
        targets={name: TargetSummary(test=rows) for name, rows in test.items() if name},
        command="evaluate",
        dataset=cases[0].image_path.parent.parent.name,
        runs=settings.runs,
        threshold=settings.threshold,
        tolerance_mm=settings.tolerance_mm if settings.tolerance_mm is not None else math.nan,
        seconds=seconds,
        licence=campaign.model.licence,
    )
