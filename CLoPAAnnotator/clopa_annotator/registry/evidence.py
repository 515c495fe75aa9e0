"""What paired differences say about a candidate: one rule, for the gate and for the study of how good it is.

A case that was annotated with both weights gives three paired differences of Dice: of the first proposal, of
the last correction, and of the mean over the curve (the *score*). Differences are taken for independent draws
around a mean gain with an unknown spread. The belief in that gain is conjugate normal-inverse-gamma (Gelman
et al., Bayesian Data Analysis, section 3.3), so it is a Student t distribution and needs no sampling.

Everything here takes numbers or arrays of numbers: the gate judges one candidate,
``benchmarks/gate_characteristics.py`` judges a hundred thousand with the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from clopa_annotator.errors import ConfigError

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Tally:
    """Paired differences, summed up.

    Attributes:
        n: how many.
        total: their sum; a number, or an array with one sum per candidate.
        squares: the sum of their squares.
    """

    n: int
    total: Numbers
    squares: Numbers

    @classmethod
    def of(cls, differences: Sequence[float] | Numbers) -> Tally:
        """Sum differences up, over the last axis."""
        values = np.asarray(differences, float)
        return cls(values.shape[-1], values.sum(axis=-1), (values**2).sum(axis=-1))

    def __add__(self, other: Tally) -> Tally:
        """Both taken together."""
        return Tally(self.n + other.n, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True)
class Belief:
    """What is known about a gain before the first case.

    Attributes:
        gain: expected gain.
        gain_cases: how many cases this expectation is worth.
        spread: expected spread of the differences between cases, in Dice.
        spread_cases: how many cases that expectation is worth.
    """

    gain: float = 0.0
    gain_cases: float = 0.25
    spread: float = 0.04
    spread_cases: float = 6.0

    def chance_above(self, tally: Tally, limit: float = 0.0) -> Numbers:
        """Probability that the gain exceeds ``limit``, after the differences in ``tally``."""
        weight = self.gain_cases + tally.n
        centre = (self.gain_cases * self.gain + tally.total) / weight
        freedom = self.spread_cases + tally.n
        # Sum of squared deviations from the centre, the prior's own included; never below the prior's.
        squares = tally.squares + self.gain_cases * self.gain**2 - weight * centre**2
        scale = np.sqrt((self.spread_cases * self.spread**2 + np.maximum(squares, 0)) / freedom / weight)
        return np.asarray(special.stdtr(freedom, (centre - limit) / scale), np.float64)


@dataclass(frozen=True)
class Evidence:
    """Everything that the cases so far say.

    Attributes:
        score: differences of the mean over the curve.
        first: differences of the first proposal.
        last: differences after the last correction.
    """

    score: Tally
    first: Tally
    last: Tally

    def __add__(self, other: Evidence) -> Evidence:
        """Both taken together."""
        return Evidence(self.score + other.score, self.first + other.first, self.last + other.last)


@dataclass(frozen=True)
class Rule:
    """When a candidate comes into use, and whether it stays; the figures are those of `docs/results/gate.md`.

    Attributes:
        enter: chance of a gain at which a candidate comes into use on probation.
        margin: how much worse, in Dice, first proposals or corrected masks may become.
        doubt: chance of being worse by more than that which stops a candidate.
        confirm: chance of a gain at which a version on probation is confirmed before its time.
        settle: chance of a gain that it needs when its time is over.
        give_up: chance of a gain below which it is taken back before its time.
        probation: newly confirmed cases until its time is over.
        belief: about the gain of a version before anything is known.
        first_belief: the same for the first weights that learn from a base that knows nothing of the task.
    """

    enter: float = 0.8
    margin: float = 0.01
    doubt: float = 0.8
    confirm: float = 0.999
    settle: float = 0.98
    give_up: float = 0.2
    probation: int = 10
    belief: Belief = Belief()
    first_belief: Belief = Belief(gain=0.05, gain_cases=0.5)

    def __post_init__(self) -> None:
        chances = (f.name for f in fields(self) if f.type == "float" and f.name != "margin")
        for name in chances:
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(
                    f"The gate's {name} is a chance between 0 and 1, not {getattr(self, name)}."
                )
        if self.probation < 1 or not math.isfinite(self.margin) or self.margin < 0:
            raise ConfigError("The gate needs a probation of at least one case and a margin of 0 or more.")

    def gains(self, evidence: Evidence, *, first: bool = False) -> Numbers:
        """Chance of a gain in the score.

        Args:
            evidence: differences so far.
            first: the reference is the untouched base.
        """
        return (self.first_belief if first else self.belief).chance_above(evidence.score)

    def worse_at(self, tally: Tally) -> Numbers:
        """Chance that one end of the curve became worse by more than the margin."""
        return 1 - self.belief.chance_above(tally, -self.margin)

    def harms(self, evidence: Evidence, doubt: float | None = None) -> Flags:
        """Whether first proposals or corrected masks have probably become worse.

        Args:
            evidence: differences so far.
            doubt: what counts as probably; None takes the rule's.
        """
        doubt = self.doubt if doubt is None else doubt
        harmed: Flags = (self.worse_at(evidence.first) >= doubt) | (self.worse_at(evidence.last) >= doubt)
        return harmed

    def admits(self, held_out: Evidence, *, first: bool = False) -> Flags:
        """Whether a candidate comes into use on probation."""
        admitted: Flags = (self.gains(held_out, first=first) >= self.enter) & ~self.harms(held_out)
        return admitted

    def standing(self, evidence: Evidence, seen: int) -> npt.NDArray[np.int_]:
        """Where a version on probation stands: 1 confirmed, -1 to be taken back, 0 still open.

        Args:
            evidence: the held-out cases and the newly confirmed ones together.
            seen: how many were newly confirmed.
        """
        chance, over = self.gains(evidence), seen >= self.probation
        # For good it stays only if neither end of the curve is more likely worse than not.
        confirmed = (chance >= (self.settle if over else self.confirm)) & ~self.harms(evidence, 0.5)
        lost = self.harms(evidence, 0.5 if over else None) | (
            chance < (self.settle if over else self.give_up)
        )
        standing: Any = np.where(confirmed, 1, np.where(lost, -1, 0))
        return standing  # type: ignore[no-any-return]
