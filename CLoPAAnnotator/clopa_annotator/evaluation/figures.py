"""The report's plots as SVG text for embedding in a page: no fonts, scripts or files from elsewhere.

Ink and grid are drawn in two placeholder colours that become CSS variables, so that the page's light and dark
themes apply to the plots too.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clopa_annotator.evaluation.case_rows import CaseRow
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.rows import EpisodeSummary
from clopa_annotator.evaluation.trajectory import Trajectory

INK, GRID, PAPER = "#0a0b0c", "#c0c1c2", "#fdfcfb"
BASE, FIRST, LAST, GOOD, BAD = "#8b95a5", "#6cc3c1", "#0b74c4", "#1f9d6b", "#d1495b"
RUNNING_MEAN = 5
"""Cases in the running mean along the stream."""

_STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "normal",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}

Draw = Callable[[Figure], None]


def version_name(version: int) -> str:
    """What a reader calls a weights version."""
    return "base model" if version == 0 else f"version {version}"


def version_colours(versions: Sequence[int]) -> dict[int, str]:
    """Grey for the base, then from light to strong for later versions."""
    later = [v for v in sorted(versions) if v != 0]
    shades = mpl.colors.LinearSegmentedColormap.from_list("versions", [FIRST, LAST])
    places = np.linspace(0, 1, len(later)) if len(later) > 1 else [1.0]
    colours = {v: mpl.colors.to_hex(shades(p)) for v, p in zip(later, places, strict=False)}
    return {0: BASE, **colours}


def to_svg(draw: Draw, size_inch: tuple[float, float], name: str) -> str:
    """Run ``draw`` on an empty figure and return it as an SVG element.

    Args:
        draw: adds axes and plots.
        size_inch: width and height.
        name: salt of the element's ids, so that the same plot gives the same text and two plots never clash.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size_inch, layout="constrained")
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in ((INK, "var(--ink)"), (GRID, "var(--grid)"), (PAPER, "var(--card)")):
        svg = svg.replace(colour, variable)
    return svg


def dice_against_clicks(curves: Sequence[CaseCurve], threshold: float) -> str:
    """Mean Dice per correction and weights version, with the middle half of the cases shaded."""
    versions = sorted({c.version for c in curves})
    colours = version_colours(versions)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for version in versions:
            table = np.array([c.dice for c in curves if c.version == version])
            clicks = np.arange(table.shape[1])
            marker = "o" if len(clicks) <= 25 else ""
            low, high = np.percentile(table, (25, 75), axis=0)
            if version in (versions[0], versions[-1]):
                axes.fill_between(clicks, low, high, color=colours[version], alpha=0.15, linewidth=0)
            label = version_name(version)
            axes.plot(clicks, table.mean(axis=0), marker, ls="-", ms=4, color=colours[version], label=label)
        _threshold_line(axes, threshold)
        axes.set(xlabel="corrections after the initial prompt", ylabel="Dice", ylim=(0, 1.0))
        _whole_numbers(axes.xaxis)
        _legend(axes)

    return to_svg(draw, (5.8, 3.5), "dice_against_clicks")


def paired_first_proposals(before: Sequence[float], after: Sequence[float], label: str) -> str:
    """First-shown Dice of each unseen case: base model against the newest version."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GRID, lw=1, zorder=1)
        better = [a >= b for b, a in zip(before, after, strict=True)]
        for flag, colour in ((True, LAST), (False, BAD)):
            points = [(b, a) for b, a, ok in zip(before, after, better, strict=True) if ok is flag]
            text = f"{'better or equal' if flag else 'worse'} ({len(points)})"
            xs, ys = np.array(points or [(np.nan, np.nan)]).T
            axes.scatter(xs, ys, s=26, color=colour, alpha=0.8, label=text)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Dice with the base model", ylabel=f"Dice with {label}")
        axes.set_aspect("equal")
        axes.grid(axis="x")
        _legend(axes)

    return to_svg(draw, (4.1, 3.5), "paired_first_proposals")


def stream_of_cases(rows: Sequence[CaseRow], episodes: Sequence[EpisodeSummary]) -> str:
    """First-shown Dice along the stream, its running mean, and where the weights changed."""
    order = np.array([row.order for row in rows])
    shown = [row.dice_first_shown for row in rows]
    zero = [row.dice_zero for row in rows]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.scatter(order, shown, s=22, color=BASE, alpha=0.75, label="first proposal of each case")
        axes.plot(order, running_mean(shown), color=LAST, label=f"running mean of {RUNNING_MEAN} cases")
        if not all(map(math.isnan, zero)):
            label = "without a click, running mean"
            axes.plot(order, running_mean(zero), color=FIRST, ls="--", label=label)
        _episode_marks(axes, episodes)
        axes.set(xlabel="case in order of arrival", ylabel="Dice of the first proposal", ylim=(0, 1.06))
        axes.set_xlim(0.3, max(order) + 0.7)
        _whole_numbers(axes.xaxis)
        _legend(axes)

    return to_svg(draw, (10.2, 3.3), "stream_of_cases")


def running_mean(values: Sequence[float], width: int = RUNNING_MEAN) -> list[float]:
    """Mean over the last ``width`` values, fewer at the beginning; NaN values are left out."""
    return [mean_of(values[max(0, n + 1 - width) : n + 1]) for n in range(len(values))]


def mean_of(values: Sequence[float]) -> float:
    """Mean without NaN values; NaN if there is no other."""
    known = [value for value in values if not math.isnan(value)]
    return float(sum(known) / len(known)) if known else math.nan


def _episode_marks(axes: Any, episodes: Sequence[EpisodeSummary]) -> None:
    for episode in episodes:
        colour, dashes = (GOOD, "-") if episode.promoted else (BASE, ":")
        axes.axvline(episode.at_case + 0.5, color=colour, ls=dashes, lw=1.2, zorder=0)
        text = f" v{episode.version}" if episode.promoted else " kept old"
        axes.text(episode.at_case + 0.5, 1.05, text, color=colour, fontsize=9, va="top")


def shown_and_confirmed(rows: Sequence[CaseRow]) -> str:
    """Per case the first proposal and the last one before confirming, with the corrections between them."""
    order = np.array([row.order for row in rows])
    first = np.array([row.dice_first_shown for row in rows])
    last = np.array([row.dice_confirmed for row in rows])

    def draw(figure: Figure) -> None:
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        top.vlines(order, first, last, color=GRID, lw=2)
        top.scatter(order, first, s=20, color=BASE, label="first shown", zorder=3)
        top.scatter(order, last, s=20, color=GOOD, label="when confirmed", zorder=3)
        top.set(ylabel="Dice", ylim=(0, 1.03))
        _legend(top)
        bottom.bar(order, [row.clicks for row in rows], color=LAST, width=0.7)
        bottom.set(ylabel="corrections", xlabel="case in order of arrival")
        bottom.set_xlim(0.3, max(order) + 0.7)
        for axes in (top, bottom):
            _whole_numbers(axes.xaxis)
        _whole_numbers(bottom.yaxis)

    return to_svg(draw, (10.2, 3.9), "shown_and_confirmed")


def episode_curves(episodes: Sequence[EpisodeSummary]) -> str:
    """Training loss and validation score per epoch, one pair of plots per episode."""
    shown = [e for e in episodes if e.train_loss or e.val_score]

    def draw(figure: Figure) -> None:
        grid = figure.subplots(2, len(shown), squeeze=False, sharex="col", sharey="row")
        for column, episode in enumerate(shown):
            loss, score = grid[0][column], grid[1][column]
            loss.plot(range(1, len(episode.train_loss) + 1), episode.train_loss, "o-", ms=3, color=BASE)
            score.plot(range(len(episode.val_score)), episode.val_score, "o-", ms=3, color=LAST)
            loss.set_title(f"after {episode.at_case} cases", loc="left")
            score.set_xlabel("epoch")
            _whole_numbers(score.xaxis)
        grid[0][0].set_ylabel("training loss")
        grid[1][0].set_ylabel("validation score")

    return to_svg(draw, (min(10.2, 1.2 + 2.7 * len(shown)), 3.6), "episode_curves")


def trajectories(named: Sequence[tuple[str, Trajectory]], threshold: float, ylabel: str, name: str) -> str:
    """Several runs' trajectories over the cases received, the threshold, and where each reaches it (NoS)."""
    palette = ["#0b74c4", "#e08e2b", "#1f9d6b", "#8e5fbf", "#d1495b", "#5b6b7f", "#2aa5a0", "#a0742c"]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for n, (label, trajectory) in enumerate(named):
            colour = palette[n % len(palette)]
            counts = range(trajectory.n_cases + 1)
            axes.step(counts, (trajectory.base, *trajectory.values), where="post", color=colour, label=label)
            reached = trajectory.cases_to(threshold)
            if reached is not None:
                height = (trajectory.base, *trajectory.values)[reached]
                axes.scatter([reached], [height], marker="D", s=40, color=colour, zorder=4)
        _threshold_line(axes, threshold)
        axes.set(xlabel="cases received", ylabel=ylabel)
        _whole_numbers(axes.xaxis)
        _legend(axes)

    return to_svg(draw, (8.0, 4.0), name)


def _legend(axes: Any) -> None:
    """Above the plot, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, columnspacing=1.2, handlelength=1.4)


def _whole_numbers(axis: Any) -> None:
    axis.set_major_locator(MaxNLocator(integer=True))


def _threshold_line(axes: Any, threshold: float) -> None:
    if np.isfinite(threshold):
        axes.axhline(threshold, color=GOOD, ls="--", lw=1.2)
        axes.annotate(
            f"expert threshold {threshold:g}",
            (1.0, threshold),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=GOOD,
        )
