"""Whether a candidate comes into use, and whether it stays: pure decisions on paired curves.

The same confirmed cases go through the real session with both weights; the pairs come here. `decide` lets a
candidate in on probation if its held-out cases make a gain probable; `settle` confirms it or takes it back by
the cases that are confirmed while it is in use. Both rest on `evidence`, whose error rates
``docs/results/gate.md`` shows. Whatever cannot be compared is not promoted: no silent worse model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from clopa_annotator.errors import ConfigError
from clopa_annotator.registry.evidence import Evidence, Rule, Tally
from clopa_annotator.types import GateDecision, PairedCurves

_ROUNDING = 1e-9
"""Two scores that differ by less are equal; sums of equal numbers may differ by their rounding."""


@dataclass(frozen=True)
class GateSettings:
    """What a candidate has to reach, in units of the score (Dice).

    Attributes:
        min_gain: the mean gain must be above this.
        worst_drop: the largest loss that a single case may suffer.
        rule: how probable a gain has to be, see `Rule`.
    """

    min_gain: float = 0.0
    worst_drop: float = 0.2
    rule: Rule = field(default_factory=Rule)

    def __post_init__(self) -> None:
        if not math.isfinite(self.min_gain) or not 0 <= self.min_gain <= 1:
            raise ConfigError(f"The gate's smallest gain is between 0 and 1, not {self.min_gain}.")
        if not math.isfinite(self.worst_drop) or not 0 <= self.worst_drop <= 1:
            raise ConfigError(f"The gate's largest drop is between 0 and 1, not {self.worst_drop}.")


def decide(pairs: Sequence[PairedCurves], settings: GateSettings, *, first: bool = False) -> GateDecision:
    """Compare a candidate with the weights in use on held-out cases.

    Args:
        pairs: the held-out cases, each annotated with both.
        settings: the limits.
        first: the weights in use are the untouched base.

    Returns:
        The decision with its numbers and a sentence that a person understands; a promotion is on probation.
    """
    decision = _numbers(pairs, first, settings)
    promoted, reason = _judge(decision, settings, first)
    return _with(decision, promoted, reason, settings.rule.probation if promoted else 0)


def settle(
    held_out: GateDecision, replays: Sequence[PairedCurves], settings: GateSettings
) -> GateDecision | None:
    """Whether a version on probation stays, by the cases that were confirmed since; None if that is open.

    Judged after each case in turn, so that it makes no difference how many come at once. A case whose score
    is not a number is left out.

    Args:
        held_out: the decision that let it in.
        replays: newly confirmed cases, annotated with the weights to beat and with it, in order of arrival.
        settings: the limits.
    """
    known = [p for p in replays if all(map(math.isfinite, (*p.before, *p.after)))]
    for seen in range(1, len(known) + 1):
        decision = _numbers(known[:seen], False, settings)
        standing = int(settings.rule.standing(evidence_of(held_out) + evidence_of(decision), seen))
        if decision.worst_change < -settings.worst_drop - _ROUNDING:
            standing = -1
        if standing:
            return _with(decision, standing > 0, _verdict(held_out, decision, standing > 0, settings), 0)
    return None


def evidence_of(decision: GateDecision) -> Evidence:
    """What the cases of a decision say."""
    pairs = (
        (decision.before, decision.after),
        (decision.first_before, decision.first_after),
        (decision.last_before, decision.last_after),
    )
    score, first, last = (Tally.of(np.subtract(after, before)) for before, after in pairs)
    return Evidence(score, first, last)


def _numbers(pairs: Sequence[PairedCurves], first: bool, settings: GateSettings) -> GateDecision:
    """The scores, undecided."""

    def means(curves: Iterable[Sequence[float]]) -> tuple[float, ...]:
        return tuple(math.fsum(curve) / len(curve) for curve in curves)

    decision = GateDecision(
        False,
        "",
        tuple(p.case_id for p in pairs),
        means(p.before for p in pairs),
        means(p.after for p in pairs),
        tuple(float(p.before[0]) for p in pairs),
        tuple(float(p.after[0]) for p in pairs),
        tuple(float(p.before[-1]) for p in pairs),
        tuple(float(p.after[-1]) for p in pairs),
    )
    if not pairs or not all(map(math.isfinite, (*decision.before, *decision.after))):
        return decision
    return _with(decision, False, "", 0, float(settings.rule.gains(evidence_of(decision), first=first)))


def _with(
    decision: GateDecision, promoted: bool, reason: str, probation: int, chance: float | None = None
) -> GateDecision:
    known = {name: getattr(decision, name) for name in GateDecision.__dataclass_fields__}
    changes = {"promoted": promoted, "reason": reason, "probation": probation}
    return GateDecision(**{**known, **changes, "chance": decision.chance if chance is None else chance})


def _judge(d: GateDecision, settings: GateSettings, first: bool) -> tuple[bool, str]:
    if not d.case_ids:
        return False, "Not promoted: no confirmed case is held out yet, so nothing shows that it is better."
    if d.chance is None:
        broken = next(c for c, b, a in zip(d.case_ids, d.before, d.after, strict=True) if not _finite(b + a))
        return False, f"Not promoted: the score of case {broken} is not a number and cannot be compared."
    means = _means(d, "held-out")
    gain = d.mean_after - d.mean_before
    if gain <= settings.min_gain + _ROUNDING:
        needed = f" by more than {settings.min_gain:.3f}" if settings.min_gain > 0 else ""
        return False, f"Not promoted: no better{needed} ({means})."
    if d.worst_change < -settings.worst_drop - _ROUNDING:
        worst = d.case_ids[int(np.argmin(np.subtract(d.after, d.before)))]
        return False, (
            f"Not promoted: case {worst} loses {-d.worst_change:.3f}, more than the "
            f"{settings.worst_drop:.3f} that one case may lose ({means})."
        )
    evidence, rule = evidence_of(d), settings.rule
    if bool(rule.harms(evidence)):
        return False, f"Not promoted: {_harm(d, evidence, rule)} ({means})."
    if not bool(rule.admits(evidence, first=first)):
        return False, (
            f"Not promoted: better by {gain:.3f}, but that may be luck: the chance of a real gain is "
            f"{_percent(d.chance)}, and {_percent(rule.enter)} are needed ({means})."
        )
    return True, (
        f"Promoted: better by {gain:.3f} ({means}; worst change of a case {d.worst_change:+.3f}). The chance "
        f"that this is no luck is {_percent(d.chance)}; the next {rule.probation} confirmed cases decide "
        "whether it stays."
    )


def _verdict(held_out: GateDecision, d: GateDecision, stays: bool, settings: GateSettings) -> str:
    rule, evidence = settings.rule, evidence_of(held_out) + evidence_of(d)
    chance, means = float(rule.gains(evidence)), _means(d, "newly confirmed")
    before = _cases(len(held_out.case_ids), "held-out")
    together = f"with its {before} the chance of a real gain is {_percent(chance)}"
    if stays:
        return f"Confirmed: {means}; {together}."
    if d.worst_change < -settings.worst_drop - _ROUNDING:
        return (
            f"Taken back: case {d.case_ids[-1]} loses {-d.worst_change:.3f}, more than the "
            f"{settings.worst_drop:.3f} that one case may lose ({means})."
        )
    if bool(rule.harms(evidence)):
        return f"Taken back: {_harm(d, evidence, rule)} ({means})."
    return f"Taken back: {means}; {together}, too little to keep it."


def _harm(d: GateDecision, evidence: Evidence, rule: Rule) -> str:
    """Which end of the curve became worse."""
    if float(rule.worse_at(evidence.last)) >= rule.doubt:
        change, what = np.mean(np.subtract(d.last_after, d.last_before)), "after the last correction"
    else:
        change, what = np.mean(np.subtract(d.first_after, d.first_before)), "of the first proposal"
    return f"it makes the mask {what} worse (Dice {change:+.3f})"


def _means(d: GateDecision, kind: str) -> str:
    cases = _cases(len(d.case_ids), kind)
    return f"mean score {d.mean_before:.3f} before, {d.mean_after:.3f} after on {cases}"


def _cases(n: int, kind: str) -> str:
    return f"{n} {kind} case{'' if n == 1 else 's'}"


def _percent(chance: float) -> str:
    """A chance for people: never 100 %, which nothing is."""
    return f"{min(100 * chance, 99.9):.3g} %" if chance > 0.99 else f"{100 * chance:.0f} %"


def _finite(value: float) -> bool:
    return math.isfinite(value)
