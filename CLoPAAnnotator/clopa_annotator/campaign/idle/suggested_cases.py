"""The cases of an engine's campaign, each with what is suggested for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clopa_annotator.cache.campaign_store import CampaignStore, CaseSummary, SlotSummary
from clopa_annotator.campaign.cases import Cases, OnConfirming
from clopa_annotator.campaign.idle.suggestion_desk import SuggestionDesk
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.campaign.occupancy import Occupancy
from clopa_annotator.events import EventLog
from clopa_annotator.types import CaseRef, Confirmation, Image, Slot
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.messages import CaseRow, CaseStatistics, SlotRow
from clopa_annotator.wire.suggestion_messages import Suggested


class SuggestedCases(Cases):
    """`Cases` that tells the desk what is sent, opened and confirmed, and shows what is ready."""

    def __init__(
        self,
        store: CampaignStore,
        leases: CaseLeases,
        events: EventLog,
        on_confirming: OnConfirming,
        occupancy: Occupancy,
        desk: SuggestionDesk,
    ) -> None:
        """Serve a store, with the suggestions of ``desk``."""
        super().__init__(store, leases, events, on_confirming, occupancy)
        self._desk = desk

    def suggestion(self, case_id: str, slot: Slot) -> Suggested | None:
        """What is suggested for a target that nobody has begun, without voxels that another target has.

        None if nothing is ready, or it is withheld.
        """
        row = self._store.case(case_id).slot(slot)
        is_hidden = _is_begun(row) or self._desk.withholds(case_id, slot)
        found = None if is_hidden else self._desk.suggestion(case_id, slot)
        taken = None if found is None else self._occupancy.taken(case_id, slot)
        if found is None or taken is None:
            return found
        mask = np.where(taken, np.uint8(0), found.mask)
        mask.flags.writeable = False
        return replace(found, mask=mask)

    def is_withheld(self, case_id: str, slot: Slot) -> bool:
        """Whether there is a suggestion for a target that nobody has begun, and it is not shown."""
        if _is_begun(self._store.case(case_id).slot(slot)) or not self._desk.withholds(case_id, slot):
            return False
        return self._desk.mark(case_id, slot) is not None

    def statistics(self, target: str = "") -> tuple[CaseStatistics, ...]:
        """See `Cases.statistics`; with how good the suggestion was, shown or not."""
        told = self._desk.told(self.targets.by_key(target).key)
        rows = super().statistics(target)
        return tuple(replace(row, suggestion_dice=told.get(row.sequence)) for row in rows)

    def add_case(self, case_id: str, image: Image, source: str) -> CaseRow:
        """See `Cases.add_case`; what is sent last is likely to be opened next."""
        row = super().add_case(case_id, image, source)
        self._desk.sent(case_id)
        return row

    def take_case(self, case_id: str, who: str, slot: Slot = FIRST) -> CaseRow:
        """See `Cases.take_case`."""
        row = super().take_case(case_id, who, slot)
        self._desk.opened(case_id)
        return row

    def confirm(self, confirmation: Confirmation, based_on_version: int | None = None) -> CaseRef:
        """See `Cases.confirm`; how good the suggestion was is noted once the case is safe."""
        ref = super().confirm(confirmation, based_on_version)
        self._desk.confirmed(confirmation.case_id, confirmation.slot, confirmation.mask, ref.sequence)
        return ref

    def _row(self, summary: CaseSummary) -> CaseRow:
        row = super()._row(summary)
        return replace(row, slots=tuple(self._with_mark(row.case_id, slot) for slot in row.slots))

    def _with_mark(self, case_id: str, row: SlotRow) -> SlotRow:
        return row if _is_begun(row) else replace(row, suggestion=self._desk.mark(case_id, row.slot))


def _is_begun(row: SlotRow | SlotSummary) -> bool:
    """Whether there is anything that a suggestion would hide."""
    return row.is_decided or row.has_draft or row.versions > 0
