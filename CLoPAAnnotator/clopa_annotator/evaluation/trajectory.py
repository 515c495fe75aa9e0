"""How a number moves while cases arrive: a step function of the cases received.

At count ``n`` (1 to N) the value is that of the newest weights version made at or before ``n`` cases; before
the first episode it is that of the base.

* Area: trapezoid over n = 1 to N divided by (N - 1); with N = 1 the only value.
* NoS: first case count at which the trajectory reaches the threshold (at least equal). 0 if the base does
  already: no case is needed. None if it never does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clopa_annotator.errors import ConfigError
from clopa_annotator.evaluation.curves import nauc


@dataclass(frozen=True)
class Trajectory:
    """A step function of the cases received.

    Attributes:
        n_cases: cases in the stream.
        base: value before the first episode.
        steps: (case count, value from then on), by case count.
    """

    n_cases: int
    base: float
    steps: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        counts = [count for count, _ in self.steps]
        if self.n_cases < 1 or counts != sorted(counts) or any(not 1 <= c <= self.n_cases for c in counts):
            raise ConfigError(
                f"A trajectory over {self.n_cases} cases cannot have steps at {counts}: they must rise and "
                "lie between 1 and the number of cases."
            )

    @property
    def values(self) -> tuple[float, ...]:
        """Value after 1, 2, ... N cases."""
        result = [self.base] * self.n_cases
        for count, value in self.steps:
            result[count - 1 :] = [value] * (self.n_cases - count + 1)
        return tuple(result)

    @property
    def area(self) -> float:
        """Mean height: trapezoid over the case axis divided by its length."""
        return nauc(self.values)

    def cases_to(self, threshold: float) -> int | None:
        """NoS: first case count with a value of at least ``threshold``."""
        if self.base >= threshold:
            return 0
        return next((n for n, value in enumerate(self.values, start=1) if value >= threshold), None)


def make_trajectory(
    n_cases: int, value_of_version: Mapping[int, float], in_use: Sequence[tuple[int, int]]
) -> Trajectory:
    """The trajectory of a number over a campaign.

    Args:
        n_cases: cases in the stream.
        value_of_version: the number per weights version; 0 is the base.
        in_use: (case count, version in use from then on), in order; see `rows.versions_in_use`.
    """
    steps = tuple((count, value_of_version[v]) for count, v in in_use if v in value_of_version)
    return Trajectory(n_cases, value_of_version[0], steps)


def average(trajectories: Sequence[Trajectory]) -> Trajectory:
    """Mean over permutations of the stream, case count by case count; NaN values are left out.

    Raises:
        ConfigError: none given, or streams of different lengths.
    """
    if len({t.n_cases for t in trajectories}) != 1:
        raise ConfigError(
            "Trajectories can be averaged over streams of one length; give such, and at least one."
        )
    table = np.array([(t.base, *t.values) for t in trajectories])
    means = [_mean(column) for column in table.T]
    steps = tuple((n, value) for n, value in enumerate(means[1:], start=1) if not _same(value, means[n - 1]))
    return Trajectory(trajectories[0].n_cases, means[0], steps)


def _mean(column: Sequence[float]) -> float:
    valid = [v for v in column if not math.isnan(v)]
    return float(np.mean(valid)) if valid else math.nan


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))
