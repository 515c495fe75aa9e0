"""Output of the commands: a bar on a terminal, plain lines elsewhere, JSON where a program asks for it."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, soft_wrap=True)
"""For results, on standard output. Long lines stay whole, so that paths can be copied and lines piped."""

talk = Console(stderr=True, highlight=False)
"""For progress and remarks, on standard error, so that results can be piped."""


def never_stumble() -> None:
    """Let a terminal that cannot show a letter (cp1252, ASCII) show its code; the command must not end."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _shows_unicode() -> bool:
    return console.encoding.lower().startswith("utf")


def remark(sentence: str, style: str | None = None) -> None:
    """A sentence on standard error, above a bar if there is one; in one line, so that paths stay whole."""
    talk.print(sentence, style=style, markup=False, soft_wrap=True)


def print_json(content: object) -> None:
    """One JSON document on standard output, NaN as null."""
    text = json.dumps(without_nan(content), ensure_ascii=not _shows_unicode(), indent=1)
    sys.stdout.write(text + "\n")


def without_nan(content: object) -> object:
    """A copy in which values that JSON does not know are null."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {str(k): without_nan(v) for k, v in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(v) for v in content]
    return content


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output; numbers are right-aligned. Brackets in names are letters, not markup."""
    listed = [[_cell(value) for value in row] for row in rows]
    table = Table(title=Text(title), title_justify="left", title_style="bold", header_style="bold")
    for index, name in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in listed) and bool(listed)
        table.add_column(name, justify="right" if numeric else "left")
    for row in listed:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table, soft_wrap=False)


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–" if _shows_unicode() else "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text in ("–", "-") or text.replace(".", "", 1).replace("-", "", 1).isdigit()


class Steps:
    """Progress over parts of known length: a bar on a terminal, a line every tenth elsewhere.

    Args:
        quiet: say nothing at all.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._title, self._total, self._done = "", 0, 0

    def __enter__(self) -> Steps:
        if talk.is_terminal and not self._quiet:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                console=talk,
            )
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, title: str, total: int) -> None:
        """A part of ``total`` steps starts; the part before it stays as it is."""
        self._title, self._total, self._done = title, total, 0
        if self._bar is not None:
            self._task = self._bar.add_task(title, total=total, note="")

    def advance(self, note: str = "") -> None:
        """One step done; ``note`` says what it gave."""
        self._done += 1
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=1, note=note)
        elif not self._quiet and (self._done % max(1, self._total // 10) == 0 or self._done == self._total):
            remark(f"{self._title} {self._done}/{self._total}  {note}".rstrip())

    def say(self, sentence: str) -> None:
        """A remark that stays above the bar."""
        if not self._quiet:
            remark(sentence)
