"""Measuring one weights version with the paper's protocol, and what every experiment shares."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from clopa_annotator import __version__
from clopa_annotator.campaign.composition import Campaign
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation.annotator import AnnotatorOptions, SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings, run_case
from clopa_annotator.experiments.result_cache import ResultCache, case_id_of

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
    recall: ResultCache | None = None,
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
    recall: ResultCache | None = None,
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
