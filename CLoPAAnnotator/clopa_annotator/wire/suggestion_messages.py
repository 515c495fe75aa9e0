"""What is told of suggestions: masks of the model before anybody has clicked. Never a confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import VersionMismatch
from clopa_annotator.geometry import bounding_box, box_slices
from clopa_annotator.types import Mask

Row = dict[str, Any]
T = TypeVar("T")
SuggestionPhase = Literal["off", "at rest", "working", "waiting", "stopped"]


@dataclass(frozen=True)
class SuggestionMark:
    """A suggestion in a list, and at the head of its mask.

    Attributes:
        version: weights version that made it, and is in use.
        score: how sure the model is, in [0, 1], larger for a better mask; None if not known.
        dice: expected Dice with what will be confirmed; None if not known yet.
        low: lower end of the interval that holds the true Dice in nine of ten cases; None as above.
        high: its upper end.
        cases: confirmed cases that the expectation rests on.
        made_at: ISO 8601 instant.
    """

    version: int
    score: float | None = None
    dice: float | None = None
    low: float | None = None
    high: float | None = None
    cases: int = 0
    made_at: str = ""


@dataclass(frozen=True, eq=False)
class Suggested:
    """A suggestion with its mask.

    Attributes:
        mask: (k, j, i) uint8 mask on the image's grid; read-only.
        mark: who made it, and how good it is expected to be.
    """

    mask: Mask
    mark: SuggestionMark


@dataclass(frozen=True)
class SuggestionState:
    """What the engine does about suggestions.

    Attributes:
        phase: "off" (a setting, or a strategy that learns between clicks), "at rest" (nothing to do),
            "working", "waiting" (somebody clicks, or an episode trains), "stopped" (the disk is full).
        sentence: the same in words; never empty.
        ready: targets of cases that have a suggestion to show now.
        waiting: targets of cases that nobody has begun and that have none yet.
        all_wanted: whether all of them are being made, not only those of the next cases.
        done: of those that were wanted, how many are made or passed over.
        total: how many were wanted.
        passed_over: case and reason, in words.
        is_on: whether any are made.
    """

    phase: SuggestionPhase
    sentence: str
    ready: int = 0
    waiting: int = 0
    all_wanted: bool = False
    done: int = 0
    total: int = 0
    passed_over: tuple[tuple[str, str], ...] = ()
    is_on: bool = True


def mark_from_wire(row: Any) -> SuggestionMark | None:
    """The inverse of `asdict`; None for none. Keys of a newer engine are ignored.

    Raises:
        VersionMismatch: it lacks something.
    """
    return None if row is None else _built(SuggestionMark, row)


def state_to_wire(state: SuggestionState) -> Row:
    """What the engine does about suggestions."""
    return asdict(state)


def state_from_wire(row: Any) -> SuggestionState:
    """The inverse of `state_to_wire`."""
    over = row.get("passed_over") if isinstance(row, Mapping) else None
    passed = tuple((str(case), str(why)) for case, why in over or ())
    return _built(SuggestionState, row, passed_over=passed)


def suggested_to_wire(suggested: Suggested) -> tuple[Row, dict[str, npt.NDArray[Any]]]:
    """A suggestion, and its array: the mask cut to the box that holds it."""
    row = {**asdict(suggested.mark), "shape": list(suggested.mask.shape)}
    box = bounding_box(suggested.mask)
    if box is None:
        return row, {}
    return {**row, "bounds_kji": box}, {"suggestion": suggested.mask[box_slices(box)]}


def suggested_from_wire(row: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Suggested | None:
    """The inverse of `suggested_to_wire`; None for none.

    Raises:
        VersionMismatch: it lacks something.
    """
    mark = mark_from_wire(row)
    if mark is None:
        return None
    try:
        slices, rows, columns = (int(n) for n in row["shape"])
        mask = np.zeros((slices, rows, columns), np.uint8)
        if row.get("bounds_kji"):
            k, j, i = ((int(low), int(high)) for low, high in row["bounds_kji"])
            mask[box_slices((k, j, i))] = arrays["suggestion"]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _mismatch() from error
    mask.flags.writeable = False
    return Suggested(mask, mark)


def _built(kind: type[T], row: Any, **read: Any) -> T:
    try:
        names = {f.name for f in fields(kind)}  # type: ignore[arg-type]
        known = {k: v for k, v in row.items() if k in names}
        return kind(**{**known, **read})
    except (AttributeError, TypeError) as error:
        raise _mismatch() from error


def _mismatch() -> VersionMismatch:
    return VersionMismatch(
        "The engine's answer about a suggestion lacks something; update the older of the two."
    )
