"""Which voxels of a case's image belong to which target: what a proposal may not take, what is drawn beside.

A voxel is taken by another target that excludes this one, confirmed or drafted. Masks are read one at a time:
what stays in memory is their union, one byte per voxel, however many targets there are.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.summaries import SlotSummary
from clopa_annotator.errors import CorruptRecord
from clopa_annotator.session.exclusion import Occupied, union_of
from clopa_annotator.types import CaseRef, Mask, Slot

logger = logging.getLogger(__name__)


class Occupancy:
    """What is kept of the targets of each case; thread-safe, as the store is."""

    def __init__(self, store: CampaignStore) -> None:
        """Nothing has changed yet."""
        self._store = store
        self._changes: Counter[tuple[str, Slot]] = Counter()
        self._of_case: Counter[str] = Counter()
        self._targets = 0
        self._mutex = threading.Lock()

    def changed(self, case_id: str, slot: Slot) -> None:
        """What is kept of a slot is another mask now."""
        with self._mutex:
            self._changes[case_id, slot] += 1
            self._of_case[case_id] += 1

    def targets_changed(self) -> None:
        """Other targets exclude each other now."""
        with self._mutex:
            self._targets += 1

    def stamp(self, case_id: str, slot: Slot) -> tuple[int, int]:
        """The same as before unless `taken` or `others` may have changed for this slot."""
        with self._mutex:
            return self._targets, self._of_case[case_id] - self._changes[case_id, slot]

    def taken(self, case_id: str, slot: Slot) -> Occupied | None:
        """Voxels that a slot may not have; None if it may have all."""
        return union_of(self._masks_against(case_id, slot))

    def confirmed(self, case_id: str, slot: Slot) -> Occupied | None:
        """Voxels that are confirmed of targets that exclude this one; None if there are none."""
        targets = self._store.targets
        refs = (
            self._store.version(other.sequence).ref
            for other in self._others(case_id, slot)
            if other.sequence is not None and targets.exclude(slot, other.slot)
        )
        return union_of(mask for ref in refs for mask in self._read(case_id, ref))

    def others(self, case_id: str, slot: Slot) -> tuple[tuple[Slot, Mask], ...]:
        """The other slots' masks as they are kept, the draft before the confirmed one; no empty ones."""
        found = []
        for other in self._others(case_id, slot):
            mask = next(self._masks(case_id, other), None)
            if mask is not None and mask.any():
                found.append((other.slot, mask))
        return tuple(found)

    def _others(self, case_id: str, slot: Slot) -> list[SlotSummary]:
        return [s for s in self._store.case(case_id).slots if s.slot != slot]

    def _masks_against(self, case_id: str, slot: Slot) -> Iterator[Mask]:
        targets = self._store.targets
        for other in self._others(case_id, slot):
            if targets.exclude(slot, other.slot):
                yield from self._masks(case_id, other)

    def _masks(self, case_id: str, summary: SlotSummary) -> Iterator[Mask]:
        """What is drafted of a slot, and what is confirmed; what cannot be read takes no voxels."""
        try:
            draft = self._store.load_draft(case_id, summary.slot) if summary.has_draft else None
            if draft is not None:
                yield draft.mask
        except CorruptRecord as error:
            logger.warning("A draft of %s is damaged and takes no voxels: %s", case_id, error)
        if summary.sequence is not None:
            yield from self._read(case_id, self._store.version(summary.sequence).ref)

    def _read(self, case_id: str, ref: CaseRef) -> Iterator[Mask]:
        """A confirmed mask; nothing if it cannot be read."""
        try:
            yield self._store.read_mask(ref)
        except CorruptRecord as error:
            logger.warning("A mask of %s is damaged and takes no voxels: %s", case_id, error)
