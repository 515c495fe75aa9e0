"""Is a candidate better? Held-out confirmed cases, clicked through a real session before and after.

Both sides get the same simulated clicks where their proposals agree, so the comparison is paired. A case's
score is the mean Dice over the first proposal and the corrections: it counts a better start and better
editing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from clopa_annotator.evaluation.annotator import AnnotatorOptions, SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings, run_case
from clopa_annotator.registry.gate import GateSettings, decide
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.swap import apply_version
from clopa_annotator.types import GateDecision, Image, Mask

Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class HeldOutCase:
    """A confirmed case that never trains, read when its turn comes.

    Attributes:
        case_id: name of the case.
        read: gives the image and the confirmed mask.
        box_first: the simulated clicks begin with a box, as the campaign's strategy does.
    """

    case_id: str
    read: Callable[[], tuple[Image, Mask]]
    box_first: bool = False


def score_case(model: LoadedModel, case: HeldOutCase, clicks: int, seed: int) -> float:
    """Mean Dice over the first proposal and ``clicks`` corrections, with the weights now in the network."""
    image, reference = case.read()
    session = LocalSession(model, cpu_precision=best_cpu_precision())
    try:
        options = AnnotatorOptions(box_first=case.box_first)
        annotator = SimulatedAnnotator(case_rng(seed, 0, case.case_id), options=options)
        settings = ProtocolSettings(clicks=clicks, keep=())
        return fmean(run_case(session, image, reference, annotator, settings).dice)
    finally:
        session.close()


def check_candidate(
    model: LoadedModel,
    cases: Sequence[HeldOutCase],
    before: Weights,
    after: Weights,
    gate: GateSettings,
    clicks: int,
    seed: int,
    on_case: Callable[[int, int], None] | None = None,
) -> GateDecision:
    """Score every held-out case with the current and with the candidate's weights, then decide.

    Args:
        model: a network of this process; it is left with the candidate's weights.
        cases: held-out cases.
        before: delta of the current weights; empty for the base.
        after: the candidate's delta.
        gate: what counts as better.
        clicks: corrections per case.
        seed: seed of the simulated clicks.
        on_case: told before the first and after every score how many of how many are done; may raise to stop.
    """
    base = model.base
    scores: list[list[float]] = []
    total = 2 * len(cases)
    if on_case is not None and cases:
        on_case(0, total)
    for number, delta in ((0, before), (1, after)):
        apply_version(model, base, delta, version=number)
        scores.append([])
        for case in cases:
            scores[-1].append(score_case(model, case, clicks, seed))
            if on_case is not None:
                on_case(number * len(cases) + len(scores[-1]), total)
    return decide([c.case_id for c in cases], scores[0], scores[1], gate)
