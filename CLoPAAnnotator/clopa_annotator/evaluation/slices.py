"""Slices with contours as PNG: the reference and what each weights version proposed."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from clopa_annotator.evaluation.figures import version_name
from clopa_annotator.evaluation.pictures import CasePicture, Flat, PictureKey, PlanePicture

REFERENCE, PROPOSAL = "#3fd0ff", "#ffb01f"
"""Cyan and orange: far apart in lightness and for every kind of colour vision."""
_PANEL_INCH = 1.75
MAX_COLUMNS = 6


def shown_keys(picture: CasePicture, max_columns: int = MAX_COLUMNS) -> tuple[PictureKey, ...]:
    """Which proposals to show: the first of each version, then the last of each.

    With more versions than fit, the base and the newest ones stay.
    """
    versions = sorted({key.version for key in picture.dice})
    if 2 * len(versions) > max_columns:
        versions = [versions[0], *versions[1:][-(max_columns // 2 - 1) :]]
    chosen = []
    for pick in (min, max):
        for version in versions:
            clicks = [key.click for key in picture.dice if key.version == version]
            chosen.append(PictureKey(version, pick(clicks)))
    return tuple(dict.fromkeys(chosen))


def draw_case(picture: CasePicture) -> str:
    """One case as a PNG in a data URI: a row per plane, a column per proposal."""
    keys = shown_keys(picture)
    heights = [_height_over_width(plane) for plane in picture.planes]
    width = _PANEL_INCH * len(keys) + 0.35
    size = (width, _PANEL_INCH * sum(heights) + 0.75)
    with mpl.rc_context({"font.family": "sans-serif", "font.size": 8.5, "text.color": "#e8edf3"}):
        layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
        figure = Figure(figsize=size, facecolor="#0e1116", layout=layout)
        grid = figure.subplots(len(picture.planes), len(keys), squeeze=False, height_ratios=heights)
        for row, plane in enumerate(picture.planes):
            for column, key in enumerate(keys):
                _draw_panel(grid[row][column], plane, plane.proposals[key])
                if row == 0:
                    grid[0][column].set_title(_title(key, picture.dice[key]), fontsize=8.5)
            grid[row][0].set_ylabel(plane.name, color="#aab4c0")
        lines = [Line2D([], [], color=c, lw=1.6) for c in (REFERENCE, PROPOSAL)]
        figure.legend(lines, ["reference", "proposal"], loc="outside lower center", ncols=2, frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=150, facecolor=figure.get_facecolor())
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _title(key: PictureKey, dice: float) -> str:
    when = "first proposal" if key.click == 0 else f"{key.click} correction{'s' if key.click > 1 else ''}"
    return f"{version_name(key.version)}\n{when}: {dice:.2f}"


def _height_over_width(plane: PlanePicture) -> float:
    rows, columns = plane.image.shape
    return float(rows * plane.spacing_mm[0] / (columns * plane.spacing_mm[1]))


def _draw_panel(axes: Any, plane: PlanePicture, proposal: Flat) -> None:
    rows, columns = plane.image.shape
    extent = (0, columns * plane.spacing_mm[1], rows * plane.spacing_mm[0], 0)
    axes.imshow(plane.image, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="bilinear")
    for flags, colour, width in ((plane.reference, REFERENCE, 1.4), (proposal, PROPOSAL, 1.1)):
        for xs, ys in _outline(flags, plane.spacing_mm):
            axes.plot(xs, ys, color=colour, lw=width, solid_capstyle="butt")
    axes.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
    axes.set_aspect("equal")
    for spine in axes.spines.values():
        spine.set_visible(False)


def _outline(flags: Flat, spacing_mm: tuple[float, float]) -> Sequence[tuple[list[float], list[float]]]:
    """The mask's voxel edges as polylines in mm: what the mask is, not a smoothed version of it."""
    padded = np.pad(flags != 0, 1)
    rows, columns = np.nonzero(padded[1:, 1:-1] != padded[:-1, 1:-1])
    xs, ys = [], []
    for r, c in zip(rows, columns, strict=True):
        xs += [c * spacing_mm[1], (c + 1) * spacing_mm[1], np.nan]
        ys += [r * spacing_mm[0]] * 2 + [np.nan]
    rows, columns = np.nonzero(padded[1:-1, 1:] != padded[1:-1, :-1])
    for r, c in zip(rows, columns, strict=True):
        xs += [c * spacing_mm[1]] * 2 + [np.nan]
        ys += [r * spacing_mm[0], (r + 1) * spacing_mm[0], np.nan]
    return [(xs, ys)] if xs else []
