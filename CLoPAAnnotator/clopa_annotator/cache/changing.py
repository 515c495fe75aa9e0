"""Changing what an open campaign knows about its cases: decisions, and unconfirmed work."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from clopa_annotator.cache import drafts
from clopa_annotator.cache.drafts import CaseDraft
from clopa_annotator.cache.format.disk import explained
from clopa_annotator.cache.format.mark import Mark
from clopa_annotator.cache.reader import CampaignReader
from clopa_annotator.cache.writing import Writer
from clopa_annotator.errors import AcceptedCase, CacheError, CorruptRecord, ReadOnlyCampaign
from clopa_annotator.types import CaseState, Slot
from clopa_annotator.types.review import Verdict

logger = logging.getLogger(__name__)


class CaseChanges(CampaignReader):
    """What can be decided about a case besides its masks, and its drafts; see `CampaignStore`."""

    @contextmanager
    def _change(self, what: str) -> Iterator[Writer]:
        """One change at a time, with errors in words; settles first what a failed change had left."""
        if not self.writable:
            raise ReadOnlyCampaign(f"Could not {what}: the campaign is open for reading only.")
        with self._opened.changing, explained(what):
            writer = Writer(self._layout, self._index)
            writer.recover()
            yield writer

    # -- decisions -----------------------------------------------------------------------------------------

    def withdraw(self, case_id: str, annotator: str, reason: str, slot: Slot | None = None) -> None:
        """Mark the current version as withdrawn: it stays on disk and trains no more.

        Versions before it were replaced by it and do not come back. It needs another look.

        Raises:
            AcceptedCase: a second person has accepted it; it has to be returned instead.
            CacheError: there is no current version.
        """
        with self._change(f"withdraw {self._named(case_id, slot)}"):
            current = self.newest(case_id, slot)
            if current is None:
                named = self._named(case_id, slot)
                raise CacheError(f"{_upper(named)} has no confirmed version that could be withdrawn.")
            known = self.slot(case_id, slot)
            if known.verdict is Verdict.ACCEPTED:
                named = _upper(self._named(case_id, slot))
                raise AcceptedCase(
                    f"{named} was accepted by {known.reviewer}, so it is not withdrawn. Return it in a "
                    "review instead, with what is wrong; then it trains no more."
                )
            number = current.ref.case_version
            self._mark(case_id, slot, "withdraw", CaseState.NEEDS_REVIEW, annotator, reason, number)

    def reopen(self, case_id: str, annotator: str, reason: str = "", slot: Slot | None = None) -> None:
        """Put a case back to work; a confirmed version stays current until it is corrected or withdrawn."""
        self._mark(case_id, slot, "reopen", CaseState.IN_PROGRESS, annotator, reason)

    def skip(self, case_id: str, annotator: str, reason: str, slot: Slot | None = None) -> None:
        """Leave a case out, or one target of it.

        Raises:
            CacheError: it is confirmed; it would have to be withdrawn first.
        """
        if self.newest(case_id, slot) is not None:
            named = _upper(self._named(case_id, slot))
            raise CacheError(f"{named} is confirmed. Withdraw it first if it should be left out.")
        self._mark(case_id, slot, "skip", CaseState.SKIPPED, annotator, reason)

    def set_state(
        self,
        case_id: str,
        state: CaseState,
        annotator: str = "",
        reason: str = "",
        slot: Slot | None = None,
    ) -> None:
        """Put a case in a state, for instance `CaseState.NEEDS_REVIEW` to flag it.

        Raises:
            CacheError: `CaseState.CONFIRMED` for what has no current version.
        """
        if state is CaseState.SKIPPED:
            self.skip(case_id, annotator, reason, slot)
            return
        if state is CaseState.CONFIRMED and self.newest(case_id, slot) is None:
            raise CacheError(f"{_upper(self._named(case_id, slot))} has no confirmed version.")
        self._mark(case_id, slot, "state", state, annotator, reason)

    def _mark(
        self,
        case_id: str,
        slot: Slot | None,
        action: str,
        state: CaseState,
        annotator: str,
        reason: str,
        case_version: int | None = None,
    ) -> None:
        meant = self._meant(slot)
        with self._change(f"mark {self._named(case_id, slot)}") as writer:
            self._case_row(case_id)
            writer.mark(Mark(0, case_id, action, state, case_version, annotator, reason, slot=meant))

    def _named(self, case_id: str, slot: Slot | None) -> str:
        """A slot of a case in a sentence; the case alone where a campaign has one target."""
        meant = self._meant(slot)
        if len(self.targets) == 1 and meant.instance == 1:
            return f"the case {case_id!r}"
        return f"{self.targets.name_of(meant)} in the case {case_id!r}"

    # -- drafts --------------------------------------------------------------------------------------------

    def save_draft(self, draft: CaseDraft) -> None:
        """Keep unconfirmed work; replaces the slot's draft. Never trains, and is no confirmation.

        Raises:
            GeometryError: the mask is not on the image's grid.
            InputError: the mask is not binary.
        """
        self._meant(draft.slot)
        shape = self.geometry(self.image_hash(draft.case_id)).shape_kji
        with self._change(f"save the draft of {draft.case_id!r}"):
            drafts.save(self._layout, draft, shape)

    def load_draft(self, case_id: str, slot: Slot | None = None, reading: int = 1) -> CaseDraft | None:
        """The unconfirmed work on a slot of a case; None if there is none.

        A damaged draft is moved to quarantine and reported once, as `CorruptRecord`.
        """
        try:
            return super().load_draft(case_id, slot, reading)
        except CorruptRecord as error:
            relative = drafts.draft_path(case_id, self._meant(slot), reading)
            if self.writable and self._layout.exists(relative):
                with self._change(f"move the damaged draft of {case_id!r}"):
                    self._layout.quarantine(relative, str(error))
            raise

    def discard_draft(self, case_id: str, slot: Slot | None = None) -> None:
        """Drop the unconfirmed work on a slot of a case; nothing happens if there is none."""
        self._case_row(case_id)
        relative = drafts.draft_path(case_id, self._meant(slot))
        with self._change(f"drop the draft of {case_id!r}"):
            self._layout.disk.remove(self._layout.path(relative))

    def _forget_draft(self, case_id: str, slot: Slot, reading: int = 1) -> None:
        """After a confirmation: a draft that cannot be removed must not make the confirmation fail."""
        try:
            self._layout.disk.remove(self._layout.path(drafts.draft_path(case_id, slot, reading)))
        except OSError as error:
            logger.warning("The draft of %s could not be removed: %s", case_id, error)


def _upper(sentence: str) -> str:
    """With a capital letter at its beginning."""
    return sentence[:1].upper() + sentence[1:]
