"""Rows of a comparison: one method in one task, and all methods of a task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from clopa_annotator.evaluation.statistics import ALPHA, Rank
from clopa_annotator.evaluation.trajectory import Trajectory

METRICS = ("dice_init", "dice_final", "dice_nauc", "nsd_init", "nsd_final", "nsd_nauc", "noi", "nof")


@dataclass(frozen=True, eq=False)
class MethodRow:
    """One method in one task.

    Attributes:
        method: its name.
        runs: how many runs it is the mean of.
        n: number of test cases.
        values: mean per metric of `METRICS`.
        ranks: place and wins per metric.
        trajectories: of each metric over the cases received; empty for an evaluation.
        area_ranks: place and wins per metric of `trajectories`, paired over the case counts.
        nos: case count at which the mean final Dice reaches the threshold; None if it never does.
    """

    method: str
    runs: int
    n: int
    values: Mapping[str, float]
    ranks: Mapping[str, Rank]
    trajectories: Mapping[str, Trajectory]
    area_ranks: Mapping[str, Rank]
    nos: int | None

    def area(self, metric: str) -> float:
        """Mean height of a metric's trajectory; NaN if there is none."""
        return self.trajectories[metric].area if metric in self.trajectories else math.nan

    @property
    def trajectory(self) -> Trajectory | None:
        """Of the mean final Dice, which NoS is about; None for an evaluation."""
        return self.trajectories.get("dice_final")


@dataclass(frozen=True, eq=False)
class Task:
    """All methods on one dataset.

    Attributes:
        name: of the dataset.
        clicks: corrections per case.
        threshold: expert's Dice.
        rows: by mean place over the metrics, best first.
        alpha: level of significance.
    """

    name: str
    clicks: int
    threshold: float
    rows: tuple[MethodRow, ...]
    alpha: float = ALPHA
