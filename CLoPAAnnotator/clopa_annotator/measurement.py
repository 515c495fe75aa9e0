"""Measuring one weights version with the paper's protocol, and what every experiment shares."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from clopa_annotator import __version__
from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation import pictures
from clopa_annotator.evaluation.annotator import AnnotatorOptions, SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.curves import CaseCurve, summarise_versions
from clopa_annotator.evaluation.protocol import ProtocolSettings, run_case
from clopa_annotator.evaluation.report import write_report
from clopa_annotator.evaluation.rows import RunSummary, case_row, click_rows
from clopa_annotator.evaluation.tables import to_json, write_run
from clopa_annotator.pipeline import Campaign
from clopa_annotator.recall import Recall, case_id_of

RUN_FILES = ("summary.json", "cases.csv", "clicks.csv", "episodes.csv", "report.html")
RUN_FOLDERS = ("campaign", "pictures")
FirstPrompt = Literal["strategy", "points", "box"]
EXPERT_DICE = 0.9
"""Dice with which the simulated annotator is content, unless told otherwise."""


class Progress(Protocol):
    """Who watches a long run."""

    def begin(self, title: str, total: int) -> None:
        """A part of ``total`` steps starts."""
        ...

    def advance(self, note: str = "") -> None:
        """One step is done; ``note`` says what it gave."""
        ...

    def say(self, sentence: str) -> None:
        """Something worth a line."""
        ...


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


def clear_output(out: Path, overwrite: bool) -> None:
    """Make sure that ``out`` holds no earlier run.

    Raises:
        ConfigError: it does, and ``overwrite`` is false.
    """
    there = [name for name in (*RUN_FILES, *RUN_FOLDERS) if (out / name).exists()]
    if there and not overwrite:
        raise ConfigError(
            f"{out} holds the results of an earlier run; choose another folder, or --overwrite."
        )
    for name in there:
        shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink()
    out.mkdir(parents=True, exist_ok=True)


@dataclass(frozen=True)
class Clicking:
    """How the simulated annotator clicks on a case.

    Attributes:
        seed: of the clicks.
        run: number of the inference run; runs differ in their clicks.
        first_prompt: "points", "box", or what the campaign's "strategy" begins with.
    """

    seed: int
    run: int
    first_prompt: FirstPrompt = "strategy"

    def box_first(self, campaign: Campaign) -> bool:
        """Whether a case begins with a box."""
        if self.first_prompt == "strategy":
            return campaign.strategy.box_first
        return self.first_prompt == "box"


def annotate(
    campaign: Campaign,
    case: LabelledCase,
    protocol: ProtocolSettings,
    clicking: Clicking,
    recall: Recall | None = None,
    *,
    confirming: bool = False,
) -> CaseCurve:
    """Annotate one case with the campaign's live weights.

    Args:
        campaign: its live network is used.
        case: read from its files.
        protocol: how many corrections, and what is measured.
        clicking: seed and kind of the clicks.
        recall: earlier work; asked only where the answer is a function of registered weights.
        confirming: the reference is about to be confirmed: an online strategy learns from it.
    """
    box_first = clicking.box_first(campaign)

    def compute() -> CaseCurve:
        image, reference = case.read()
        rng = case_rng(clicking.seed, clicking.run, case.case_id)
        annotator = SimulatedAnnotator(rng, options=AnnotatorOptions(box_first=box_first))
        with campaign.annotating() as session:
            curve = run_case(
                session, image, reference, annotator, protocol, case_id=case.case_id, run=clicking.run
            )
            if confirming:
                campaign.learn_from(session, reference)
            return curve

    version = campaign.model.version
    if recall is None or version < 0 or (confirming and campaign.online is not None):
        return compute()
    key = {
        "code": __version__,
        "weights": _weights_id(campaign, version),
        "case": case_id_of(case),
        "clicking": [clicking.seed, clicking.run, box_first],
        "protocol": asdict(protocol),
        "within": repr(campaign.strategy.online) if campaign.strategy.learns_within_case else "",
    }
    return replace(recall.curve(key, compute), version=version)


def _weights_id(campaign: Campaign, version: int) -> str:
    """Base and delta by their hashes."""
    entry = next(v for v in campaign.registry.versions() if v.number == version)
    return f"{entry.model_hash}+{entry.delta_hash} on {campaign.model.device.type}"


def measure(
    campaign: Campaign,
    cases: Sequence[LabelledCase],
    protocol: ProtocolSettings,
    clicking: Clicking,
    recall: Recall | None = None,
) -> Iterator[tuple[LabelledCase, CaseCurve]]:
    """Annotate cases with the weights now in use; nothing is confirmed.

    Args:
        campaign: its live network is used.
        cases: not part of the campaign.
        protocol: how each is annotated.
        clicking: seed and kind of the clicks.
        recall: earlier work.
    """
    for case in cases:
        yield case, annotate(campaign, case, protocol, clicking, recall)


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


def run_evaluation(
    cases: Sequence[LabelledCase], settings: EvaluationSettings, out: Path, progress: Progress
) -> dict[str, Any]:
    """Measure one weights version and write ``summary.json``, the tables, pictures and the report.

    Returns:
        The content of ``summary.json``.

    Raises:
        ConfigError: no cases, or ``out`` holds an earlier run.
    """
    if not cases:
        raise ConfigError("There is no case to evaluate on; raise --limit or give a larger dataset.")
    started = time.perf_counter()
    clear_output(out, settings.overwrite)
    protocol = ProtocolSettings(clicks=settings.clicks, tolerance_mm=settings.tolerance_mm)
    curves: list[CaseCurve] = []
    progress.begin("Evaluating", settings.runs * len(cases))
    with _subject(settings) as campaign:
        for run in range(settings.runs):
            for case, curve in measure(campaign, cases, protocol, Clicking(settings.seed, run)):
                curves.append(curve)
                progress.advance(f"{case.case_id}: {curve.dice[0]:.2f} to {curve.dice[-1]:.2f}")
                if run == 0:
                    pictures.record(out, curve, *case.read(), number=len(curves))
        summary = RunSummary(
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
            seconds=time.perf_counter() - started,
            licence=campaign.model.licence,
        )
    rows = [case_row(c, "test", n + 1) for n, c in enumerate(curves)]
    write_run(out, summary, rows, [row for c in curves for row in click_rows(c, "test")])
    write_report(out)
    content: dict[str, Any] = to_json(summary)
    return content
