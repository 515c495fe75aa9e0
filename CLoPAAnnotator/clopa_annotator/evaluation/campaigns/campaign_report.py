"""The report on a campaign in which people annotate, for its lead: one file that works offline.

The heart of it are figures apart for each use that was made of suggestions (`types.uses`). Other parts of the
report hand in a `Section` of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clopa_annotator.evaluation import figures, page
from clopa_annotator.evaluation.tables import replace_text
from clopa_annotator.types import SuggestionUse
from clopa_annotator.types.uses import (
    COLOURS,
    IN_WORDS,
    SHOWN,
    Mean,
    UseFigures,
    anchoring,
    anchoring_in_words,
    by_use,
    figures_by_use,
)

HEADER = (
    *("cases with", "number", "Dice first shown", "Dice of the suggestion", "prompts per case"),
    "seconds per case",
)
NOTE = (
    "Figures of different uses are different figures: who starts from a suggestion sees the suggestion "
    "first, who starts without sees what the first prompt gave. Dice of the suggestion: compared with what "
    "was confirmed, whether it was shown or not. Means with their standard errors; corrections of confirmed "
    "cases count for prompts and time alone."
)


@dataclass(frozen=True)
class ConfirmedCase:
    """What one confirmation cost; fulfils `types.uses.Costs`.

    Attributes:
        case_id: name of the case.
        weights_version: in use when it was confirmed.
        first_shown_dice: Dice of the first mask that was shown; None if none was, and for a correction.
        suggestion_dice: Dice of the suggestion with what was confirmed; None without one.
        prompts: number of prompts given.
        seconds_active: time spent.
        suggestion: what was made of the suggestion.
        annotator: who confirmed.
    """

    case_id: str
    weights_version: int
    first_shown_dice: float | None
    suggestion_dice: float | None
    prompts: int
    seconds_active: float
    suggestion: SuggestionUse = SuggestionUse.NONE
    annotator: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        title: its heading.
        note: what to know when reading it.
        header: titles of the table's columns; empty without a table.
        rows: the table.
        sentence: what it says, if one sentence does.
        plots: figures below.
    """

    title: str
    note: str = ""
    header: tuple[str, ...] = ()
    rows: tuple[tuple[page.Cell, ...], ...] = ()
    sentence: str = ""
    plots: tuple[page.Plot, ...] = ()


def write_campaign_report(
    path: Path, name: str, sections: Sequence[Section], facts: Mapping[str, str]
) -> Path:
    """Write the report and return its path.

    Args:
        path: of the file, replaced in one step.
        name: the campaign's.
        sections: in the order in which they are shown.
        facts: what the campaign is, by name.
    """
    text = page.render(
        "campaign.html",
        title=f"CLoPA Annotator: {name}",
        kicker="Campaign",
        headline=name,
        lead="",
        sections=sections,
        facts=facts.items(),
    )
    return replace_text(path, text)


def suggestions_section(target: str, cases: Sequence[ConfirmedCase]) -> Section:
    """What suggestions change for one target: figures, sentence and curves.

    Args:
        target: its name; empty in a campaign with one.
        cases: confirmations that count, in order of arrival.
    """
    title = f"{target}: what suggestions change" if target else "What suggestions change"
    if not cases:
        return Section(title, sentence="Nothing is confirmed yet.")
    apart = by_use(cases)
    is_withheld = SuggestionUse.WITHHELD in apart
    plots = [
        page.Plot(_first_shown(cases, target), "Dice of the first mask shown, by use of the suggestion"),
        page.Plot(_effort(cases, target), "Prompts and seconds per case, by use of the suggestion"),
    ]
    if any(case.suggestion_dice is not None for case in cases):
        label = "Dice of suggestions that were shown and of those that were withheld"
        plots.insert(1, page.Plot(_suggested(cases, target), label))
    return Section(
        title,
        NOTE,
        HEADER,
        tuple(_row(line) for line in figures_by_use(cases)),
        anchoring_in_words(anchoring(cases)) if is_withheld else "",
        tuple(plots),
    )


def _row(line: UseFigures) -> tuple[page.Cell, ...]:
    means = (_text(line.first, 3), _text(line.suggested, 3), _text(line.prompts, 1), _text(line.seconds, 0))
    return (line.name, line.cases, *means)


def _text(mean: Mean, digits: int) -> str:
    known = mean.cases > 1
    return page.number(mean.value, digits) + (f" ± {page.number(mean.error, digits)}" if known else "")


Line = tuple[str, tuple[float, float, float], list[tuple[int, float]]]


def _first_shown(cases: Sequence[ConfirmedCase], target: str) -> str:
    numbered = list(enumerate(cases, start=1))
    lines: list[Line] = []
    for use in by_use(cases):
        own = [(n, c.first_shown_dice) for n, c in numbered if c.suggestion is use]
        lines.append((IN_WORDS[use], COLOURS[use], [(n, v) for n, v in own if v is not None]))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _draw(axes, lines, "Dice of the first mask shown")
        axes.set(ylim=(0, 1.06))
        _weights_marks(axes, cases)

    return figures.to_svg(draw, (10.2, 3.6), f"first-shown-{target}")


def _suggested(cases: Sequence[ConfirmedCase], target: str) -> str:
    numbered = [(n, c) for n, c in enumerate(cases, start=1) if c.suggestion_dice is not None]
    lines: list[Line] = [
        (name, colour, [(n, float(c.suggestion_dice or 0.0)) for n, c in numbered if c.suggestion in uses])
        for name, colour, uses in (
            ("suggestion shown", COLOURS[SuggestionUse.UNTOUCHED], SHOWN),
            ("suggestion withheld", COLOURS[SuggestionUse.WITHHELD], (SuggestionUse.WITHHELD,)),
        )
    ]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        _draw(axes, [line for line in lines if line[2]], "Dice of the suggestion")
        axes.set(ylim=(0, 1.06))
        _weights_marks(axes, cases)

    return figures.to_svg(draw, (10.2, 3.6), f"suggested-{target}")


def _effort(cases: Sequence[ConfirmedCase], target: str) -> str:
    numbered = list(enumerate(cases, start=1))

    def draw(figure: Figure) -> None:
        for axes, unit in zip(figure.subplots(1, 2), ("prompts", "seconds"), strict=True):
            lines: list[Line] = []
            for use in by_use(cases):
                own = [(n, c) for n, c in numbered if c.suggestion is use]
                values = [(n, float(c.prompts if unit == "prompts" else c.seconds_active)) for n, c in own]
                lines.append((IN_WORDS[use], COLOURS[use], values))
            _draw(axes, lines, f"{unit} per case", legend=unit == "prompts")

    return figures.to_svg(draw, (10.2, 3.6), f"effort-{target}")


def _draw(axes: Any, lines: Sequence[Line], unit: str, *, legend: bool = True) -> None:
    """A dot per case and a running mean for each line."""
    for name, colour, values in lines:
        numbers, heights = [n for n, _ in values], [v for _, v in values]
        axes.scatter(numbers, heights, s=20, color=colour, alpha=0.6)
        axes.plot(numbers, figures.running_mean(heights), color=colour, label=f"{name} ({len(values)})")
    axes.set(xlabel="case in order of confirmation", ylabel=unit)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if legend:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9)


def _weights_marks(axes: Any, cases: Sequence[ConfirmedCase]) -> None:
    """Where other weights came into use."""
    for number, (before, after) in enumerate(pairwise(cases), start=1):
        if after.weights_version != before.weights_version:
            axes.axvline(number + 0.5, color=figures.GOOD, lw=1.2, zorder=0)
            text = f" v{after.weights_version}"
            axes.text(number + 0.5, 1.05, text, color=figures.GOOD, fontsize=9, va="top")
