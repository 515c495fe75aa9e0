"""The comparison of runs as Markdown, CSV and HTML: best in bold, place by significant wins in brackets."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clopa_annotator.evaluation import figures, page
from clopa_annotator.evaluation.page import number
from clopa_annotator.evaluation.statistics import ALPHA, Rank
from clopa_annotator.evaluation.trajectory import Trajectory

METRICS = ("dice_init", "dice_final", "dice_nauc", "nsd_init", "nsd_final", "nsd_nauc", "noi", "nof")
COLUMNS = {
    "dice_init": ("Dice first", 3),
    "dice_final": ("Dice last", 3),
    "dice_nauc": ("Dice nAUC", 3),
    "nsd_init": ("NSD first", 3),
    "nsd_final": ("NSD last", 3),
    "nsd_nauc": ("NSD nAUC", 3),
    "noi": ("NoI", 1),
    "nof": ("NoF %", 1),
}
_FEWER = ("noi", "nof")
NOTE = (
    "Numbers are means over the same unseen cases with the weights in use at the end. In brackets: place by "
    "the number of methods beaten significantly (paired two-sided Wilcoxon over the cases, exact McNemar for "
    "NoF, at the level that each table names); methods with equally many wins share a place. Areas are those "
    "of each number's trajectory over the cases received, ranked over the case counts; NoS is the first case "
    "count at which the mean final Dice reaches the threshold."
)


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


def markdown(tasks: Sequence[Task]) -> str:
    """Tables for a README or an issue."""
    parts = ["# Comparison", NOTE]
    for task in tasks:
        parts += [f"## {task.name}", _about(task), _markdown_table(*_table(task))]
        if any(row.trajectories for row in task.rows):
            parts += [
                "Area of each number's trajectory over the cases received:",
                _markdown_table(*_areas(task)),
            ]
    return "\n\n".join(parts) + "\n"


def _markdown_table(
    header: Sequence[str], body: Sequence[Sequence[page.Cell]], best: set[tuple[int, int]]
) -> str:
    lines = [_line(header), _line(["---", *["---:"] * (len(header) - 1)])]
    for r, cells in enumerate(body):
        texts = [str(cell).replace("|", "\\|") for cell in cells]
        lines.append(_line([f"**{t}**" if (r, c) in best else t for c, t in enumerate(texts)]))
    return "\n".join(lines)


def csv_text(tasks: Sequence[Task]) -> str:
    """One row per task and method, with plain numbers."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    ranks = [f"{metric}_{kind}" for metric in COLUMNS for kind in ("place", "wins")]
    areas = [f"{metric}_area{kind}" for metric in COLUMNS for kind in ("", "_place", "_wins")]
    writer.writerow(["task", "method", "runs", "n", *COLUMNS, *ranks, *areas, "nos"])
    for task in tasks:
        for row in task.rows:
            places = [row.ranks.get(metric) for metric in COLUMNS]
            cells = [text for r in places for text in ((r.place, r.wins) if r else ("", ""))]
            values = [_plain(row.values[metric]) for metric in COLUMNS]
            nos = "" if row.nos is None else row.nos
            moving = [cell for metric in COLUMNS for cell in _area_cells(row, metric)]
            writer.writerow([task.name, row.method, row.runs, row.n, *values, *cells, *moving, nos])
    return buffer.getvalue()


def _area_cells(row: MethodRow, metric: str) -> tuple[object, object, object]:
    place = row.area_ranks.get(metric)
    return (_plain(row.area(metric)), *((place.place, place.wins) if place else ("", "")))


def html(tasks: Sequence[Task]) -> str:
    """A self-contained page with the tables and the trajectory figures."""
    shown = []
    for task in tasks:
        header, rows, best = _table(task)
        svg = trajectory_figure(task)
        plot = page.Plot(svg, f"Trajectories on {task.name}") if svg else None
        about = {"name": task.name, "about": _about(task)}
        shown.append({**about, "header": header, "rows": rows, "best": best, "plot": plot})
        if svg:
            header, rows, best = _areas(task)
            about = {"name": f"{task.name}: trajectories", "about": "Areas over the cases received."}
            shown.append({**about, "header": header, "rows": rows, "best": best, "plot": None})
    return page.render(
        "comparison.html",
        title="CLoPA Annotator comparison",
        kicker="Comparison",
        headline=_headline(tasks),
        lead=NOTE,
        tasks=shown,
    )


def trajectory_figure(task: Task) -> str:
    """Every method's trajectory with the threshold line and NoS marks; empty if no run has a stream."""
    named: list[tuple[str, Trajectory]] = [(r.method, r.trajectory) for r in task.rows if r.trajectory]
    if not named:
        return ""
    return figures.trajectories(
        named, task.threshold, "Final Dice on unseen cases", f"trajectory-{task.name}"
    )


def standalone_svg(svg: str) -> str:
    """The same figure for outside the page: its CSS variables replaced by the light theme's colours."""
    for variable, colour in (
        ("var(--ink)", "#1b2430"),
        ("var(--grid)", "#d5dae1"),
        ("var(--card)", "#ffffff"),
    ):
        svg = svg.replace(variable, colour)
    return svg


def _headline(tasks: Sequence[Task]) -> str:
    if len(tasks) != 1:
        return f"{len(tasks)} tasks compared"
    best = tasks[0].rows[0]
    tied = [r.method for r in tasks[0].rows if _places(r) == _places(best)]
    if len(tied) > 1:
        return f"{', '.join(tied[:-1])} and {tied[-1]} share the first place on {tasks[0].name}"
    return f"{best.method} ranks first on {tasks[0].name}" if tasks[0].rows[1:] else best.method


def _places(row: MethodRow) -> int:
    return sum(r.place for r in row.ranks.values())


def _about(task: Task) -> str:
    threshold = "none" if math.isnan(task.threshold) else f"Dice {task.threshold:g}"
    n = task.rows[0].n
    level = f"p < {task.alpha:.3g}" + (", corrected for the pairs of methods" if task.alpha < ALPHA else "")
    cases = f"{n} unseen cases, {task.clicks} corrections per case"
    return f"{cases}, expert threshold: {threshold}; significant is {level}."


def _table(task: Task) -> tuple[list[str], list[list[page.Cell]], set[tuple[int, int]]]:
    header = ["method", "runs", *(name for name, _ in COLUMNS.values()), "NoS"]
    body: list[list[page.Cell]] = []
    for row in task.rows:
        nos = ("–" if row.trajectory is None else "never") if row.nos is None else str(row.nos)
        cells = [_cell(row, metric) for metric in COLUMNS]
        body.append([row.method, str(row.runs), *cells, nos])
    best = {(r, c) for c, metric in enumerate(COLUMNS, start=2) for r in _best_rows(task, metric)}
    return header, body, best


def _areas(task: Task) -> tuple[list[str], list[list[page.Cell]], set[tuple[int, int]]]:
    """Areas of the trajectories, best first for each number."""
    measured = [metric for metric in COLUMNS if any(metric in row.trajectories for row in task.rows)]
    rows = [row for row in task.rows if row.trajectories]
    body: list[list[page.Cell]] = [[r.method, *(_area_cell(r, metric) for metric in measured)] for r in rows]
    best = set()
    for c, metric in enumerate(measured, start=1):
        heights = [round(r.area(metric), COLUMNS[metric][1]) for r in rows]
        target = min(heights) if metric in _FEWER else max(heights)
        best |= {(r, c) for r, height in enumerate(heights) if height == target and len(rows) > 1}
    return ["method", *(COLUMNS[metric][0] for metric in measured)], body, best


def _area_cell(row: MethodRow, metric: str) -> str:
    text = number(row.area(metric), COLUMNS[metric][1])
    return f"{text} ({row.area_ranks[metric].place})" if metric in row.area_ranks else text


def _cell(row: MethodRow, metric: str) -> str:
    text = number(row.values[metric], COLUMNS[metric][1])
    return f"{text} ({row.ranks[metric].place})" if metric in row.ranks else text


def _best_rows(task: Task, metric: str) -> list[int]:
    """Rows whose mean is the best, to the digits shown; none where nothing was measured."""
    digits = COLUMNS[metric][1]
    values = [round(row.values[metric], digits) for row in task.rows]
    known = [v for v in values if not math.isnan(v)]
    if not known or len(task.rows) < 2:
        return []
    target = min(known) if metric in _FEWER else max(known)
    return [r for r, value in enumerate(values) if value == target]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(value: float) -> str:
    return "" if math.isnan(value) else repr(value)
