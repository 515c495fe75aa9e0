"""What a finished run says about each case and each click; `tables` writes and reads them as files."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from clopa_annotator.evaluation.curves import CaseCurve, nauc

Part = Literal["stream", "test"]


@dataclass(frozen=True)
class CaseRow:
    """One row of ``cases.csv``: one case with one weights version in one run.

    Attributes:
        part: "stream" for a case that was confirmed, "test" for one that never trains.
        order: place in the stream, from 1; for test cases, place in the list.
        case: name of the case.
        run: inference run.
        version: weights version of the proposals.
        clicks: corrections given.
        dice_first_shown: Dice of the first proposal.
        dice_confirmed: Dice of the last proposal.
        dice_nauc: area under the Dice curve.
        nsd_first_shown: NSD of the first proposal.
        nsd_confirmed: NSD of the last proposal.
        seconds: time of all predictions.
        target: name of the target where a run has several; else empty.
        dice_zero: Dice without a prompt; NaN if it was not measured.
        nsd_zero: NSD without a prompt.
    """

    part: Part
    order: int
    case: str
    run: int
    version: int
    clicks: int
    dice_first_shown: float
    dice_confirmed: float
    dice_nauc: float
    nsd_first_shown: float
    nsd_confirmed: float
    seconds: float
    target: str = ""
    dice_zero: float = math.nan
    nsd_zero: float = math.nan


@dataclass(frozen=True)
class ClickRow:
    """One row of ``clicks.csv``: the score after one correction; click 0 is the initial prompt.

    Attributes:
        case: name of the case.
        run: inference run.
        version: weights version.
        click: number of the correction.
        dice: of the proposal.
        nsd: of the proposal.
        seconds: that the prediction took; 0 where nothing was left to correct and the value is repeated.
        part: as in `CaseRow`.
        target: as in `CaseRow`.
    """

    case: str
    run: int
    version: int
    click: int
    dice: float
    nsd: float
    seconds: float
    part: Part = "test"
    target: str = ""


def case_row(curve: CaseCurve, part: Part, order: int) -> CaseRow:
    """The row of ``cases.csv`` about one curve."""
    return CaseRow(
        part=part,
        order=order,
        case=curve.case_id,
        run=curve.run,
        version=curve.version,
        clicks=curve.used,
        dice_first_shown=curve.dice[0],
        dice_confirmed=curve.dice[-1],
        dice_nauc=nauc(curve.dice),
        nsd_first_shown=curve.nsd[0],
        nsd_confirmed=curve.nsd[-1],
        seconds=sum(curve.seconds),
        target=curve.target,
        dice_zero=curve.dice_zero,
        nsd_zero=curve.nsd_zero,
    )


def click_rows(curve: CaseCurve, part: Part) -> tuple[ClickRow, ...]:
    """The rows of ``clicks.csv`` about one curve, padding included."""
    points = enumerate(zip(curve.dice, curve.nsd, curve.seconds, strict=True))
    return tuple(
        ClickRow(curve.case_id, curve.run, curve.version, click, dice, nsd, seconds, part, curve.target)
        for click, (dice, nsd, seconds) in points
    )


def curves_from_clicks(rows: Iterable[ClickRow], part: Part = "test") -> tuple[CaseCurve, ...]:
    """The curves behind ``clicks.csv``, in the order of their first rows.

    ``used`` is the last click that took time, which is exact for real predictions.
    """
    groups: dict[tuple[str, str, int, int], list[ClickRow]] = defaultdict(list)
    for row in rows:
        if row.part == part:
            groups[row.target, row.case, row.run, row.version].append(row)
    return tuple(_curve(sorted(group, key=lambda row: row.click)) for group in groups.values())


def _curve(rows: list[ClickRow]) -> CaseCurve:
    return CaseCurve(
        case_id=rows[0].case,
        run=rows[0].run,
        version=rows[0].version,
        dice=tuple(row.dice for row in rows),
        nsd=tuple(row.nsd for row in rows),
        seconds=tuple(row.seconds for row in rows),
        used=max((row.click for row in rows if row.seconds > 0), default=0),
        target=rows[0].target,
    )
