"""``clopa compare``: several runs against each other, as the papers' tables and the trajectory figure.

Runs on the same dataset form one table (a task); a run with several targets belongs to a table of each. Runs
of one strategy with the same base model and clicks are permutations of the stream: their curves are averaged
case by case before anything is ranked, as in the paper's table of the final episode. A method's row is that
of its newest version in use. A trajectory is computed per run and then averaged, case count by case count.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clopa_annotator.errors import InputError
from clopa_annotator.evaluation import comparison_page
from clopa_annotator.evaluation.case_rows import curves_from_clicks
from clopa_annotator.evaluation.comparison_page import METRICS, MethodRow, Task
from clopa_annotator.evaluation.curves import (
    CaseCurve,
    average_runs,
    interactions_to,
    nauc,
    summarise,
    summarise_versions,
)
from clopa_annotator.evaluation.rows import RunSummary, versions_in_use
from clopa_annotator.evaluation.statistics import Rank, rank, rank_failures
from clopa_annotator.evaluation.tables import read_clicks, read_summary, replace_text, to_json
from clopa_annotator.evaluation.trajectory import Trajectory, average, make_trajectory

LOWER_IS_BETTER = frozenset({"noi", "nof"})


@dataclass(frozen=True, eq=False)
class Run:
    """One finished run as read from its folder, or one target of it.

    Attributes:
        folder: where it was read.
        summary: of the target alone, where the run has several.
        curves: of the test cases.
        target: name of the target; empty where the run was given none.
        targets: how many the campaign segmented.
    """

    folder: Path
    summary: RunSummary
    curves: tuple[CaseCurve, ...]
    target: str = ""
    targets: int = 1


@dataclass(frozen=True, eq=False)
class Comparison:
    """What `compare_runs` found and wrote."""

    tasks: tuple[Task, ...]
    markdown: str

    def to_dict(self) -> dict[str, Any]:
        """The tables as what strict JSON knows."""
        return {"tasks": [_task_dict(task) for task in self.tasks]}


def _task_dict(task: Task) -> dict[str, Any]:
    rows = [
        {
            "method": row.method,
            "runs": row.runs,
            "n": row.n,
            **{metric: to_json(value) for metric, value in row.values.items()},
            "ranks": {metric: to_json(place) for metric, place in row.ranks.items()},
            "trajectory_auc": to_json(row.trajectory_area),
            "nos": row.nos,
        }
        for row in task.rows
    ]
    return {"task": task.name, "clicks": task.clicks, "threshold": to_json(task.threshold), "methods": rows}


def compare_runs(folders: Sequence[Path], out: Path, target: str | None = None) -> Comparison:
    """Compare finished runs; write ``comparison.md``, ``.csv``, ``.html`` and one figure per task.

    Args:
        folders: outputs of simulate or evaluate.
        out: folder for the results; made if missing.
        target: only this target of runs with several, in one table with runs that were given none; None
            makes a table of each.

    Raises:
        DatasetError: a folder that holds no finished run.
        InputError: no folder, a run without that target, or runs on one dataset that cannot be compared
            (other cases or clicks).
    """
    if not folders:
        raise InputError("Name at least one output folder of simulate or evaluate.")
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in (run for folder in folders for run in _read(folder, target)):
        of_target = target or run.target
        name = run.summary.dataset or "unnamed dataset"
        groups[f"{name} · {of_target}" if of_target else name].append(run)
    tasks = tuple(_task(name, runs) for name, runs in sorted(groups.items()))
    markdown = comparison_page.markdown(tasks)
    replace_text(out / "comparison.md", markdown)
    replace_text(out / "comparison.csv", comparison_page.csv_text(tasks))
    replace_text(out / "comparison.html", comparison_page.html(tasks))
    for number, task in enumerate(tasks, start=1):
        figure = comparison_page.trajectory_figure(task)
        if figure:
            replace_text(out / f"trajectory-{number}.svg", comparison_page.standalone_svg(figure))
    return Comparison(tasks, markdown)


def result_files(folders: Sequence[Path]) -> tuple[str, ...]:
    """What `compare_runs` writes at most: a figure per task, a task to each run and target.

    Raises:
        DatasetError: a folder that holds no finished run.
    """
    tasks = sum(max(1, len(read_summary(folder).targets)) for folder in folders)
    figures = (f"trajectory-{number}.svg" for number in range(1, tasks + 1))
    return ("comparison.md", "comparison.csv", "comparison.html", *figures)


def _read(folder: Path, target: str | None) -> list[Run]:
    """A run, once for each of its targets."""
    summary = read_summary(folder)
    curves = curves_from_clicks(read_clicks(folder))
    if not curves:
        raise InputError(f"{folder} holds no test cases; run simulate with test cases, or evaluate, first.")
    if not summary.targets:
        return [Run(folder, summary, curves)]
    if target is not None and target not in summary.targets:
        raise InputError(f"{folder} has no target {target!r}; it has {', '.join(summary.targets)}.")
    return [
        Run(
            folder, summary.of(name), tuple(c for c in curves if c.target == name), name, len(summary.targets)
        )
        for name in ([target] if target is not None else summary.targets)
    ]


def _task(name: str, runs: Sequence[Run]) -> Task:
    clicks = {run.summary.clicks for run in runs}
    if len(clicks) != 1:
        raise InputError(
            f"The runs on {name} have {sorted(clicks)} corrections per case; compare runs with equally many."
        )
    threshold = runs[0].summary.threshold
    methods: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        methods[_method(run, runs)].append(run)
    final = {method: _final_curves(members) for method, members in methods.items()}
    _check_same_cases(name, final)
    ranks = {metric: _rank(metric, final, threshold) for metric in METRICS}
    rows = [
        _row(m, methods[m], final[m], {k: ranks[k][m] for k in METRICS if ranks[k]}, threshold)
        for m in methods
    ]
    rows.sort(key=lambda row: (sum(r.place for r in row.ranks.values()), -row.values["dice_nauc"]))
    return Task(name, clicks.pop(), threshold, tuple(rows))


def _method(run: Run, runs: Sequence[Run]) -> str:
    """The strategy's name, with the model, schedule or command where several occur."""
    parts = [run.summary.strategy, run.summary.variant]
    for attribute in ("model", "schedule", "command"):
        if len({getattr(other.summary, attribute) for other in runs}) > 1:
            parts.append(str(getattr(run.summary, attribute)))
    if len({other.targets for other in runs}) > 1:
        parts.append(f"{run.targets} targets" if run.targets > 1 else "alone")
    return " · ".join(filter(None, parts))


def newest_version(run: Run) -> int:
    """The weights version that was in use when the run ended, among the tested ones."""
    tested = {c.version for c in run.curves}
    used = [version for _, version in versions_in_use(run.summary.episodes) if version in tested]
    if used:
        return used[-1]
    return 0 if 0 in tested and run.summary.command == "simulate" else max(tested)


def _final_curves(runs: Sequence[Run]) -> tuple[CaseCurve, ...]:
    """One curve per case: the mean over all runs and permutations of the final version's curves."""
    final = [replace(c, version=0) for run in runs for c in run.curves if c.version == newest_version(run)]
    return average_runs(final)


def _check_same_cases(name: str, final: Mapping[str, Sequence[CaseCurve]]) -> None:
    cases = {frozenset(c.case_id for c in curves) for curves in final.values()}
    if len(cases) != 1:
        raise InputError(
            f"The runs on {name} were tested on different cases, so they cannot be paired; test all of them "
            "on the same folder with the same limits."
        )


def _values(metric: str, curves: Sequence[CaseCurve], threshold: float) -> list[float]:
    if metric == "noi":
        return [interactions_to(c.dice, threshold)[0] for c in curves]
    kind, part = metric.split("_")
    scores = [c.dice if kind == "dice" else c.nsd for c in curves]
    return [nauc(s) if part == "nauc" else s[0 if part == "init" else -1] for s in scores]


def _rank(metric: str, final: Mapping[str, Sequence[CaseCurve]], threshold: float) -> dict[str, Rank]:
    """Places of all methods in one metric; none if the metric was not measured."""
    if metric in LOWER_IS_BETTER and math.isnan(threshold):
        return {}
    if metric == "nof":
        return rank_failures(
            {m: [interactions_to(c.dice, threshold)[1] for c in cs] for m, cs in final.items()}
        )
    values = {method: _values(metric, curves, threshold) for method, curves in final.items()}
    if all(math.isnan(v) for column in values.values() for v in column):
        return {}
    return rank(values, higher_is_better=metric not in LOWER_IS_BETTER)


def _row(
    method: str, runs: Sequence[Run], final: Sequence[CaseCurve], ranks: Mapping[str, Rank], threshold: float
) -> MethodRow:
    summary = summarise(final, None if math.isnan(threshold) else threshold)
    moving = [_trajectory(run) for run in runs if _has_trajectory(run)]
    lengths = {t.n_cases for t in moving}
    trajectory = average(moving) if len(lengths) == 1 else None
    return MethodRow(
        method=method,
        runs=len(runs),
        n=summary.n,
        values={metric: float(getattr(summary, metric)) for metric in METRICS},
        ranks=ranks,
        trajectory_area=trajectory.area if trajectory else math.nan,
        nos=trajectory.cases_to(threshold) if trajectory and not math.isnan(threshold) else None,
        trajectory=trajectory,
    )


def _has_trajectory(run: Run) -> bool:
    """Whether the base and every version that was in use were tested."""
    used = {0, *(version for _, version in versions_in_use(run.summary.episodes))}
    tested = {c.version for c in run.curves}
    return run.summary.command == "simulate" and run.summary.stream.n > 0 and used <= tested


def _trajectory(run: Run) -> Trajectory:
    """Dice nAUC of the tested versions over the cases received; per run, as the paper averages."""
    rows = {row.version: row.dice_nauc for row in summarise_versions(run.curves, None, "per-run")}
    base = rows.get(0, next(iter(rows.values())))
    return make_trajectory(run.summary.stream.n, {0: base, **rows}, versions_in_use(run.summary.episodes))
