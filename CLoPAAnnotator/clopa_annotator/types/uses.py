"""What confirmations cost and how good the first mask was, apart for each use that was made of a suggestion.

Figures of different uses are different figures: who starts from a suggestion sees the suggestion first, who
starts without sees what the first prompt gave. They are never averaged into one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from clopa_annotator.types.suggestion import SuggestionUse

IN_WORDS = {
    SuggestionUse.NONE: "no suggestion",
    SuggestionUse.WITHHELD: "suggestion withheld",
    SuggestionUse.UNTOUCHED: "suggestion untouched",
    SuggestionUse.TAKEN: "suggestion taken",
    SuggestionUse.CLEARED: "suggestion cleared",
}
"""In the order in which they are shown."""
SHOWN = (SuggestionUse.UNTOUCHED, SuggestionUse.TAKEN, SuggestionUse.CLEARED)
"""The uses of a suggestion that a person has seen."""
ALL_SHOWN = "suggestion shown (all three)"
COLOURS = {
    SuggestionUse.NONE: (0.12, 0.44, 0.70),
    SuggestionUse.WITHHELD: (0.45, 0.45, 0.45),
    SuggestionUse.UNTOUCHED: (0.18, 0.62, 0.36),
    SuggestionUse.TAKEN: (0.85, 0.60, 0.11),
    SuggestionUse.CLEARED: (0.80, 0.23, 0.23),
}
"""Red, green and blue, 0 to 1: the same in the panel and in reports."""


class Costs(Protocol):
    """What one confirmation cost; `wire.messages.CaseStatistics` fulfils it."""

    @property
    def suggestion(self) -> SuggestionUse:
        """What was made of the model's suggestion."""
        ...

    @property
    def first_shown_dice(self) -> float | None:
        """Dice of the first mask that was shown; None if none was, and for a correction."""
        ...

    @property
    def suggestion_dice(self) -> float | None:
        """Dice of the suggestion with what was confirmed, shown or not; None without one."""
        ...

    @property
    def prompts(self) -> int:
        """Number of prompts given."""
        ...

    @property
    def seconds_active(self) -> float:
        """Time spent, without pauses."""
        ...


Cost = TypeVar("Cost", bound=Costs)


@dataclass(frozen=True)
class Mean:
    """A mean over cases.

    Attributes:
        value: the mean; NaN without cases.
        error: its standard error; NaN for fewer than two cases.
        cases: how many it is over.
    """

    value: float = math.nan
    error: float = math.nan
    cases: int = 0


@dataclass(frozen=True)
class UseFigures:
    """The figures of one use.

    Attributes:
        name: the use in words.
        cases: confirmations.
        first: Dice of the first mask that was shown.
        suggested: Dice of the suggestion with what was confirmed.
        prompts: prompts per case.
        seconds: time per case.
    """

    name: str
    cases: int
    first: Mean
    suggested: Mean
    prompts: Mean
    seconds: Mean


def by_use(rows: Iterable[Cost]) -> dict[SuggestionUse, list[Cost]]:
    """The confirmations of each use that occurs, in the order of `IN_WORDS`."""
    found: dict[SuggestionUse, list[Cost]] = {use: [] for use in IN_WORDS}
    for row in rows:
        found[row.suggestion].append(row)
    return {use: own for use, own in found.items() if own}


def figures_by_use(rows: Sequence[Cost]) -> tuple[UseFigures, ...]:
    """Figures of each use; where suggestions are withheld from some, also those of all that were shown."""
    apart = by_use(rows)
    figures = [figures_of(IN_WORDS[use], own) for use, own in apart.items()]
    shown = [row for use in SHOWN for row in apart.get(use, ())]
    if SuggestionUse.WITHHELD in apart and len(apart.keys() & set(SHOWN)) > 1:
        figures.append(figures_of(ALL_SHOWN, shown))
    return tuple(figures)


def figures_of(name: str, rows: Sequence[Costs]) -> UseFigures:
    """The figures of these confirmations."""
    return UseFigures(
        name,
        len(rows),
        mean_of(row.first_shown_dice for row in rows),
        mean_of(row.suggestion_dice for row in rows),
        mean_of(float(row.prompts) for row in rows),
        mean_of(row.seconds_active for row in rows),
    )


def anchoring(rows: Sequence[Costs]) -> Mean | None:
    """How much better suggestions look that were shown than those that were withheld, in Dice.

    Both are compared with what was confirmed. A person who sees a suggestion may leave its errors in, and it
    then looks better than it is; whose suggestion is withheld cannot. Withheld cases are drawn at random, so
    the difference is that, or chance.

    Returns:
        Mean difference with its standard error (Welch) and the withheld cases; None if either side has
        fewer than two.
    """
    shown = mean_of(row.suggestion_dice for row in rows if row.suggestion in SHOWN)
    withheld = mean_of(row.suggestion_dice for row in rows if row.suggestion is SuggestionUse.WITHHELD)
    if min(shown.cases, withheld.cases) < 2:
        return None
    error = math.hypot(shown.error, withheld.error)
    return Mean(shown.value - withheld.value, error, withheld.cases)


def anchoring_in_words(found: Mean | None) -> str:
    """The difference as a sentence, with how sure it is."""
    if found is None:
        return "Too few cases with a withheld suggestion yet to say whether suggestions lead people."
    told = f"{found.value:+.3f} ± {1.96 * found.error:.3f}"
    if abs(found.value) <= 1.96 * found.error:
        return (
            f"Suggestions that were shown differ by {told} in Dice from withheld ones: no more than chance."
        )
    way = "better" if found.value > 0 else "worse"
    return (
        f"Shown suggestions look {way} than withheld ones by {told} in Dice: more than chance, so "
        "what is confirmed depends on what was shown."
    )


def mean_of(values: Iterable[float | None]) -> Mean:
    """Mean and standard error; None and NaN are left out."""
    known = [float(value) for value in values if value is not None and not math.isnan(value)]
    if not known:
        return Mean()
    mean = math.fsum(known) / len(known)
    if len(known) < 2:
        return Mean(mean, math.nan, 1)
    spread = math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1)
    return Mean(mean, math.sqrt(spread / len(known)), len(known))
