"""The arena's figures as small PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

from clopa_annotator.evaluation import pictures
from clopa_annotator.evaluation.compare import Run, newest_version
from clopa_annotator.evaluation.comparison_page import Task
from clopa_annotator.evaluation.curves import CaseCurve

STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#d5dae1",
    "grid.linewidth": 0.5,
    "font.size": 9,
    "legend.frameon": False,
}
COLOURS = ("#0b74c4", "#d1495b", "#1f9d6b", "#e08e1b", "#7a4fb5", "#17a2a6", "#8a5a2b", "#c2459b", "#5b6d1c")
BASELINE = "#8b95a5"


def _looks(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """One look per method in every panel; what does not learn is grey."""
    learning = sorted(m for m in methods if not m.startswith("static"))
    looks: dict[str, dict[str, Any]] = {
        m: {"color": COLOURS[n % len(COLOURS)], "lw": 1.7} for n, m in enumerate(learning)
    }
    for method in methods:
        if method.startswith("static"):
            looks[method] = {"color": BASELINE, "lw": 1.7, "ls": "--" if "box" in method else "-"}
    return looks


def dice_figure(path: Path, final: Mapping[str, Mapping[str, Sequence[CaseCurve]]]) -> None:
    """Mean Dice after each correction, one panel per stream."""
    looks = _looks(sorted({m for methods in final.values() for m in methods}))
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(final), figsize=(3.9 * len(final), 3.6), squeeze=False)
        for axes, (stream, methods) in zip(panels[0], final.items(), strict=True):
            for method, curves in methods.items():
                axes.plot(np.mean([c.dice for c in curves], axis=0), label=method, **looks[method])
            axes.set(title=stream, xlabel="corrections")
            axes.xaxis.get_major_locator().set_params(integer=True)
        panels[0][0].set_ylabel("Dice on unseen cases")
        _finish(figure, panels[0], path)


def trajectory_figure(path: Path, tasks: Sequence[Task]) -> None:
    """Dice nAUC on the unseen cases over the cases received, with the expert's threshold and NoS marks."""
    looks = _looks(sorted({row.method for task in tasks for row in task.rows}))
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(tasks), figsize=(3.9 * len(tasks), 3.6), squeeze=False)
        for axes, task in zip(panels[0], tasks, strict=True):
            for row in task.rows:
                if row.trajectory is None:
                    continue
                # One more count than cases: the version of the last case would else be a vertical line.
                counts = range(row.trajectory.n_cases + 2)
                values = (row.trajectory.base, *row.trajectory.values, row.trajectory.values[-1])
                axes.step(counts, values, where="post", label=row.method, **looks[row.method])
                if row.nos is not None:
                    axes.plot(row.nos, values[row.nos], "o", color=looks[row.method]["color"])
            axes.axhline(task.threshold, color="#1b2430", lw=0.8, ls=":")
            axes.set(title=task.name, xlabel="cases received")
            axes.xaxis.get_major_locator().set_params(integer=True)
        panels[0][0].set_ylabel("Dice nAUC on unseen cases")
        _finish(figure, panels[0], path)


def _finish(figure: Any, panels: Sequence[Any], path: Path) -> None:
    handles = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    columns = 2 * len(panels)
    rows = -(-len(handles) // columns)
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncols=columns, fontsize=8)
    figure.tight_layout(rect=(0, 0.03 + 0.055 * rows, 1, 1))
    figure.savefig(path, dpi=90)
    plt.close(figure)


def picture_figure(path: Path, chosen: Sequence[tuple[str, Run]]) -> None:
    """A middling unseen case per stream: reference, then first and last proposal, base and learned."""
    if not chosen:
        return
    figure, panels = plt.subplots(len(chosen), 5, figsize=(11, 2.6 * len(chosen)), squeeze=False)
    for row, (title, run) in zip(panels, chosen, strict=True):
        last = newest_version(run)
        case = _middling(pictures.load_all(run.folder), last)
        plane = case.planes[0]
        clicks = sorted({key.click for key in case.dice})
        shown = [("reference", None), *((v, c) for v in (0, last) for c in (clicks[0], clicks[-1]))]
        for axes, (version, click) in zip(row, shown, strict=True):
            axes.imshow(plane.image, cmap="gray", vmin=0, vmax=1, aspect=_aspect(plane))
            axes.contour(plane.reference, [0.5], colors="#2fd17a", linewidths=1.2)
            axes.set_axis_off()
            if click is None:
                axes.set_title(f"{title}\n{case.case_id}: reference", fontsize=8)
                continue
            key = pictures.PictureKey(int(version), click)
            axes.contour(plane.proposals[key], [0.5], colors="#ffb000", linewidths=1.2)
            name = "base" if version == 0 else f"version {version}"
            axes.set_title(f"{name}, {click} corrections\nDice {case.dice[key]:.2f}", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _aspect(plane: pictures.PlanePicture) -> float:
    return plane.spacing_mm[0] / plane.spacing_mm[1]


def _middling(cases: Sequence[pictures.CasePicture], version: int) -> pictures.CasePicture:
    """The case with the median first Dice of a version, so that no picture is chosen for its looks."""
    ordered = sorted(cases, key=lambda c: c.dice[pictures.PictureKey(version, 0)])
    return ordered[len(ordered) // 2]
