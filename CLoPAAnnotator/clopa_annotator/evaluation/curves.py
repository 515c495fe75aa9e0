"""Curves over corrections, and the numbers that the paper draws from them.

Let a case have ``n`` corrections, so ``n + 1`` scores (index 0 is the initial prompt).

* nAUC: trapezoid over the interaction axis divided by ``n``; with ``n = 0`` the only score.
* NoI: one-based index of the first Dice *strictly* above the expert threshold, so 1 is the initial prompt; a
  case that never gets there has ``n + 1`` and is a failure. A case that gets there with the very last
  correction has ``n + 1`` too, and is none.
* nNoI: mean NoI / (n + 1). NoF: failures in percent.
* Without a threshold NoI, nNoI and NoF are NaN.
* NSD is NaN where neither mask has a surface; means leave those cases out, and are NaN if none is left.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from statistics import fmean
from typing import Literal

import numpy as np

from clopa_annotator.errors import InputError
from clopa_annotator.types import Mask, TimedPrompt


@dataclass(frozen=True, eq=False)
class CaseCurve:
    """What happened on one case.

    Attributes:
        case_id: name of the case.
        run: number of the inference run; it seeds the annotator.
        version: weights version that made the proposals.
        dice: after the initial prompt (index 0) and after each of the corrections.
        nsd: likewise; NaN throughout if no tolerance was given, NaN where reference and proposal are empty.
        seconds: time each prediction took, 0 where the curve is padded.
        used: corrections actually given; after them the last value is repeated.
        prompts: what was given, with seconds of prediction time passed before.
        proposals: kept masks by number of corrections, for pictures and for confirming.
        target: name of the target where a run has several; else empty.
        dice_zero: of the mask that the model gives without a prompt; NaN if none was asked for.
        nsd_zero: likewise.
    """

    case_id: str
    run: int
    version: int
    dice: tuple[float, ...]
    nsd: tuple[float, ...]
    seconds: tuple[float, ...]
    used: int
    prompts: tuple[TimedPrompt, ...] = ()
    proposals: Mapping[int, Mask] = field(default_factory=dict)
    target: str = ""
    dice_zero: float = math.nan
    nsd_zero: float = math.nan

    @property
    def clicks(self) -> int:
        """Corrections that the protocol allows."""
        return len(self.dice) - 1

    @property
    def final_mask(self) -> Mask | None:
        """The last proposal, if it was kept."""
        return self.proposals.get(self.used)


@dataclass(frozen=True)
class TestSummary:
    """One row of the paper's table: one weights version on a set of cases.

    Attributes:
        version: weights version.
        n: number of cases, however many runs each had.
        dice_init: mean Dice at the initial prompt.
        dice_final: mean Dice after the last correction.
        dice_nauc: mean normalised area under the Dice curve.
        nsd_init: mean NSD at the initial prompt.
        nsd_final: mean NSD after the last correction.
        nsd_nauc: mean normalised area under the NSD curve.
        noi: mean number of interactions to get above the threshold.
        nnoi: ``noi`` divided by the number of scores.
        nof: cases that never get there, in percent.
        dice_zero: mean Dice without a prompt; NaN if it was not measured.
        nsd_zero: mean NSD without a prompt.
    """

    __test__ = False  # the name is the paper's, not pytest's

    version: int
    n: int
    dice_init: float
    dice_final: float
    dice_nauc: float
    nsd_init: float
    nsd_final: float
    nsd_nauc: float
    noi: float
    nnoi: float
    nof: float
    dice_zero: float = math.nan
    nsd_zero: float = math.nan


def nauc(values: Sequence[float]) -> float:
    """Trapezoid over the interaction axis, divided by the number of corrections."""
    if len(values) == 0:
        raise InputError("A curve without a single score has no area; run the case first.")
    if len(values) == 1:
        return float(values[0])
    return float((np.sum(values) - (values[0] + values[-1]) / 2) / (len(values) - 1))


def interactions_to(dice: Sequence[float], threshold: float) -> tuple[int, bool]:
    """NoI of one curve, and whether it failed."""
    above = np.flatnonzero(np.asarray(dice) > threshold)
    return (int(above[0]) + 1, False) if above.size else (len(dice), True)


def average_runs(curves: Iterable[CaseCurve]) -> tuple[CaseCurve, ...]:
    """One curve per case and version: the mean over its runs, click by click; run is then -1.

    A NaN among a click's NSDs is left out of that click's mean. ``used`` is the largest of the runs.
    """
    groups: dict[tuple[int, str], list[CaseCurve]] = defaultdict(list)
    for curve in curves:
        groups[curve.version, curve.case_id].append(curve)
    return tuple(_average(group) for _, group in sorted(groups.items()))


def _average(group: Sequence[CaseCurve]) -> CaseCurve:
    _one_length(group)
    dices = np.mean([c.dice for c in group], axis=0)
    nsds = [_mean(column) for column in zip(*(c.nsd for c in group), strict=True)]
    seconds = np.mean([c.seconds for c in group], axis=0)
    return replace(
        group[0],
        run=-1,
        dice=tuple(map(float, dices)),
        nsd=tuple(nsds),
        seconds=tuple(map(float, seconds)),
        used=max(c.used for c in group),
        prompts=(),
        proposals={},
        dice_zero=_mean([c.dice_zero for c in group]),
        nsd_zero=_mean([c.nsd_zero for c in group]),
    )


Averaging = Literal["curves-first", "per-run"]


def summarise(
    curves: Iterable[CaseCurve], threshold: float | None = None, averaging: Averaging = "per-run"
) -> TestSummary:
    """The table row of one weights version.

    Args:
        curves: of one version, any number of runs and permutations.
        threshold: the expert's Dice; None leaves NoI, nNoI and NoF out (NaN).
        averaging: "per-run" computes the numbers for each run and averages those (the paper's); for
            "curves-first" the runs of each case are averaged click by click before, which can make NoI and
            NoF look better or worse than in any run (*ours*).

    Raises:
        InputError: no curves, several versions, or curves of different lengths.
    """
    every = tuple(curves)
    _one_length(every)
    if len({c.version for c in every}) != 1:
        raise InputError("A table row is about one weights version; group the curves by version first.")
    if averaging == "curves-first":
        return _summarise(average_runs(every), threshold)
    runs = sorted({c.run for c in every})
    rows = [_summarise(tuple(c for c in every if c.run == run), threshold) for run in runs]
    means = {
        f.name: _mean([getattr(row, f.name) for row in rows])
        for f in fields(TestSummary)
        if f.name not in ("version", "n")
    }
    return TestSummary(version=every[0].version, n=len({c.case_id for c in every}), **means)


def summarise_versions(
    curves: Iterable[CaseCurve], threshold: float | None = None, averaging: Averaging = "per-run"
) -> tuple[TestSummary, ...]:
    """One table row per weights version, lowest first."""
    groups: dict[int, list[CaseCurve]] = defaultdict(list)
    for curve in curves:
        groups[curve.version].append(curve)
    return tuple(summarise(groups[version], threshold, averaging) for version in sorted(groups))


def _summarise(curves: Sequence[CaseCurve], threshold: float | None) -> TestSummary:
    noi, nof = math.nan, math.nan
    if threshold is not None:
        reached = [interactions_to(c.dice, threshold) for c in curves]
        noi = _mean([count for count, _ in reached])
        nof = 100.0 * _mean([failed for _, failed in reached])
    return TestSummary(
        version=curves[0].version,
        n=len({c.case_id for c in curves}),
        dice_init=_mean([c.dice[0] for c in curves]),
        dice_final=_mean([c.dice[-1] for c in curves]),
        dice_nauc=_mean([nauc(c.dice) for c in curves]),
        nsd_init=_mean([c.nsd[0] for c in curves]),
        nsd_final=_mean([c.nsd[-1] for c in curves]),
        nsd_nauc=_mean([nauc(c.nsd) for c in curves]),
        noi=noi,
        nnoi=noi / len(curves[0].dice),
        nof=nof,
        dice_zero=_mean([c.dice_zero for c in curves]),
        nsd_zero=_mean([c.nsd_zero for c in curves]),
    )


def _one_length(curves: Sequence[CaseCurve]) -> None:
    lengths = {len(c.dice) for c in curves} | {len(c.nsd) for c in curves}
    if len(lengths) != 1 or 0 in lengths:
        raise InputError(
            f"Curves can be averaged if all have the same number of clicks, but there are {sorted(lengths)} "
            "scores per curve; evaluate all of them with the same number of clicks."
        )


def _mean(values: Sequence[float]) -> float:
    """Mean of the values that are not NaN; NaN if none is left."""
    valid = [v for v in values if not math.isnan(v)]
    return float(np.mean(valid)) if valid else math.nan


LOWER_IS_BETTER = frozenset({"noi", "nof"})


def values_per_case(metric: str, curves: Sequence[CaseCurve], threshold: float) -> list[float]:
    """A metric of each case, in the order of their names: the mean over its runs.

    Args:
        metric: "noi", "nof", or "dice" or "nsd" with "_init", "_final" or "_nauc".
        curves: of all cases and runs.
        threshold: expert's Dice, for the first two.
    """
    cases: dict[str, list[float]] = defaultdict(list)
    for curve in curves:
        cases[curve.case_id].append(_value(metric, curve, threshold))
    return [fmean(cases[name]) for name in sorted(cases)]


def _value(metric: str, curve: CaseCurve, threshold: float) -> float:
    if metric in LOWER_IS_BETTER:
        return float(interactions_to(curve.dice, threshold)[int(metric == "nof")])
    kind, part = metric.split("_")
    scores = curve.dice if kind == "dice" else curve.nsd
    return nauc(scores) if part == "nauc" else scores[0 if part == "init" else -1]
