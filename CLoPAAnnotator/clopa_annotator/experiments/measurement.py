"""Measuring one weights version with the paper's protocol, and what every experiment shares."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal, Protocol

from clopa_annotator import __version__
from clopa_annotator.campaign.lines import LearningLine
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.evaluation.annotator import AnnotatorOptions, SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.interaction_protocol import Proposer, ProtocolSettings, run_case
from clopa_annotator.evaluation.metrics import dice, nsd
from clopa_annotator.experiments.result_cache import ResultCache, case_id_of
from clopa_annotator.session.background import WithOthers
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.session.suggesting import LocalSuggester, suggest
from clopa_annotator.types import Image, Mask

FirstPrompt = Literal["strategy", "points", "box"]
NAN = math.nan
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
class Clicking:
    """How the simulated annotator clicks on a case.

    Attributes:
        seed: of the clicks.
        run: number of the inference run; runs differ in their clicks.
        first_prompt: "points", "box", or what the line's "strategy" begins with.
    """

    seed: int
    run: int
    first_prompt: FirstPrompt = "strategy"

    def box_first(self, line: LearningLine) -> bool:
        """Whether a case begins with a box."""
        if self.first_prompt == "strategy":
            return line.strategy.box_first
        return self.first_prompt == "box"


def annotate(
    line: LearningLine,
    case: LabelledCase,
    protocol: ProtocolSettings,
    clicking: Clicking,
    recall: ResultCache | None = None,
    *,
    confirming: bool = False,
    unprompted: bool = False,
) -> CaseCurve:
    """Annotate one case with a target's weights in the live network.

    Args:
        line: of the target.
        case: read from its files.
        protocol: how many corrections, and what is measured.
        clicking: seed and kind of the clicks.
        recall: earlier work; asked only where the answer is a function of registered weights.
        confirming: the reference is about to be confirmed: an online strategy learns from it.
        unprompted: measure as well what the weights give before the first click.
    """
    box_first = clicking.box_first(line)

    def compute() -> CaseCurve:
        image, reference = case.read()
        rng, others = case_rng(clicking.seed, clicking.run, case.name), case.read_others(image.geometry)
        annotator = SimulatedAnnotator(rng, options=AnnotatorOptions(box_first=box_first))
        with line.annotating() as session:
            zero = unprompted_scores(line.model, image, reference, protocol) if unprompted else (NAN, NAN)
            curve = run_case(
                _told(line, session, others), image, reference, annotator, protocol,
                case_id=case.name, run=clicking.run, others=others,
            )  # fmt: skip
            if confirming:
                line.learn_from(session, case.case_id, reference)
            return replace(curve, dice_zero=zero[0], nsd_zero=zero[1])

    version = line.live_version()
    if recall is None or version < 0 or (confirming and line.online is not None):
        return compute()
    key = {
        "code": __version__,
        "weights": _weights_id(line, version),
        "case": case_id_of(case),
        "clicking": [clicking.seed, clicking.run, box_first],
        "protocol": asdict(protocol),
        "unprompted": unprompted,
        "within": repr(line.strategy.online) if line.strategy.learns_within_case else "",
        **({"told": "others"} if line.config.others_as_background else {}),
    }
    return replace(recall.curve(key, compute), version=version)


def _told(line: LearningLine, session: Proposer, others: Mask | None) -> Proposer:
    """The session, which is told of the other targets where the campaign says so."""
    if line.config.others_as_background and isinstance(session, LocalSession):
        return WithOthers(session, others)
    return session


def unprompted_scores(
    model: LoadedModel, image: Image, reference: Mask, protocol: ProtocolSettings
) -> tuple[float, float]:
    """Dice and NSD of what the live weights give for an image without any prompt."""
    mask = suggest(LocalSuggester(model, best_cpu_precision()), image).mask
    tolerance, spacing = protocol.tolerance_mm, image.geometry.spacing_kji_mm
    return dice(mask, reference), NAN if tolerance is None else nsd(mask, reference, spacing, tolerance)


def _weights_id(line: LearningLine, version: int) -> str:
    """Base and delta by their hashes."""
    entry = next(v for v in line.registry.versions() if v.number == version)
    return f"{entry.model_hash}+{entry.delta_hash} on {line.model.device.type}"


def measure(
    line: LearningLine,
    cases: Sequence[LabelledCase],
    protocol: ProtocolSettings,
    clicking: Clicking,
    recall: ResultCache | None = None,
    *,
    unprompted: bool = False,
) -> Iterator[tuple[LabelledCase, CaseCurve]]:
    """Annotate cases with the weights now in use; nothing is confirmed.

    Args:
        line: of the target.
        cases: not part of the campaign.
        protocol: how each is annotated.
        clicking: seed and kind of the clicks.
        recall: earlier work.
        unprompted: see `annotate`.
    """
    for case in cases:
        yield case, annotate(line, case, protocol, clicking, recall, unprompted=unprompted)
