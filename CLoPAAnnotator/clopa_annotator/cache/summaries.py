"""What the campaign's lists show."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from clopa_annotator.types import CaseRef, CaseState


@dataclass(frozen=True)
class CaseSummary:
    """One case in the campaign's list.

    Attributes:
        case_id: name of the case.
        number: position in the list, counting from 1.
        state: where it stands.
        versions: number of confirmed versions, withdrawn ones included.
        image_hash: its image.
        source: where the image came from.
        note: why it was skipped, withdrawn, reopened or flagged; empty otherwise.
        sequence: number of the current confirmation; None if there is none.
        has_draft: whether unconfirmed work is kept.
    """

    case_id: str
    number: int
    state: CaseState
    versions: int
    image_hash: str
    source: str
    note: str
    sequence: int | None
    has_draft: bool


@dataclass(frozen=True)
class VersionSummary:
    """One confirmed version of a case.

    Attributes:
        ref: what an episode trains on.
        annotator: who confirmed.
        confirmed_at: ISO 8601 instant.
        withdrawn: marked as withdrawn.
        current: what the case contributes to training now.
        conflict: somebody else had confirmed a version that this one is not based on.
        based_on_version: what the annotator started from; 0 for none, None if not said.
        first_shown_dice: Dice of the first proposal against the confirmed mask.
        prompts: number of prompts given.
        seconds_active: time spent.
        weights_version: weights in use.
    """

    ref: CaseRef
    annotator: str
    confirmed_at: str
    withdrawn: bool
    current: bool
    conflict: bool
    based_on_version: int | None
    first_shown_dice: float | None
    prompts: int
    seconds_active: float
    weights_version: int


def case_from_row(row: sqlite3.Row, has_draft: bool) -> CaseSummary:
    """A row of the index's table of cases; a draft puts a case that waits in progress."""
    state = CaseState[row["state"]]
    if has_draft and state is CaseState.TODO:
        state = CaseState.IN_PROGRESS
    return CaseSummary(
        row["case_id"],
        row["number"],
        state,
        row["versions"],
        row["image_hash"],
        row["source"],
        row["note"],
        row["current"],
        has_draft,
    )


def ref_from_row(row: sqlite3.Row) -> CaseRef:
    """A row of the index's table of versions."""
    return CaseRef(
        row["case_id"],
        row["case_version"],
        row["sequence"],
        row["image_hash"],
        row["mask_hash"],
        row["record_hash"],
        row["folder"],
    )


def version_from_row(row: sqlite3.Row) -> VersionSummary:
    """A row of the index's table of versions, with its case's column ``current``."""
    return VersionSummary(
        ref=ref_from_row(row),
        annotator=row["annotator"],
        confirmed_at=row["confirmed_at"],
        withdrawn=bool(row["withdrawn"]),
        current=row["current"] == row["sequence"],
        conflict=bool(row["conflict"]),
        based_on_version=row["based_on"],
        first_shown_dice=row["first_shown_dice"],
        prompts=row["prompts"],
        seconds_active=row["seconds_active"],
        weights_version=row["weights_version"],
    )
