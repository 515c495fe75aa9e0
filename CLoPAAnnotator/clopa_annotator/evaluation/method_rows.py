"""Rows of a comparison: one method in one task, and all methods of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clopa_annotator.evaluation.statistics import Rank
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
        trajectory_area: of the Dice at the initial prompt over cases received; NaN for an evaluation.
        nos: case count at which that trajectory reaches the threshold; None if it never does.
        trajectory: the trajectory itself; None for an evaluation.
    """

    method: str
    runs: int
    n: int
    values: Mapping[str, float]
    ranks: Mapping[str, Rank]
    trajectory_area: float
    nos: int | None
    trajectory: Trajectory | None


@dataclass(frozen=True, eq=False)
class Task:
    """All methods on one dataset.

    Attributes:
        name: of the dataset.
        clicks: corrections per case.
        threshold: expert's Dice.
        rows: by mean place over the metrics, best first.
    """

    name: str
    clicks: int
    threshold: float
    rows: tuple[MethodRow, ...]
