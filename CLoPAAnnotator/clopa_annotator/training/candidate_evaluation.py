"""Evaluation of a candidate: held-out confirmed cases, clicked through a real session before and after.

Both sides get the same simulated clicks where their proposals agree, so the comparison is paired. The whole
curve counts: the first proposal, the mask after the last correction, and the mean over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from clopa_annotator.evaluation.annotator import AnnotatorOptions, SimulatedAnnotator, case_rng
from clopa_annotator.evaluation.interaction_protocol import ProtocolSettings, run_case
from clopa_annotator.registry.gate import GateSettings, decide
from clopa_annotator.session.background import WithOthers
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.swap import apply_version
from clopa_annotator.types import GateDecision, Image, Mask, PairedCurves

Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class HeldOutCase:
    """A confirmed case that never trains, read when its turn comes.

    Attributes:
        case_id: name of the case.
        read: gives the image and the confirmed mask.
        box_first: the simulated clicks begin with a box, as the campaign's strategy does.
        read_others: gives the (k, j, i) voxels of other targets that the network is told it is not; None for
            none.
    """

    case_id: str
    read: Callable[[], tuple[Image, Mask]]
    box_first: bool = False
    read_others: Callable[[], Mask | None] = lambda: None


def score_case(
    model: LoadedModel, case: HeldOutCase, clicks: int, seed: int, run: int = 0
) -> tuple[float, ...]:
    """Dice of the first proposal and after each of ``clicks`` corrections, with the live weights."""
    image, reference = case.read()
    session = LocalSession(model, cpu_precision=best_cpu_precision())
    try:
        options = AnnotatorOptions(box_first=case.box_first)
        annotator = SimulatedAnnotator(case_rng(seed, run, case.case_id), options=options)
        settings = ProtocolSettings(clicks=clicks, keep=())
        told = WithOthers(session, case.read_others())
        return run_case(told, image, reference, annotator, settings).dice
    finally:
        session.close()


@dataclass(frozen=True)
class Comparing:
    """How two versions of the weights are compared.

    Attributes:
        clicks: corrections per case.
        runs: times that each case is annotated with either, each with other clicks.
        seed: of the simulated clicks.
    """

    clicks: int
    runs: int
    seed: int


def compare(
    model: LoadedModel,
    cases: Sequence[HeldOutCase],
    before: Weights,
    after: Weights,
    how: Comparing,
    on_case: Callable[[int, int], None] | None = None,
) -> tuple[PairedCurves, ...]:
    """Annotate cases that neither version has learned from with both, by the same clicks.

    Args:
        model: a network of this process; it is left with the weights ``after``.
        cases: held-out or newly confirmed cases.
        before: delta of the weights to beat; empty for the base.
        after: the candidate's delta.
        how: clicks and runs.
        on_case: told before the first and after every case how many of how many are done; may raise to stop.
    """
    base = model.base
    curves: list[list[tuple[float, ...]]] = []
    total = 2 * len(cases)
    if on_case is not None and cases:
        on_case(0, total)
    for number, delta in ((0, before), (1, after)):
        apply_version(model, base, delta, version=number)
        curves.append([])
        for case in cases:
            runs = [score_case(model, case, how.clicks, how.seed, run) for run in range(how.runs)]
            curves[-1].append(tuple(fmean(values) for values in zip(*runs, strict=True)))
            if on_case is not None:
                on_case(number * len(cases) + len(curves[-1]), total)
    return tuple(PairedCurves(c.case_id, b, a) for c, b, a in zip(cases, *curves, strict=True))


def check_candidate(
    model: LoadedModel,
    cases: Sequence[HeldOutCase],
    before: Weights,
    after: Weights,
    gate: GateSettings,
    how: Comparing,
    *,
    first: bool = False,
    on_case: Callable[[int, int], None] | None = None,
) -> GateDecision:
    """Annotate every held-out case with the current and with the candidate's weights, then decide.

    Args:
        model, cases, before, after, how, on_case: see `compare`.
        gate: what counts as better.
        first: the current weights are the untouched base.
    """
    return decide(compare(model, cases, before, after, how, on_case), gate, first=first)
