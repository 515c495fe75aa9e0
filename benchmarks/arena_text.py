"""Markdown tables of the arena's report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import bench


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with three places, and a dash where there is no number."""
    return bench.table(header, [[_cell(value) for value in row] for row in rows])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3f}"
    return "–" if value is None else str(value)
