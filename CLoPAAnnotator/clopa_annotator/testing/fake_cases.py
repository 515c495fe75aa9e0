"""The cases of a campaign in memory: what is known of each target of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

import numpy as np

from clopa_annotator.types import CaseRef, CaseState, Image, Mask, Slot, Targets, sum_of_states
from clopa_annotator.types.review import Lps, Verdict
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.messages import CaseRow, CaseStatistics, Draft, SlotRow
from clopa_annotator.wire.suggestion_messages import Suggested


@dataclass
class FakeVersion:
    """One confirmation."""

    ref: CaseRef
    mask: Mask
    statistics: CaseStatistics
    withdrawn: bool = False
    confirmed_at: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat("T", "seconds"))


@dataclass
class SlotWork:
    """What is known of one target of a case."""

    state: CaseState = CaseState.TODO
    note: str = ""
    owner: str = ""
    last_owner: str = ""
    versions: list[FakeVersion] = field(default_factory=list)
    draft: Draft | None = None
    verdict: Verdict = Verdict.NONE
    reviewer: str = ""
    comment: str = ""
    place_lps_mm: Lps | None = None
    judged: int | None = None

    @property
    def start(self) -> Mask | None:
        """What somebody who opens it begins with: the kept mask, or the one that was returned."""
        returned = self.verdict is Verdict.RETURNED and self.kept is None
        return self.versions[-1].mask if returned else self.kept

    def has_new_version(self) -> None:
        """Nobody has judged it yet."""
        self.verdict, self.reviewer, self.comment = Verdict.NONE, "", ""
        self.place_lps_mm = self.judged = None

    @property
    def newest(self) -> FakeVersion | None:
        """The newest version that is not withdrawn."""
        return next((v for v in reversed(self.versions) if not v.withdrawn), None)

    @property
    def kept(self) -> Mask | None:
        """The mask as it is kept: the draft's, else the confirmed one's."""
        if self.draft is not None:
            return self.draft.mask
        return self.newest.mask if self.newest is not None else None

    @property
    def masks(self) -> Iterator[Mask]:
        """Everything that nobody else may have: drafted and confirmed."""
        if self.draft is not None:
            yield self.draft.mask
        if self.newest is not None:
            yield self.newest.mask

    @property
    def is_begun(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.versions or self.draft or self.note or self.owner or self.state != CaseState.TODO)

    def row(self, slot: Slot) -> SlotRow:
        """As the list of targets shows it."""
        absent = self.state is CaseState.CONFIRMED and self.newest is not None and not self.newest.mask.any()
        return SlotRow(
            slot,
            self.state,
            len(self.versions),
            self.owner,
            self.draft is not None,
            self.draft is not None and self.draft.imported is not None,
            absent,
            self.note,
            self.newest.statistics.annotator if self.newest is not None else "",
            self.newest.confirmed_at if self.newest is not None else "",
            verdict=self.verdict,
        )


@dataclass
class FakeCase:
    """One case; ``draft`` and ``versions`` are those of the first target.

    Attributes:
        suggested: what the model suggests for a slot.
    """

    case_id: str
    image: Image
    image_hash: str
    source: str
    targets: Targets
    slots: dict[Slot, SlotWork] = field(default_factory=dict)
    suggested: Callable[[FakeCase, Slot], Suggested | None] = lambda _case, _slot: None

    def slot(self, slot: Slot) -> SlotWork:
        """What is known of a slot. Raises `ConfigError` for one that cannot be."""
        self.targets.of(slot)
        return self.slots.setdefault(slot, SlotWork())

    @property
    def in_order(self) -> tuple[Slot, ...]:
        """Its slots in the campaign's order; a target of several has at least its first."""
        found = []
        for target in self.targets:
            begun = [s.instance for s, work in self.slots.items() if s.target == target.key and work.is_begun]
            last = max(begun, default=1) if target.instances else 1
            found += [Slot(target.key, number) for number in range(1, last + 1)]
        return tuple(found)

    @property
    def row(self) -> CaseRow:
        """As the list of cases shows it."""
        rows = tuple(self._slot_row(slot) for slot in self.in_order)
        return CaseRow(
            self.case_id,
            sum_of_states(row.state for row in rows),
            sum(row.versions for row in rows),
            ", ".join(dict.fromkeys(row.owner for row in rows if row.owner)),
            any(row.has_draft for row in rows),
            next((row.note for row in rows if row.note), ""),
            self.source,
            rows,
        )

    def _slot_row(self, slot: Slot) -> SlotRow:
        found = self.suggested(self, slot)
        row = self.slot(slot).row(slot)
        return row if found is None or row.is_decided else replace(row, suggestion=found.mark)

    def first_open(self, owner: str) -> Slot:
        """The first slot that is neither decided nor in other hands; the first of all if there is none."""
        for row in self.row.slots:
            if not row.is_decided and row.owner in ("", owner):
                return row.slot
        return self.in_order[0]

    def others(self, slot: Slot) -> tuple[tuple[Slot, Mask], ...]:
        """The other slots' masks as they are kept, without the empty ones."""
        kept = ((other, self.slot(other).kept) for other in self.in_order if other != slot)
        return tuple((other, mask) for other, mask in kept if mask is not None and mask.any())

    def taken_by_others(self, slot: Slot) -> Iterator[Mask]:
        """Masks whose voxels this slot may not have."""
        for other in self.in_order:
            if other != slot and self.targets.exclude(slot, other):
                yield from self.slot(other).masks

    @property
    def draft(self) -> Draft | None:
        """Of the first target."""
        return self.slot(FIRST).draft

    @draft.setter
    def draft(self, draft: Draft | None) -> None:
        self.slot(FIRST).draft = draft

    @property
    def versions(self) -> list[FakeVersion]:
        """Of the first target."""
        return self.slot(FIRST).versions


def hash_of(*parts: bytes) -> str:
    """SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def image_hash(image: Image) -> str:
    """Of its grid and voxels."""
    return hash_of(repr(image.geometry).encode(), np.ascontiguousarray(image.voxels).tobytes())


def is_same_image(first: Image, second: Image) -> bool:
    """As `cache.images.require_same` compares them."""
    return first.geometry.agrees_with(second.geometry) and np.array_equal(first.voxels, second.voxels)
