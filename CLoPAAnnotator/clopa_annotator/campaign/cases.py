"""The cases of an engine's campaign: the store, the leases on it, and what is told about both."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from clopa_annotator.cache.campaign_store import CampaignStore, CaseSummary, SlotSummary
from clopa_annotator.cache.drafts import CaseDraft
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.campaign.occupancy import Occupancy
from clopa_annotator.errors import ConfigError, InputError, UnknownCase
from clopa_annotator.events import EventLog
from clopa_annotator.review.review_desk import ReviewDesk
from clopa_annotator.types import (
    CaseRef,
    CaseState,
    Confirmation,
    Image,
    Mask,
    Slot,
    Targets,
    sum_of_states,
)
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.messages import CaseRow, CaseStatistics, Draft, SlotRow

logger = logging.getLogger(__name__)


class OnConfirming(Protocol):
    """Whoever learns from confirmations."""

    def __call__(self, confirmation: Confirmation) -> Callable[[], None]:
        """A confirmation is about to be stored; answers what to do once it is durable."""
        ...


class Cases:
    """Fulfils `routes_cases.CaseHost`; thread-safe, as the store and the leases are."""

    def __init__(
        self,
        store: CampaignStore,
        leases: CaseLeases,
        events: EventLog,
        on_confirming: OnConfirming,
        occupancy: Occupancy | None = None,
    ) -> None:
        """Serve a store; what ``on_confirming`` answers runs after the events, in the caller's thread."""
        self._store, self._leases, self._events = store, leases, events
        self._on_confirming = on_confirming
        self._occupancy = occupancy or Occupancy(store)

    @property
    def targets(self) -> Targets:
        """What the campaign segments."""
        return self._store.targets

    def set_targets(self, targets: Targets) -> None:
        """Name, colour, order, add and remove targets.

        Raises:
            ConfigError: one that has records is to go.
        """
        self._store.set_targets(targets)
        self._occupancy.targets_changed()
        self._events.publish("targets_changed")

    def cases(self) -> tuple[CaseRow, ...]:
        """Every case, in the order in which they were added."""
        return tuple(self._row(summary) for summary in self._store.cases())

    def case(self, case_id: str) -> CaseRow:
        """One case."""
        return self._row(self._store.case(case_id))

    def image_hash_of(self, case_id: str) -> str:
        """Hash of a case's image."""
        return self._store.image_hash(case_id)

    def read_image(self, image_hash: str) -> Image:
        """An image of the campaign.

        Raises:
            UnknownCase: no case has this image.
        """
        if all(row.image_hash != image_hash for row in self._store.cases()):
            raise UnknownCase("The campaign has no such image.")
        return self._store.read_image(image_hash)

    def add_case(self, case_id: str, image: Image, source: str) -> CaseRow:
        """Add a case, or find it again.

        Raises:
            GeometryError: another image was added under this name.
        """
        self._store.add_case(case_id, image, source)
        return self._told(case_id)

    def first_open(self, case_id: str, who: str) -> Slot:
        """The first slot that is neither decided nor in other hands; the first of all if there is none."""
        slots, holders = self._store.case(case_id).slots, self._leases.holders(case_id)
        free = (s.slot for s in slots if not s.is_decided and holders.get(s.slot, who) == who)
        return next(free, slots[0].slot)

    def take_case(self, case_id: str, who: str, slot: Slot = FIRST) -> CaseRow:
        """Take a target of a case, or renew one's hold on it.

        Raises:
            CaseTaken: somebody else holds it.
            ConfigError: there is no such target, or not so many of it.
        """
        self._require_next(case_id, slot)
        before = self._leases.holder(case_id, slot)
        self._leases.take(case_id, who, slot)
        return self.case(case_id) if before == who else self._told(case_id)

    def _require_next(self, case_id: str, slot: Slot) -> None:
        """Several of a kind are numbered without gaps."""
        target = self.targets.of(slot)
        known = (s.slot for s in self._store.case(case_id).slots)
        last = max(s.instance for s in (*known, *self._leases.holders(case_id)) if s.target == slot.target)
        if slot.instance > last + 1:
            raise ConfigError(
                f"The case has {last} of {target.name}; the next is number {last + 1}, not {slot.instance}."
            )

    def leave_case(self, case_id: str, who: str, slot: Slot = FIRST) -> None:
        """Give a target of a case back."""
        self._leases.release(case_id, who, slot)
        self._told(case_id)

    def mark(self, action: str, case_id: str, who: str, reason: str, slot: Slot = FIRST) -> CaseRow:
        """Skip, reopen, withdraw or flag a target of a case.

        Raises:
            InputError: another action.
            CaseTaken: somebody else holds it.
        """
        self.targets.of(slot)
        self._leases.take(case_id, who, slot)
        try:
            if action == "skip":
                self._store.skip(case_id, who, reason, slot)
            elif action == "reopen":
                self._store.reopen(case_id, who, reason, slot)
            elif action == "withdraw":
                self._store.withdraw(case_id, who, reason, slot)
            elif action == "flag":
                self._store.set_state(case_id, CaseState.NEEDS_REVIEW, who, reason, slot)
            else:
                raise InputError(f"There is no action {action!r} on a case.")
        finally:
            if action != "reopen":
                self._leases.release(case_id, who, slot)
        self._occupancy.changed(case_id, slot)
        return self._told(case_id)

    def save_draft(self, case_id: str, who: str, draft: Draft, slot: Slot = FIRST) -> None:
        """Keep unconfirmed work.

        Raises:
            CaseTaken: somebody else holds the target.
        """
        self.targets.of(slot)
        held = self._leases.holder(case_id, slot) == who
        self._leases.take(case_id, who, slot)
        try:
            self._store.save_draft(
                CaseDraft(
                    case_id,
                    draft.mask,
                    draft.prompts,
                    annotator=who,
                    seconds_active=draft.seconds_active,
                    slot=slot,
                    suggestion=draft.suggestion,
                )
            )
        finally:
            if not held:  # the draft of a target that was left: it is anybody's
                self._leases.release(case_id, who, slot)
        self._occupancy.changed(case_id, slot)

    def load_draft(self, case_id: str, slot: Slot = FIRST) -> Draft | None:
        """The kept work, if there is any."""
        kept = self._store.load_draft(case_id, slot)
        if kept is None:
            return None
        return Draft(kept.mask, kept.prompts, kept.seconds_active, kept.imported, kept.suggestion)

    def newest(self, case_id: str, slot: Slot = FIRST) -> tuple[CaseRef, Mask] | None:
        """The newest confirmed version that is not withdrawn."""
        current = self._store.newest(case_id, slot)
        return None if current is None else (current.ref, self._store.read_mask(current.ref))

    def others(self, case_id: str, slot: Slot) -> tuple[tuple[Slot, Mask], ...]:
        """The other targets' masks as they are kept."""
        return self._occupancy.others(case_id, slot)

    def confirm(self, confirmation: Confirmation, based_on_version: int | None = None) -> CaseRef:
        """Store a decision, durably. A target that somebody else holds is confirmed all the same.

        Work is never thrown away: the lease may have run out while the network was down. Two people's
        versions of one target are both kept, and the store flags the case.

        Raises:
            CacheError: nothing was stored.
            InputError: the mask takes voxels of another target.
        """
        case_id, slot = confirmation.case_id, confirmation.slot
        self.targets.of(slot)
        earlier = {v.ref for v in self._store.versions(case_id, slot)}
        afterwards = self._on_confirming(confirmation)
        ref = self._store.confirm(confirmation, based_on_version)
        self._leases.note(case_id, confirmation.annotator, slot)
        self._leases.release(case_id, confirmation.annotator, slot)
        self._occupancy.changed(case_id, slot)
        self._events.publish(
            "confirmed",
            case_id=case_id,
            record_hash=ref.record_hash,
            confirmation_id=confirmation.confirmation_id,
            target=slot.target,
            instance=slot.instance,
        )
        if any(v.conflict for v in self._store.versions(case_id, slot) if v.ref == ref):
            self._events.publish("conflict", case_id=case_id, target=slot.target, instance=slot.instance)
        self._told(case_id)
        if ref not in earlier:
            self._learn(afterwards, slot)
        return ref

    def _learn(self, afterwards: Callable[[], None], slot: Slot) -> None:
        """What comes after a durable confirmation must not make it look as if it had failed."""
        try:
            afterwards()
        except Exception as error:
            logger.exception("Learning from a confirmation failed")
            self._events.publish("episode_failed", episode=0, reason=str(error), target=slot.target)

    def reviews(self, folder: Path) -> ReviewDesk:
        """A second person's desk over the same cases; ``folder`` is the campaign's."""
        return ReviewDesk(folder, self._store, self._leases, self._events, self._occupancy.changed)

    def statistics(self, target: str = "") -> tuple[CaseStatistics, ...]:
        """Every confirmation of a target that is not withdrawn, in order of arrival.

        A correction has no quality of a first proposal: weights may have learned from the case by then.
        """
        return tuple(
            CaseStatistics(
                v.ref.case_id,
                v.ref.sequence,
                v.weights_version,
                v.first_shown_dice if v.ref.case_version == 1 else None,
                v.prompts,
                v.seconds_active,
                v.annotator,
                v.ref.slot,
                v.suggestion,
            )
            for v in self._store.confirmed_versions(self.targets.by_key(target).key)
        )

    def _row(self, summary: CaseSummary) -> CaseRow:
        holders = self._leases.holders(summary.case_id)
        rows = [_slot_row(slot, holders.pop(slot.slot, "")) for slot in summary.slots]
        rows += [_slot_row(SlotSummary(slot), owner) for slot, owner in holders.items()]  # begun just now
        places = {target.key: place for place, target in enumerate(self.targets)}
        rows = [row for row in rows if row.slot.target in places]
        rows.sort(key=lambda row: (places[row.slot.target], row.slot.instance))
        return CaseRow(
            summary.case_id,
            sum_of_states(row.state for row in rows),
            summary.versions,
            ", ".join(dict.fromkeys(row.owner for row in rows if row.owner)),
            summary.has_draft,
            summary.note,
            summary.source,
            tuple(rows),
        )

    def _told(self, case_id: str) -> CaseRow:
        self._events.publish("case_changed", case_id=case_id)
        return self.case(case_id)


def _slot_row(slot: SlotSummary, owner: str) -> SlotRow:
    busy = owner and slot.state is CaseState.TODO
    state = CaseState.IN_PROGRESS if busy else slot.state
    kept = (slot.has_draft, slot.is_suggestion, slot.is_absent, slot.note, slot.annotator, slot.confirmed_at)
    return SlotRow(slot.slot, state, slot.versions, owner, *kept, verdict=slot.verdict)
