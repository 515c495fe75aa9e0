"""The cases of an engine's campaign: the store, the leases on it, and what is told about both."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from clopa_annotator.cache.campaign_store import CampaignStore, CaseSummary
from clopa_annotator.cache.drafts import CaseDraft
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.errors import InputError, UnknownCase
from clopa_annotator.events import EventLog
from clopa_annotator.types import CaseRef, CaseState, Confirmation, Image, Mask
from clopa_annotator.wire.messages import CaseRow, CaseStatistics, Draft

logger = logging.getLogger(__name__)


class OnConfirming(Protocol):
    """Whoever learns from confirmations."""

    def __call__(self, confirmation: Confirmation) -> Callable[[], None]:
        """A confirmation is about to be stored; answers what to do once it is durable."""
        ...


class Cases:
    """Fulfils `routes_cases.CaseHost`; thread-safe, as the store and the leases are."""

    def __init__(
        self, store: CampaignStore, leases: CaseLeases, events: EventLog, on_confirming: OnConfirming
    ) -> None:
        """Serve a store; what ``on_confirming`` answers runs after the events, in the caller's thread."""
        self._store, self._leases, self._events = store, leases, events
        self._on_confirming = on_confirming

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

    def take_case(self, case_id: str, who: str) -> CaseRow:
        """Take a case, or renew one's hold on it.

        Raises:
            CaseTaken: somebody else holds it.
        """
        self._store.case(case_id)
        before = self._leases.holder(case_id)
        self._leases.take(case_id, who)
        return self.case(case_id) if before == who else self._told(case_id)

    def leave_case(self, case_id: str, who: str) -> None:
        """Give a case back."""
        self._leases.release(case_id, who)
        self._told(case_id)

    def mark(self, action: str, case_id: str, who: str, reason: str) -> CaseRow:
        """Skip, reopen, withdraw or flag a case.

        Raises:
            InputError: another action.
            CaseTaken: somebody else holds the case.
        """
        self._leases.take(case_id, who)
        try:
            if action == "skip":
                self._store.skip(case_id, who, reason)
            elif action == "reopen":
                self._store.reopen(case_id, who, reason)
            elif action == "withdraw":
                self._store.withdraw(case_id, who, reason)
            elif action == "flag":
                self._store.set_state(case_id, CaseState.NEEDS_REVIEW, who, reason)
            else:
                raise InputError(f"There is no action {action!r} on a case.")
        finally:
            if action != "reopen":
                self._leases.release(case_id, who)
        return self._told(case_id)

    def save_draft(self, case_id: str, who: str, draft: Draft) -> None:
        """Keep unconfirmed work.

        Raises:
            CaseTaken: somebody else holds the case.
        """
        self._leases.take(case_id, who)
        self._store.save_draft(
            CaseDraft(case_id, draft.mask, draft.prompts, annotator=who, seconds_active=draft.seconds_active)
        )

    def load_draft(self, case_id: str) -> Draft | None:
        """The kept work, if there is any."""
        kept = self._store.load_draft(case_id)
        return None if kept is None else Draft(kept.mask, kept.prompts, kept.seconds_active)

    def newest(self, case_id: str) -> tuple[CaseRef, Mask] | None:
        """The newest confirmed version that is not withdrawn."""
        current = [v.ref for v in self._store.versions(case_id) if v.current]
        return (current[-1], self._store.read_mask(current[-1])) if current else None

    def confirm(self, confirmation: Confirmation, based_on_version: int | None = None) -> CaseRef:
        """Store a decision, durably. A case that somebody else holds is confirmed all the same.

        Work is never thrown away: the lease may have run out while the network was down. Two people's
        versions of one case are both kept, and the store flags the case.

        Raises:
            CacheError: nothing was stored.
        """
        earlier = {v.ref for v in self._store.versions(confirmation.case_id)}
        afterwards = self._on_confirming(confirmation)
        ref = self._store.confirm(confirmation, based_on_version=based_on_version)
        self._leases.release(confirmation.case_id, confirmation.annotator)
        self._events.publish(
            "confirmed",
            case_id=ref.case_id,
            record_hash=ref.record_hash,
            confirmation_id=confirmation.confirmation_id,
        )
        if any(v.conflict for v in self._store.versions(ref.case_id) if v.ref == ref):
            self._events.publish("conflict", case_id=ref.case_id)
        self._told(ref.case_id)
        if ref not in earlier:
            self._learn(afterwards)
        return ref

    def _learn(self, afterwards: Callable[[], None]) -> None:
        """What comes after a durable confirmation must not make it look as if it had failed."""
        try:
            afterwards()
        except Exception as error:
            logger.exception("Learning from a confirmation failed")
            self._events.publish("episode_failed", episode=0, reason=str(error))

    def statistics(self) -> tuple[CaseStatistics, ...]:
        """Every confirmation that is not withdrawn, in order of arrival."""
        return tuple(
            CaseStatistics(
                v.ref.case_id,
                v.ref.sequence,
                v.weights_version,
                v.first_shown_dice,
                v.prompts,
                v.seconds_active,
                v.annotator,
            )
            for v in self._store.confirmed_versions()
        )

    def _row(self, summary: CaseSummary) -> CaseRow:
        owner = self._leases.holder(summary.case_id) or ""
        busy = owner and summary.state is CaseState.TODO
        return CaseRow(
            summary.case_id,
            CaseState.IN_PROGRESS if busy else summary.state,
            summary.versions,
            owner,
            summary.has_draft,
            summary.note,
            summary.source,
        )

    def _told(self, case_id: str) -> CaseRow:
        self._events.publish("case_changed", case_id=case_id)
        return self.case(case_id)
