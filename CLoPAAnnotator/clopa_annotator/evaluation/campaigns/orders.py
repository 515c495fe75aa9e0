"""What the order of cases brings, per case annotated: simulated campaigns in several orders, side by side.

Each permutation of the stream is a campaign of its own; numbers are means over the permutations, case count
by case count. ``orders.csv`` has a row per order and case count, ``orders.md`` the means, a figure per target
the curves: of the first proposals along the stream, and of the unseen cases with the weights then in use.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from clopa_annotator.case_order import IN_WORDS
from clopa_annotator.errors import InputError
from clopa_annotator.evaluation import figures
from clopa_annotator.evaluation.case_rows import CaseRow
from clopa_annotator.evaluation.comparison_page import standalone_svg
from clopa_annotator.evaluation.page import number
from clopa_annotator.evaluation.rows import RunSummary, versions_in_use
from clopa_annotator.evaluation.tables import read_cases, read_summary, replace_text, write_rows
from clopa_annotator.evaluation.trajectory import make_trajectory

TABLE, TEXT = "orders.csv", "orders.md"
TEST = ("dice_zero", "dice_init", "dice_final")
COLOURS = {"added": "#8b95a5", "random": "#d99a1c", "least-certain": "#0b74c4", "most-certain": "#1f9d6b"}
NOTE = (
    "Means over permutations of the stream. The first proposals are those of the cases as they came, so an "
    "order that takes easy cases first looks good at first; the unseen cases are the same for all, and say "
    "what was learned."
)
LEGEND = (
    "First columns: means over the cases of the stream. Unseen: means over the case counts (the height of "
    "the curve), then with the weights in use at the end."
)
HEADER = (
    *("order", "runs", "no click", "first proposal", "corrections per case"),
    *("unseen: no click", "unseen: first", "unseen: last", "at the end: first", "at the end: last"),
)


@dataclass(frozen=True)
class OrderRow:
    """One row of ``orders.csv``.

    Attributes:
        order: see `case_order.in_order`.
        annotated: cases annotated so far.
        runs: permutations that the numbers are means of.
        dice_zero: Dice without a click of the case that came as this one.
        dice_first: Dice of its first proposal.
        corrections: given so far, over all cases.
        test_zero: mean Dice without a click on the unseen cases, with the weights in use after so many cases.
        test_first: of the first proposals there.
        test_last: after the last correction there.
        target: name of the target where a run has several; else empty.
    """

    order: str
    annotated: int
    runs: int
    dice_zero: float
    dice_first: float
    corrections: float
    test_zero: float
    test_first: float
    test_last: float
    target: str = ""


def compare_orders(folders: Sequence[Path], out: Path) -> tuple[OrderRow, ...]:
    """Read finished simulations and write the comparison of their orders.

    Args:
        folders: outputs of simulate, any number for each order.
        out: gets ``orders.csv``, ``orders.md`` and a figure per target.

    Raises:
        DatasetError: a folder holds no finished run.
        InputError: the streams differ in length.
    """
    runs = [
        (read_summary(folder), [c for c in read_cases(folder) if c.part == "stream"]) for folder in folders
    ]
    if len({summary.stream.n for summary, _ in runs}) > 1:
        raise InputError(
            "Orders can be compared over streams of one length; give runs with the same --limit."
        )
    rows = []
    for target in _targets(runs):
        grouped: dict[str, list[Any]] = defaultdict(list)
        for summary, stream in runs:
            own = [c for c in stream if c.target == target]
            grouped[summary.order].append(_course(summary.of(target), own))
        rows += [row for order, found in grouped.items() for row in _rows(order, found, target)]
    write_rows(out / TABLE, OrderRow, rows)
    replace_text(out / TEXT, _markdown(rows))
    for place, target in enumerate(_targets(runs), start=1):
        replace_text(out / _figure_name(place), _figure([r for r in rows if r.target == target], target))
    return tuple(rows)


def result_files(folders: Sequence[Path]) -> tuple[str, ...]:
    """What `compare_orders` writes at most. Raises `DatasetError` for a folder without a finished run."""
    targets = max((len(read_summary(folder).targets) for folder in folders), default=0)
    return (TABLE, TEXT, *(_figure_name(place) for place in range(1, max(targets, 1) + 1)))


def _figure_name(place: int) -> str:
    return f"orders-{place}.svg"


def _targets(runs: Sequence[tuple[RunSummary, Sequence[CaseRow]]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for summary, _ in runs for name in (summary.targets or ("",))))


def _course(summary: RunSummary, stream: Sequence[CaseRow]) -> Mapping[str, Sequence[float]]:
    """The numbers of one campaign after 1, 2, ... cases."""
    stream = sorted(stream, key=lambda row: row.order)
    found: dict[str, Sequence[float]] = {
        "dice_zero": [row.dice_zero for row in stream],
        "dice_first": [row.dice_first_shown for row in stream],
        "corrections": [float(v) for v in np.cumsum([row.clicks for row in stream])],
    }
    in_use = versions_in_use(summary.episodes)
    for name in TEST:
        values = {row.version: float(getattr(row, name)) for row in summary.test}
        tested = 0 in values and {version for _, version in in_use} <= values.keys()
        course = make_trajectory(len(stream), values, in_use).values if tested and stream else ()
        found[name + "_test"] = course or [math.nan] * len(stream)
    return found


def _rows(order: str, courses: Sequence[Mapping[str, Sequence[float]]], target: str) -> list[OrderRow]:
    """Means over the permutations."""
    length = min(len(course["dice_first"]) for course in courses)

    def mean(name: str, place: int) -> float:
        values = [v for v in (course[name][place] for course in courses) if not math.isnan(v)]
        return float(np.mean(values)) if values else math.nan

    def test(name: str, place: int) -> float:
        return mean(name + "_test", place)

    return [
        OrderRow(
            order, place + 1, len(courses),
            mean("dice_zero", place), mean("dice_first", place), mean("corrections", place),
            test("dice_zero", place), test("dice_init", place), test("dice_final", place), target,
        )
        for place in range(length)
    ]  # fmt: skip


def _markdown(rows: Sequence[OrderRow]) -> str:
    parts = ["# The order of cases", NOTE]
    for target in dict.fromkeys(row.target for row in rows):
        lines = [f"| {' | '.join(HEADER)} |", "|---" + "|---:" * 9 + "|"]
        own = [row for row in rows if row.target == target]
        for order in dict.fromkeys(row.order for row in own):
            lines.append(_line([row for row in own if row.order == order]))
        parts += [f"## {target}"] * bool(target) + ["\n".join(lines)]
    return "\n\n".join([*parts, LEGEND]) + "\n"


def _line(rows: Sequence[OrderRow]) -> str:
    last = rows[-1]
    names = ("dice_zero", "dice_first", "test_zero", "test_first", "test_last")
    zero, first, *unseen = (number(figures.mean_of([getattr(row, name) for row in rows])) for name in names)
    corrections = number(last.corrections / last.annotated, 2)
    cells = [last.order, str(last.runs), zero, first, corrections, *unseen]
    return f"| {' | '.join([*cells, number(last.test_first), number(last.test_last)])} |"


def _figure(rows: Sequence[OrderRow], target: str) -> str:
    """First proposals along the stream, and the unseen cases, over the cases annotated."""

    def draw(figure: Figure) -> None:
        along, unseen = figure.subplots(1, 2, sharey=True)
        for order in dict.fromkeys(row.order for row in rows):
            own = [row for row in rows if row.order == order]
            counts = [row.annotated for row in own]
            look = {"color": COLOURS[order], "label": IN_WORDS[order]}  # type: ignore[index]
            along.plot(counts, figures.running_mean([row.dice_first for row in own]), **look)
            unseen.step(counts, [row.test_first for row in own], where="post", **look)
        along.set(title="First proposal of the cases as they came", xlabel="cases annotated", ylabel="Dice")
        unseen.set(title="First proposal on unseen cases", xlabel="cases annotated")
        along.legend(loc="lower right")

    return standalone_svg(figures.to_svg(draw, (8.4, 3.2), f"orders-{target}"))
