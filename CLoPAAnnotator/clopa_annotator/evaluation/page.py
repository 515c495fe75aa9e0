"""A self-contained HTML page: one style sheet inside, light and dark, nothing from elsewhere."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

Cell = str | int | float | bool | None
_NUMERIC = re.compile(r"[–+\-]?[\d.]*( \(\d+\))?")
"""A number as text, perhaps with a place in brackets; such cells are set right like plain numbers."""

_CSS = """
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5b6778; --grid: #d5dae1; --card: #ffffff;
  --page: #f4f6f9; --accent: #0b74c4; --good: #1f9d6b; --bad: #d1495b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf2; --soft: #9aa7b8; --grid: #38414e;
  --card: #1a2029; --page: #11151b; --accent: #58aef0; --good: #4cc795; --bad: #ee7c8b; } }
@media print { :root { --page: #ffffff; } section { break-inside: avoid; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 24px 72px; }
header p.kicker { margin: 0; color: var(--soft); font-size: 14px; }
h1 { font-size: 30px; line-height: 1.25; margin: 6px 0 14px; letter-spacing: -0.01em; text-wrap: balance; }
h2 { font-size: 20px; margin: 0 0 4px; letter-spacing: -0.005em; }
p.lead { font-size: 18px; margin: 0 0 24px; max-width: 46em; }
p.note, figcaption { color: var(--soft); font-size: 14px; margin: 0 0 12px; max-width: 62em; }
section { background: var(--card); border: 1px solid var(--grid); border-radius: 12px; padding: 22px 24px;
  margin: 0 0 20px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px;
  margin: 0 0 20px; }
.tile { background: var(--card); border: 1px solid var(--grid); border-radius: 12px; padding: 14px 18px; }
.tile .name { color: var(--soft); font-size: 14px; }
.tile .value { font-size: 27px; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.3; }
.tile .was { color: var(--soft); font-weight: 400; }
.tile .change { font-size: 14px; } .good { color: var(--good); } .bad { color: var(--bad); }
.row { display: flex; flex-wrap: wrap; gap: 12px 24px; align-items: flex-start; }
figure { margin: 0; } .row figure { flex: 0 1 auto; min-width: 0; }
.scroll + .row, .scroll + figure, figure + figure { margin-top: 18px; }
figure svg, figure img { display: block; max-width: 100%; height: auto; }
figure.case { margin: 18px 0 0; } figure.case h3 { font-size: 16px; margin: 0 0 6px; }
figure.case img { border-radius: 8px; }
figcaption { margin: 6px 0 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 10px; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; vertical-align: bottom; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.long { white-space: normal; min-width: 22em; }
tr:last-child td { border-bottom: 0; } td.best { font-weight: 700; }
summary { cursor: pointer; color: var(--accent); font-size: 14px; margin-top: 10px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; font-size: 14px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
"""


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{digits}f}"


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]], best: Iterable[tuple[int, int]] = ()) -> str:
    """A table; strings are set left, numbers right.

    Args:
        header: one text per column.
        rows: of cells; floats get three digits.
        best: (row, column) of the cells in bold.
    """
    bold = set(best)
    body = []
    texts: set[int] = set()
    for r, row in enumerate(rows):
        cells = []
        for c, cell in enumerate(row):
            long = isinstance(cell, str) and len(cell) > 32
            words = isinstance(cell, str) and not _NUMERIC.fullmatch(cell)
            classes = ["text"] * words + ["long"] * long + ["best"] * ((r, c) in bold)
            texts |= {c} if long else set()
            cells.append(f'<td class="{" ".join(classes)}">{escape(_text(cell))}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(
        f'<th class="{"text" if c in texts else ""}">{escape(name)}</th>' for c, name in enumerate(header)
    )
    content = f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
    return f'<div class="scroll"><table>{content}</table></div>'


def _text(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return number(cell)
    return "–" if cell is None else str(cell)


def section(title: str, note: str, *parts: str) -> str:
    """A card with a title, one sentence, and ready-made HTML."""
    notes = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{notes}{''.join(parts)}</section>"


def row(*figures: str) -> str:
    """Figures beside each other where there is room."""
    return f'<div class="row">{"".join(figures)}</div>'


def figure(svg: str, label: str) -> str:
    """A plot with a text for those who cannot see it."""
    return f'<figure role="img" aria-label="{escape(label, quote=True)}">{svg}</figure>'


def picture(title: str, uri: str, caption: str) -> str:
    """A bitmap with title and caption."""
    alt = escape(f"{title}. {caption}", quote=True)
    image = f'<img src="{uri}" alt="{alt}">'
    head = f"<h3>{escape(title)}</h3>"
    return f'<figure class="case">{head}{image}<figcaption>{escape(caption)}</figcaption></figure>'


def tile(name: str, before: str | None, after: str, change: str = "", good: bool | None = None) -> str:
    """A large number, with what it was before."""
    was = f'<span class="was">{escape(before)} → </span>' if before is not None else ""
    kind = "" if good is None else (" good" if good else " bad")
    below = f'<div class="change{kind}">{escape(change)}</div>' if change else ""
    value = f'<div class="value">{was}{escape(after)}</div>'
    return f'<div class="tile"><div class="name">{escape(name)}</div>{value}{below}</div>'


def details(title: str, content: str) -> str:
    """Something folded away."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl>{items}</dl>"


def page(title: str, kicker: str, headline: str, lead: str, *parts: str) -> str:
    """The whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_CSS}</style></head><body><main>"
        f'<header><p class="kicker">{escape(kicker)}</p><h1>{escape(headline)}</h1>'
        f'<p class="lead">{escape(lead)}</p></header>{"".join(parts)}</main></body></html>\n'
    )
