"""Double reading in a served campaign: who reads what a second time, and what they must not see meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.drafts import CaseDraft
from clopa_annotator.cache.summaries import VersionSummary
from clopa_annotator.errors import InputError
from clopa_annotator.types import CaseRef, CaseState, Confirmation, Image, Mask, Slot, sum_of_states
from clopa_annotator.types.review import DOUBLE_READING, is_double_read
from clopa_annotator.wire.messages import CaseRow, Draft, SlotRow


class Readings:
    """What each person may see of cases that two people read; thread-safe, as the store is.

    Once a slot of a drawn case is confirmed, whoever did not confirm it sees it as if nobody had begun, until
    there is a second reading; its reader then sees their own.
    """

    def __init__(self, store: CampaignStore, told: Callable[[Confirmation, CaseRef], None]) -> None:
        """``told`` is called with each second reading once it is durable."""
        self._store, self._told = store, told

    @property
    def _is_off(self) -> bool:
        return not self._store.manifest.settings.get(DOUBLE_READING)

    def is_second(self, case_id: str, slot: Slot, who: str) -> bool:
        """Whether this person reads the slot a second time: to them the first reading is not there."""
        if self._is_off or not is_double_read(self._store.manifest.settings, case_id):
            return False
        current = self._store.newest(case_id, slot)
        if current is None or current.annotator == who:
            return False
        second = self._store.second_readings(case_id, slot)
        return not second or second[-1].annotator == who

    def is_blind(self, case_id: str, who: str) -> bool:
        """Whether this person reads any target of a case a second time."""
        if self._is_off:
            return False
        return any(self.is_second(case_id, s.slot, who) for s in self._store.case(case_id).slots)

    def is_second_delivery(self, confirmation: Confirmation) -> bool:
        """Whether this is a second reading that was stored before: an answer may get lost."""
        known = self._store.confirmation(confirmation.confirmation_id)
        return known is not None and known.reading > 1

    def own(self, case_id: str, slot: Slot, who: str) -> tuple[CaseRef, Mask] | None:
        """This person's own second reading."""
        version = self._own(case_id, slot, who)
        return None if version is None else (version.ref, self._store.read_mask(version.ref))

    def _own(self, case_id: str, slot: Slot, who: str) -> VersionSummary | None:
        second = self._store.second_readings(case_id, slot)
        return second[-1] if second and second[-1].annotator == who else None

    # -- what is shown -------------------------------------------------------------------------------------

    def first_open(self, case_id: str, who: str) -> Slot | None:
        """The first slot that this person is to read a second time; None if there is none."""
        if self._is_off:
            return None
        return next(
            (
                s.slot
                for s in self._store.case(case_id).slots
                if self.is_second(case_id, s.slot, who) and self._own(case_id, s.slot, who) is None
            ),
            None,
        )

    def shown(self, row: CaseRow, who: str) -> CaseRow:
        """A case's row as this person may see it."""
        if self._is_off or not is_double_read(self._store.manifest.settings, row.case_id):
            return row
        slots = tuple(self._slot(row.case_id, slot, who) for slot in row.slots)
        if slots == row.slots:
            return row
        return replace(
            row,
            slots=slots,
            state=sum_of_states(slot.state for slot in slots),
            versions=sum(slot.versions for slot in slots),
            has_draft=any(slot.has_draft for slot in slots),
            note=next((slot.note for slot in slots if slot.note), ""),
        )

    def _slot(self, case_id: str, row: SlotRow, who: str) -> SlotRow:
        if not self.is_second(case_id, row.slot, who):
            return row
        own = self._own(case_id, row.slot, who)
        draft = self._draft(case_id, row.slot, who)
        state = CaseState.TODO if draft is None and not row.owner else CaseState.IN_PROGRESS
        return SlotRow(
            row.slot,
            state if own is None else CaseState.CONFIRMED,
            0 if own is None else 1,
            row.owner,
            draft is not None,
        )

    def others(
        self, case_id: str, others: tuple[tuple[Slot, Mask], ...], who: str
    ) -> tuple[tuple[Slot, Mask], ...]:
        """The other slots' masks without those that this person must not see; their own in place of them."""
        return tuple(self._others(case_id, others, who)) if not self._is_off else others

    def _others(
        self, case_id: str, others: tuple[tuple[Slot, Mask], ...], who: str
    ) -> Iterator[tuple[Slot, Mask]]:
        for slot, mask in others:
            if not self.is_second(case_id, slot, who):
                yield slot, mask
                continue
            own = self.own(case_id, slot, who)
            if own is not None:
                yield slot, own[1]

    # -- what is kept --------------------------------------------------------------------------------------

    def save_draft(self, case_id: str, who: str, draft: Draft, slot: Slot) -> None:
        """Keep unconfirmed work on a second reading."""
        self._store.save_draft(
            CaseDraft(
                case_id,
                draft.mask,
                draft.prompts,
                annotator=who,
                seconds_active=draft.seconds_active,
                slot=slot,
                suggestion=draft.suggestion,
                reading=2,
            )
        )

    def load_draft(self, case_id: str, slot: Slot, who: str) -> Draft | None:
        """This person's unconfirmed work on a second reading."""
        kept = self._draft(case_id, slot, who)
        if kept is None:
            return None
        return Draft(kept.mask, kept.prompts, kept.seconds_active, kept.imported, kept.suggestion)

    def _draft(self, case_id: str, slot: Slot, who: str) -> CaseDraft | None:
        kept = self._store.load_draft(case_id, slot, reading=2)
        return kept if kept is not None and kept.annotator == who else None

    def confirm(self, confirmation: Confirmation) -> CaseRef:
        """Store a second reading, durably; nothing learns from it.

        Raises:
            CacheError: nothing was stored.
        """
        ref = self._store.confirm(confirmation, reading=2)
        self._told(confirmation, ref)
        return ref


class CasesOf:
    """The cases as one person may see them; everything else is the engine's."""

    def __init__(self, cases: Any, readings: Readings, who: str) -> None:
        """Show ``cases``, a `routes_cases.CaseHost`, to ``who``."""
        self._cases, self._readings, self._who = cases, readings, who

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cases, name)

    def _shown(self, row: CaseRow) -> CaseRow:
        return self._readings.shown(row, self._who)

    def _is_second(self, case_id: str, slot: Slot) -> bool:
        return self._readings.is_second(case_id, slot, self._who)

    def cases(self) -> tuple[CaseRow, ...]:
        """Every case."""
        return tuple(self._shown(row) for row in self._cases.cases())

    def case(self, case_id: str) -> CaseRow:
        """One case."""
        return self._shown(self._cases.case(case_id))

    def add_case(self, case_id: str, image: Image, source: str) -> CaseRow:
        """Add a case, or find it again."""
        return self._shown(self._cases.add_case(case_id, image, source))

    def first_open(self, case_id: str, who: str) -> Slot:
        """The first slot that this person is to read a second time, or that is open."""
        found = self._readings.first_open(case_id, who)
        return self._cases.first_open(case_id, who) if found is None else found

    def take_case(self, case_id: str, who: str, slot: Slot) -> CaseRow:
        """Take a target of a case."""
        return self._shown(self._cases.take_case(case_id, who, slot))

    def mark(self, action: str, case_id: str, who: str, reason: str, slot: Slot) -> CaseRow:
        """Skip, reopen, withdraw or flag; a second reading is corrected by confirming it again.

        Raises:
            InputError: anything else that would touch the first reading.
        """
        if not self._is_second(case_id, slot):
            return self._shown(self._cases.mark(action, case_id, who, reason, slot))
        if action == "reopen":
            return self.case(case_id)
        raise InputError(
            "Two people annotate this case, each without knowing of the other's mask. Confirm what you see, "
            "also if there is nothing."
        )

    def save_draft(self, case_id: str, who: str, draft: Draft, slot: Slot) -> None:
        """Keep unconfirmed work."""
        if self._is_second(case_id, slot):
            self._readings.save_draft(case_id, who, draft, slot)
        else:
            self._cases.save_draft(case_id, who, draft, slot)

    def load_draft(self, case_id: str, slot: Slot) -> Draft | None:
        """The kept work."""
        if self._is_second(case_id, slot):
            return self._readings.load_draft(case_id, slot, self._who)
        kept: Draft | None = self._cases.load_draft(case_id, slot)
        return kept

    def newest(self, case_id: str, slot: Slot) -> tuple[CaseRef, Mask] | None:
        """The newest confirmed version; a second reader's own."""
        if self._is_second(case_id, slot):
            return self._readings.own(case_id, slot, self._who)
        newest: tuple[CaseRef, Mask] | None = self._cases.newest(case_id, slot)
        return newest

    def others(self, case_id: str, slot: Slot) -> tuple[tuple[Slot, Mask], ...]:
        """The other targets' masks as they are kept."""
        return self._readings.others(case_id, self._cases.others(case_id, slot), self._who)

    def confirm(self, confirmation: Confirmation, based_on_version: int | None = None) -> CaseRef:
        """Store a decision, durably."""
        case_id, slot = confirmation.case_id, confirmation.slot
        if not self._readings.is_second_delivery(confirmation) and not self._is_second(case_id, slot):
            ref: CaseRef = self._cases.confirm(confirmation, based_on_version)
            return ref
        ref = self._readings.confirm(confirmation)
        self._cases.leave_case(case_id, confirmation.annotator, slot)
        return ref
