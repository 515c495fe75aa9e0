"""What the campaign's lists show."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from clopa_annotator.types import CaseRef, CaseState, Slot, SuggestionUse, Target, sum_of_states
from clopa_annotator.types.review import Verdict
from clopa_annotator.types.targets import FIRST

slot_of = lru_cache(4096)(Slot)
"""Slots by target and instance; lists of many cases are made of few of them."""
SLOTS = (
    "SELECT slots.*, versions.annotator, versions.confirmed_at FROM slots"
    " LEFT JOIN versions ON versions.sequence = slots.current"
)
"""A query of the index's slots, each with who made its current confirmation, and when."""
_STATES = {state.name: state for state in CaseState}


@dataclass(frozen=True)
class SlotSummary:
    """One target of a case, or one of several of a kind.

    Attributes:
        slot: which target, and which instance.
        state: where it stands; `CaseState.CONFIRMED` with ``is_absent`` is "not present in this image".
        versions: number of confirmed versions, withdrawn ones included.
        sequence: number of the current confirmation; None if there is none.
        has_draft: whether unconfirmed work is kept.
        is_suggestion: the draft is an imported mask that nobody has worked on yet.
        is_absent: the current confirmed mask is empty.
        note: why it was skipped, withdrawn, returned, reopened or flagged; empty otherwise.
        annotator: who made the current confirmation; empty if there is none.
        confirmed_at: its ISO 8601 instant; empty if there is none.
        verdict: what a second person decided about the newest version.
        reviewer: who that was; empty if nobody has.
        judged: number of the mark that says so; None if there is none.
    """

    slot: Slot = FIRST
    state: CaseState = CaseState.TODO
    versions: int = 0
    sequence: int | None = None
    has_draft: bool = False
    is_suggestion: bool = False
    is_absent: bool = False
    note: str = ""
    annotator: str = ""
    confirmed_at: str = ""
    verdict: Verdict = Verdict.NONE
    reviewer: str = ""
    judged: int | None = None

    @property
    def is_decided(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in (CaseState.CONFIRMED, CaseState.SKIPPED)


@dataclass(frozen=True)
class CaseSummary:
    """One case in the campaign's list.

    Attributes:
        case_id: name of the case.
        number: position in the list, counting from 1.
        state: where it stands; of several targets see `sum_of_states`.
        versions: number of confirmed versions, withdrawn ones included.
        image_hash: its image.
        source: where the image came from.
        note: why it was skipped, withdrawn, reopened or flagged; empty otherwise. Of several targets the
            first that has one.
        sequence: number of the current confirmation, of several targets the newest; None if there is none.
        has_draft: whether unconfirmed work is kept.
        slots: its targets in the campaign's order, several of a kind in theirs; a target of several of a
            kind has at least its first.
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
    slots: tuple[SlotSummary, ...] = (SlotSummary(),)

    @property
    def decided(self) -> int:
        """Number of slots with nothing left to do."""
        return sum(slot.is_decided for slot in self.slots)

    def slot(self, slot: Slot) -> SlotSummary:
        """How far a slot is; one that nobody has begun is still to do."""
        return next((s for s in self.slots if s.slot == slot), SlotSummary(slot))


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
        suggestion: what was made of the model's suggestion.
        reading: 2 for that of a second person who had not seen the first's.
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
    suggestion: SuggestionUse = SuggestionUse.NONE
    reading: int = 1


def slot_from_row(row: sqlite3.Row, draft: bool | None) -> SlotSummary:
    """A row of the index's slots, see `SLOTS`; a draft puts one that waits in progress.

    Args:
        row: the row.
        draft: whether the draft is a suggestion; None if there is no draft.
    """
    state = _STATES[row["state"]]
    if draft is not None and state is CaseState.TODO:
        state = CaseState.IN_PROGRESS
    return SlotSummary(
        slot_of(row["target"], row["instance"]),
        state,
        row["versions"],
        row["current"],
        draft is not None,
        bool(draft),
        bool(row["is_absent"]),
        row["note"],
        annotator=row["annotator"] or "",
        confirmed_at=row["confirmed_at"] or "",
        verdict=Verdict[row["verdict"]],
        reviewer=row["reviewer"],
        judged=row["judged"],
    )


@lru_cache(4096)
def _untouched(slot: Slot, draft: bool | None) -> SlotSummary:
    """A slot without a row in the index."""
    if draft is None:
        return SlotSummary(slot)
    return SlotSummary(slot, CaseState.IN_PROGRESS, has_draft=True, is_suggestion=draft)


def case_slots(
    targets: Iterable[Target], rows: Iterable[sqlite3.Row], drafts: Mapping[Slot, bool]
) -> tuple[SlotSummary, ...]:
    """A case's slots in the order in which they are shown.

    Args:
        targets: what is asked for, in order.
        rows: the case's rows of the index's table of slots.
        drafts: whether each slot's draft is a suggestion; without those that have none.
    """
    found = {(row["target"], row["instance"]): row for row in rows}
    shown: list[SlotSummary] = []
    for target in targets:
        for number in _instances(target.key, found, drafts) if target.instances else (1,):
            row, slot = found.get((target.key, number)), slot_of(target.key, number)
            draft = drafts.get(slot) if drafts else None
            shown.append(_untouched(slot, draft) if row is None else slot_from_row(row, draft))
    return tuple(shown)


def _instances(
    key: str, rows: Mapping[tuple[str, int], sqlite3.Row], drafts: Mapping[Slot, bool]
) -> Sequence[int]:
    """The first, and every one that was begun."""
    begun = {number for (of, number), row in rows.items() if of == key and (row["versions"] or row["marks"])}
    return sorted({1, *begun, *(slot.instance for slot in drafts if slot.target == key)})


def case_from_row(row: sqlite3.Row, slots: tuple[SlotSummary, ...]) -> CaseSummary:
    """A row of the index's table of cases, with its slots."""
    only = slots[0]
    summary = CaseSummary(
        row["case_id"],
        row["number"],
        only.state,
        only.versions,
        row["image_hash"],
        row["source"],
        only.note,
        only.sequence,
        only.has_draft,
        slots,
    )
    if len(slots) == 1:
        return summary
    return replace(
        summary,
        state=sum_of_states(s.state for s in slots),
        versions=sum(s.versions for s in slots),
        note=next((s.note for s in slots if s.note), ""),
        sequence=max((s.sequence for s in slots if s.sequence), default=None),
        has_draft=any(s.has_draft for s in slots),
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
        slot_of(row["target"], row["instance"]),
    )


def version_from_row(row: sqlite3.Row) -> VersionSummary:
    """A row of the index's table of versions, with its slot's column ``current``."""
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
        suggestion=SuggestionUse(row["suggestion"]),
        reading=row["reading"],
    )
