"""Pages from the templates beside this file (Jinja2): escaped, self-contained, light and dark."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

Cell = str | int | float | bool | None
_NUMERIC = re.compile(r"[–+\-]?[\d.]*( \(\d+\))?")
"""A number as text, perhaps with a place in brackets; such cells are set right like plain numbers."""
_LONG = 32


@dataclass(frozen=True)
class Plot:
    """An SVG element, and a text for those who cannot see it."""

    svg: str
    label: str


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{digits}f}"


def render(template: str, **context: object) -> str:
    """A page.

    Args:
        template: a file of ``templates/``.
        context: what it names; a name that is missing raises.
    """
    return _environment().get_template(template).render(**context)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("clopa_annotator.evaluation"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters.update(shown=_shown, kind=_kind, has_long=_has_long)
    return environment


def _shown(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return number(cell)
    return "–" if cell is None else str(cell)


def _kind(cell: Cell, best: bool) -> str:
    """The classes of a table's cell: words are set left, long ones wrap, the best ones are bold."""
    words = isinstance(cell, str) and not _NUMERIC.fullmatch(cell)
    return " ".join(["text"] * words + ["long"] * _is_long(cell) + ["best"] * best)


def _is_long(cell: Cell) -> bool:
    return isinstance(cell, str) and len(cell) > _LONG


def _has_long(rows: Sequence[Sequence[Cell]], column: int) -> bool:
    return any(_is_long(row[column]) for row in rows)
