"""``clopa compare``: several runs against each other, as the papers' tables and the trajectory figure.

Runs on the same dataset form one table (a task); a run with several targets belongs to a table of each. Runs
of one strategy with the same base model, clicks and order of cases are permutations of the stream. Each run's
numbers are computed first and then averaged, as in the paper; the tests pair the cases, each with its mean.
A method's row is that of its newest version in use. A trajectory is computed per run for every metric and
then averaged, case count by case count; its area is tested over the case counts. NoS is the first case count
at which the mean final Dice reaches the threshold.
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
    LOWER_IS_BETTER,
    CaseCurve,
    summarise,
    summarise_versions,
    values_per_case,
)
from clopa_annotator.evaluation.rows import RunSummary, versions_in_use
from clopa_annotator.evaluation.statistics import ALPHA, Rank, rank, rank_failures
from clopa_annotator.evaluation.tables import read_clicks, read_summary, replace_text, to_json
from clopa_annotator.evaluation.trajectory import Trajectory, average, make_trajectory


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
            "trajectory_auc": {metric: to_json(row.area(metric)) for metric in row.trajectories},
            "trajectory_ranks": {metric: to_json(place) for metric, place in row.area_ranks.items()},
            "nos": row.nos,
        }
        for row in task.rows
    ]
    return {"task": task.name, "clicks": task.clicks, "threshold": to_json(task.threshold), "methods": rows}


def compare_runs(
    folders: Sequence[Path],
    out: Path,
    target: str | None = None,
    expert_dice: Mapping[str, float] | None = None,
    corrected: bool = False,
) -> Comparison:
    """Compare finished runs; write ``comparison.md``, ``.csv``, ``.html`` and one figure per task.

    Args:
        folders: outputs of simulate or evaluate.
        out: folder for the results; made if missing.
        target: only this target of runs with several, in one table with runs that were given none; None
            makes a table of each.
        expert_dice: threshold per dataset's name, for instance nnU-Net's mean on it; others keep their runs'.
        corrected: divide the level of significance by the number of pairs of methods (Bonferroni); the paper
            corrects nothing.

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
    known = dict(expert_dice or {})
    if strange := sorted(known.keys() - groups.keys()):
        raise InputError(
            f"There is no run on {strange[0]}, so it needs no threshold; there are runs on "
            f"{', '.join(sorted(groups))}."
        )
    tasks = tuple(_task(name, runs, known.get(name), corrected) for name, runs in sorted(groups.items()))
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


def _task(name: str, runs: Sequence[Run], expert_dice: float | None, corrected: bool) -> Task:
    clicks = {run.summary.clicks for run in runs}
    if len(clicks) != 1:
        raise InputError(
            f"The runs on {name} have {sorted(clicks)} corrections per case; compare runs with equally many."
        )
    threshold = runs[0].summary.threshold if expert_dice is None else expert_dice
    methods: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        methods[_method(run, runs)].append(run)
    final = {method: _final_curves(members) for method, members in methods.items()}
    _check_same_cases(name, final)
    pairs = len(methods) * (len(methods) - 1) // 2
    alpha = ALPHA / max(1, pairs) if corrected else ALPHA
    ranks = {metric: _rank(metric, final, threshold, alpha) for metric in METRICS}
    moving = {method: _trajectories(members, threshold) for method, members in methods.items()}
    areas = _area_ranks(moving, alpha)
    rows = []
    for m, members in methods.items():
        places = {metric: found[m] for metric, found in ranks.items() if found}
        area_places = {metric: found[m] for metric, found in areas.items() if m in found}
        rows.append(_row(m, members, final[m], places, threshold, moving[m], area_places))
    rows.sort(key=lambda row: (sum(r.place for r in row.ranks.values()), -row.values["dice_nauc"]))
    return Task(name, clicks.pop(), threshold, tuple(rows), alpha)


def _method(run: Run, runs: Sequence[Run]) -> str:
    """The strategy's name, with the model, schedule, command or order of cases where several occur."""
    parts = [run.summary.strategy, run.summary.variant]
    for attribute in ("model", "schedule", "command", "order"):
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
    """The final version's curves of all runs and permutations, each run with a number of its own."""
    return tuple(
        replace(c, version=0, run=1000 * number + c.run)
        for number, run in enumerate(runs)
        for c in run.curves
        if c.version == newest_version(run)
    )


def _check_same_cases(name: str, final: Mapping[str, Sequence[CaseCurve]]) -> None:
    cases = {frozenset(c.case_id for c in curves) for curves in final.values()}
    if len(cases) != 1:
        raise InputError(
            f"The runs on {name} were tested on different cases, so they cannot be paired; test all of them "
            "on the same folder with the same limits."
        )


def _rank(
    metric: str, final: Mapping[str, Sequence[CaseCurve]], threshold: float, alpha: float
) -> dict[str, Rank]:
    """Places of all methods in one metric; none if the metric was not measured."""
    if metric in LOWER_IS_BETTER and math.isnan(threshold):
        return {}
    values = {method: values_per_case(metric, curves, threshold) for method, curves in final.items()}
    if metric == "nof":  # a case fails if it fails in more than half of its runs
        return rank_failures({m: [share > 0.5 for share in shares] for m, shares in values.items()}, alpha)
    if all(math.isnan(v) for column in values.values() for v in column):
        return {}
    return rank(values, higher_is_better=metric not in LOWER_IS_BETTER, alpha=alpha)


def _area_ranks(
    trajectories: Mapping[str, Mapping[str, Trajectory]], alpha: float
) -> dict[str, dict[str, Rank]]:
    """Places per metric: the trajectories' values paired over the case counts, as in the paper."""
    found: dict[str, dict[str, Rank]] = {}
    for metric in METRICS:
        moving = {m: own[metric] for m, own in trajectories.items() if metric in own}
        if len({t.n_cases for t in moving.values()}) == 1:
            values = {method: trajectory.values for method, trajectory in moving.items()}
            found[metric] = rank(values, higher_is_better=metric not in LOWER_IS_BETTER, alpha=alpha)
    return found


def _row(
    method: str,
    runs: Sequence[Run],
    final: Sequence[CaseCurve],
    ranks: Mapping[str, Rank],
    threshold: float,
    trajectories: Mapping[str, Trajectory],
    area_ranks: Mapping[str, Rank],
) -> MethodRow:
    summary = summarise(final, None if math.isnan(threshold) else threshold)
    last = trajectories.get("dice_final")
    return MethodRow(
        method=method,
        runs=len(runs),
        n=summary.n,
        values={metric: float(getattr(summary, metric)) for metric in METRICS},
        ranks=ranks,
        trajectories=trajectories,
        area_ranks=area_ranks,
        nos=None if last is None or math.isnan(threshold) else last.cases_to(threshold),
    )


def _trajectories(runs: Sequence[Run], threshold: float) -> dict[str, Trajectory]:
    """Of each metric that was measured: the mean over the runs that tested every version that was in use."""
    moving = [run for run in runs if _has_trajectory(run)]
    if len({run.summary.stream.n for run in moving}) != 1:
        return {}
    found = {metric: average([_trajectory(run, metric, threshold) for run in moving]) for metric in METRICS}
    return {metric: t for metric, t in found.items() if not any(map(math.isnan, t.values))}


def _has_trajectory(run: Run) -> bool:
    """Whether the base and every version that was in use were tested."""
    used = {0, *(version for _, version in versions_in_use(run.summary.episodes))}
    tested = {c.version for c in run.curves}
    return run.summary.command == "simulate" and run.summary.stream.n > 0 and used <= tested


def _trajectory(run: Run, metric: str, threshold: float) -> Trajectory:
    """A metric of the tested versions over the cases received."""
    expert = None if math.isnan(threshold) else threshold
    rows = {row.version: float(getattr(row, metric)) for row in summarise_versions(run.curves, expert)}
    base = rows.get(0, next(iter(rows.values())))
    return make_trajectory(run.summary.stream.n, {0: base, **rows}, versions_in_use(run.summary.episodes))
