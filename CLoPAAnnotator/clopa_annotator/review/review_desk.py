"""Reviewing in a served campaign: who may judge what now, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar, cast

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.reviewing import judge, review_row
from clopa_annotator.events import EventLog
from clopa_annotator.review.agreement import by_pair, double_readings
from clopa_annotator.review.readings import CasesOf, Readings
from clopa_annotator.review.review_list import listed
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import CaseRef, Confirmation, Mask, Slot, Subject
from clopa_annotator.types.review import (
    Comparison,
    Judgement,
    PairAgreement,
    ReviewFilter,
    ReviewRow,
    Verdict,
)

T = TypeVar("T")


class Leases(Protocol):
    """Who has what open; `CaseLeases` fulfils it."""

    def holder(self, case_id: str, slot: Slot) -> str | None:
        """Who holds a target of a case."""
        ...

    def take(self, case_id: str, owner: str, slot: Slot) -> object:
        """Take it; raises `CaseTaken`."""
        ...

    def release(self, case_id: str, owner: str, slot: Slot) -> None:
        """Give it back."""
        ...


class ReviewDesk:
    """Fulfils `routes_review.ReviewHost`; thread-safe, as the store and the leases are."""

    def __init__(
        self,
        folder: Path,
        store: CampaignStore,
        leases: Leases,
        events: EventLog,
        changed: Callable[[str, Slot], None],
    ) -> None:
        """Nothing has been judged yet.

        Args:
            folder: the campaign's folder.
            store: the campaign's cache.
            leases: who has which target of which case open.
            events: what clients are told.
            changed: told of each slot that was judged: a returned mask does not occupy its voxels any more.
        """
        self._folder, self._store, self._leases = folder, store, leases
        self._events, self._changed = events, changed
        self.readings = Readings(store, self._read)

    def _read(self, confirmation: Confirmation, ref: CaseRef) -> None:
        """A second reading is durable; nobody is told whose case it is of but its name."""
        self._events.publish(
            "confirmed",
            case_id=ref.case_id,
            record_hash=ref.record_hash,
            confirmation_id=confirmation.confirmation_id,
            target=ref.slot.target,
            instance=ref.slot.instance,
        )
        self._events.publish("case_changed", case_id=ref.case_id)

    def seen_by(self, cases: T, who: str) -> T:
        """The engine's cases as a person may see them; a second reader does not see the first's."""
        return cast(T, CasesOf(cases, self.readings, who))

    def agreement(self) -> tuple[PairAgreement, ...]:
        """How well each pair of people agrees about each target that both have read."""
        return by_pair(double_readings(self._store))

    def rows(self, chosen: ReviewFilter) -> tuple[ReviewRow, ...]:
        """What a second person may look at."""
        return listed(self._folder, self._store, chosen)

    def judge(self, judgement: Judgement) -> ReviewRow:
        """Accept or return a slot's version.

        Raises:
            CaseTaken: somebody else has it open, and may be changing it.
            CacheError: nothing was stored; see `cache.reviewing.judge`.
        """
        case_id, slot, who = judgement.case_id, judgement.slot, judgement.reviewer
        self._store.targets.of(slot)
        held = self._leases.holder(case_id, slot) == who
        self._leases.take(case_id, who, slot)
        try:
            row = judge(self._store, judgement)
        finally:
            if not held:
                self._leases.release(case_id, who, slot)
        self._changed(case_id, slot)
        self._events.publish(
            "reviewed",
            case_id=case_id,
            verdict=judgement.verdict.value,
            target=slot.target,
            instance=slot.instance,
        )
        self._events.publish("case_changed", case_id=case_id)
        return row

    def returned(self, case_id: str, slot: Slot) -> tuple[ReviewRow, Mask] | None:
        """The version that was returned and not confirmed anew, with its mask; None if there is none."""
        if self._store.slot(case_id, slot).verdict is not Verdict.RETURNED:
            return None
        row = review_row(self._store, case_id, slot)
        return row, self._store.read_mask(self._store.version(row.sequence).ref)

    def compare(self, case_id: str, slot: Slot) -> Comparison:
        """What the version to be judged can be held against.

        Raises:
            CacheError: nothing of the slot is confirmed.
        """
        row = review_row(self._store, case_id, slot)
        earlier = [v for v in self._store.versions(case_id, slot) if v.ref.sequence < row.sequence]
        shape = self._store.geometry(self._store.image_hash(case_id)).shape_kji
        suggested = SuggestionFolder(self._folder).load(Subject(case_id, slot.target, slot.instance), shape)
        return Comparison(
            shape,
            earlier[-1].ref.case_version if earlier else None,
            self._store.read_mask(earlier[-1].ref) if earlier else None,
            suggested.weights_version if suggested is not None else None,
            suggested.mask if suggested is not None else None,
        )
