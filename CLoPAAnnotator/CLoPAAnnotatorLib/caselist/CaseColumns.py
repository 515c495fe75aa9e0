"""What the list of cases says about each, column by column, and what a click on a column's title sorts by."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from clopa_annotator.types import CaseState
from clopa_annotator.wire.messages import CaseRow
from CLoPAAnnotatorLib.panels.Style import STATE_COLOURS
from CLoPAAnnotatorLib.Texts import tr

NAME, STATE, NOTE, SERIES, TARGETS, EXPECTED, ANNOTATOR, DATE = range(8)
TITLES = ("Case", "State", "Note", "Series", "Targets", "Expected Dice", "By", "Date")
SHOWN_FROM_LEFT = (NAME, STATE, TARGETS, EXPECTED, ANNOTATOR, DATE, NOTE, SERIES)
SORTABLE = (NAME, STATE, TARGETS, EXPECTED, ANNOTATOR, DATE)
HIDDEN_WHEN_EMPTY = (SERIES, TARGETS, EXPECTED, ANNOTATOR, DATE)
AS_ADDED = -1
WORDS = {
    CaseState.TODO: "to do",
    CaseState.IN_PROGRESS: "in progress",
    CaseState.CONFIRMED: "confirmed",
    CaseState.SKIPPED: "skipped",
    CaseState.NEEDS_REVIEW: "needs another look",
}
STATES = tuple(CaseState)
Key = tuple[object, ...]


@dataclass(frozen=True)
class CaseLine:
    """One line of the list.

    Attributes:
        caseId: name of the case.
        texts: what its cells say, by column.
        keys: what it is sorted by, by column; empty where there is nothing, which comes last either way.
        colour: of its state.
        isOpen: whether it is the open case.
        tip: what is shown over its expected Dice.
    """

    caseId: str
    texts: tuple[str, ...]
    keys: tuple[Key, ...]
    colour: str
    isOpen: bool
    tip: str = ""

    def looksAs(self, other: CaseLine, column: int) -> bool:
        """Whether a cell looks the same in another line."""
        same = self.texts[column] == other.texts[column] and self.isOpen == other.isOpen
        if column == STATE:
            return same and self.colour == other.colour
        return same and (column != EXPECTED or self.tip == other.tip)


@dataclass(frozen=True)
class KnownCells:
    """What the columns say that depend on nothing but the engine's row of a case."""

    targets: str
    expected: str
    expectedDice: float
    tip: str
    annotator: str
    instant: str

    @property
    def date(self) -> str:
        """The day, on this computer's clock."""
        return _local(self.instant)[:10]


def cellsOf(row: CaseRow, targetNames: dict[str, str]) -> KnownCells:
    """The cells of a case; ``targetNames`` by key, empty in a campaign with one target."""
    names = dict.fromkeys(slot.annotator for slot in row.slots if slot.annotator)
    dice, text, tip = _expected(row, targetNames)
    return KnownCells(
        f"{row.decided}/{len(row.slots)}" if targetNames else "",
        text,
        dice,
        tip,
        ", ".join(names),
        max((slot.confirmed_at for slot in row.slots), default=""),
    )


def _expected(row: CaseRow, names: dict[str, str]) -> tuple[float, str, str]:
    """Expected Dice of what is left to do: the mean, in words, and for each target; NaN if not known."""
    marks = [(s.slot, s.suggestion) for s in row.slots if not s.is_decided and s.suggestion is not None]
    known = [
        (slot, mark.cases, mark.dice, f"{mark.dice:.2f} ({mark.low:.2f}–{mark.high:.2f})")
        for slot, mark in marks
        if mark.dice is not None and mark.low is not None and mark.high is not None
    ]
    if not known:
        return math.nan, tr("not known yet") if marks else "", ""
    mean = sum(dice for _, _, dice, _ in known) / len(known)
    named = [f"{names.get(slot.target, '')} {text}".strip() for slot, _, _, text in known]
    rests = tr("Nine of ten masks lie in the interval. Rests on {n} confirmed cases.")
    tip = "\n".join([*named, rests.format(n=min(cases for _, cases, _, _ in known))])
    return mean, known[0][3] if len(known) == 1 else f"{mean:.2f}", tip


def lineOf(
    caseId: str, state: CaseState, words: str, note: str, series: str, cells: KnownCells, isOpen: bool
) -> CaseLine:
    """The line about a case."""
    decided, _, of = cells.targets.partition("/")
    share: Key = (int(decided) / int(of), int(of)) if of else ()
    dice = cells.expectedDice
    keys: tuple[Key, ...] = (
        natural(caseId),
        (STATES.index(state), natural(caseId)),
        (note,) if note else (),
        (series,) if series else (),
        share,
        () if math.isnan(dice) else (dice,),
        (cells.annotator.casefold(),) if cells.annotator else (),
        (cells.instant,) if cells.instant else (),
    )
    texts = (caseId, words, note, series, cells.targets, cells.expected, cells.annotator, cells.date)
    return CaseLine(caseId, texts, keys, STATE_COLOURS[state.value], isOpen, cells.tip)


def sortedLines(lines: Sequence[CaseLine], column: int, isDescending: bool) -> list[CaseLine]:
    """The lines by a column; what has nothing there comes last either way, equal ones as they were added."""
    if column == AS_ADDED:
        return list(lines)
    full = [line for line in lines if line.keys[column]]
    full.sort(key=lambda line: line.keys[column], reverse=isDescending)
    return full + [line for line in lines if not line.keys[column]]


def natural(text: str) -> Key:
    """A key that puts "case 2" before "case 10", whatever stands before the number."""
    parts = re.split(r"(\d+)", text.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def _local(instant: str) -> str:
    try:
        return datetime.fromisoformat(instant).astimezone().isoformat(" ", "minutes")
    except ValueError:
        return instant
