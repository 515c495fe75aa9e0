"""The annotation cache: confirmed masks, durable, with everything that is known about how they came about.

A campaign is a folder that any program can read (docs/formats/campaign.md). One process writes to it; any
number read. `CampaignStore.confirm` returns only when the mask and its record are flushed, renamed into
place, read back and compared, and entered into the index.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clopa_annotator.cache import drafts
from clopa_annotator.cache.confirming import Prepared, check_confirmation, checked_mask
from clopa_annotator.cache.drafts import CaseDraft
from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.disk import Disk, explained
from clopa_annotator.cache.format.images import image_record, prepare
from clopa_annotator.cache.format.layout import utc_now
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.cache.format.record import CaseEntry, CaseRecord, Mark
from clopa_annotator.cache.opening import Opened, create_campaign, open_campaign, renew_index, write_manifest
from clopa_annotator.cache.reader import CampaignReader
from clopa_annotator.cache.rebuild import RebuildReport
from clopa_annotator.cache.repair import check_campaign
from clopa_annotator.cache.summaries import CaseSummary, VersionSummary
from clopa_annotator.cache.verify import Finding, VerifyReport
from clopa_annotator.cache.writing import Writer
from clopa_annotator.errors import CacheError, CorruptRecord, GeometryError, ReadOnlyCampaign, UnknownCase
from clopa_annotator.types import CaseRef, CaseState, Confirmation, Image

__all__ = [
    "CampaignManifest",
    "CampaignReader",
    "CampaignStore",
    "CaseDraft",
    "CaseRecord",
    "CaseSummary",
    "Disk",
    "Finding",
    "Mark",
    "RebuildReport",
    "VerifyReport",
    "VersionSummary",
    "rebuild_index",
]

logger = logging.getLogger(__name__)


class CampaignStore(CampaignReader):
    """An open campaign folder, for reading or for writing; safe to use from several threads.

    Use as a context manager, or call `close`. Besides what `CampaignReader` raises, every method that changes
    something raises `ReadOnlyCampaign` (opened for reading, or the folder cannot be written), `StorageFull`,
    or another `CacheError`; then nothing was changed, and the store goes on working.
    """

    def __init__(self, folder: Path, opened: Opened) -> None:
        """Use `create` or `open`."""
        super().__init__(folder, opened)
        self._lock = threading.RLock()

    @classmethod
    def create(cls, folder: Path, manifest: CampaignManifest, disk: Disk | None = None) -> CampaignStore:
        """Make a campaign folder (with its parents) and open it for writing; see `create_campaign`."""
        return cls(folder, create_campaign(folder, manifest, disk or Disk()))

    @classmethod
    def open(cls, folder: Path, writer: bool = False, disk: Disk | None = None) -> CampaignStore:
        """Open a campaign folder; see `open_campaign`.

        Args:
            folder: the campaign folder.
            writer: whether to write; only one process can at a time.
            disk: takes the steps on the file system; for tests.
        """
        return cls(folder, open_campaign(folder, writer, disk or Disk()))

    @contextmanager
    def _change(self, what: str) -> Iterator[Writer]:
        """One change at a time, with errors in words; settles first what a failed change had left."""
        if not self.writable:
            raise ReadOnlyCampaign(f"Could not {what}: the campaign is open for reading only.")
        with self._lock, explained(what):
            writer = Writer(self._layout, self._index)
            writer.recover()
            yield writer

    def update_manifest(self, manifest: CampaignManifest) -> None:
        """Replace the campaign's settings; the instant of its creation stays."""
        with self._change("change the campaign's settings"):
            manifest = replace(manifest, created=self.manifest.created)
            write_manifest(self._layout, self._index, manifest)
            self._opened.manifest = manifest

    # -- cases ---------------------------------------------------------------------------------------------

    def add_case(self, case_id: str, image: Image, source: str = "") -> str:
        """Add a case and its image; adding the same again changes nothing and heals a damaged image.

        Args:
            case_id: any Unicode text without line breaks.
            image: (k, j, i) volume of any real dtype; it is stored without loss.
            source: where it came from (a path, a series UID), for people and exporters.

        Returns:
            The image's hash.

        Raises:
            InputError: the case id cannot be stored.
            ImageError: not a 3D volume of real numbers.
            GeometryError: the grid is not the array's, or the case exists with another image.
        """
        names.check_name(case_id, "The case id")
        voxels, digest = prepare(image)
        with self._change(f"add the case {case_id!r}") as writer:
            try:
                known = self.image_hash(case_id)
            except UnknownCase:
                number = self._index.rows("SELECT coalesce(max(number), 0) + 1 FROM cases")[0][0]
                entry = CaseEntry(case_id, int(number), digest, source, utc_now())
                writer.add_case(entry, voxels, image.geometry)
                return digest
            if known != digest:
                raise GeometryError(
                    f"The campaign has a case {case_id!r} with another image. "
                    "Choose another name, or open that case with the image it was added with."
                )
            writer.add_image(voxels, image.geometry, digest)
        return digest

    # -- decisions -----------------------------------------------------------------------------------------

    def confirm(self, confirmation: Confirmation, based_on_version: int | None = None) -> CaseRef:
        """Make a confirmation durable; when this returns, it is.

        The same confirmation id with the same content gives the same answer again and changes nothing. The
        case's draft is dropped.

        Args:
            confirmation: what the annotator decided; its case must be in the campaign.
            based_on_version: version that the annotator started from, 0 for none; None if not known. If
                somebody else has confirmed a later one meanwhile, both are kept and the case is marked as
                needing another look.

        Returns:
            The new version; ``record_hash`` is the client's receipt.

        Raises:
            InputError: an empty id, a mask that is not binary, a number out of its range.
            GeometryError: the mask is not on the image's grid.
            ConfirmationConflict: the confirmation id was used for something else.
            UnknownCase: the case was not added.
        """
        check_confirmation(confirmation)
        case_id = confirmation.case_id
        digest = self.image_hash(case_id)
        values, geometry = image_record(self._layout, digest)
        mask = checked_mask(confirmation.mask, geometry.shape_kji)
        prepared = Prepared(confirmation, mask, geometry)
        with self._change(f"confirm the case {case_id!r}") as writer:
            ref = writer.earlier(prepared)
            if ref is None:
                record = prepared.record(self.manifest, digest, values["dtype"])
                ref = writer.confirm(prepared, record, based_on_version)
                self._forget_draft(case_id)
        return ref

    def withdraw(self, case_id: str, annotator: str, reason: str) -> None:
        """Mark the current version as withdrawn: it stays on disk and trains no more.

        Versions before it were replaced by it and do not come back. The case needs another look.

        Raises:
            CacheError: the case has no current version.
        """
        with self._change(f"withdraw the case {case_id!r}"):
            current = self.case(case_id).sequence
            if current is None:
                raise CacheError(f"The case {case_id!r} has no confirmed version that could be withdrawn.")
            number = self.version(current).ref.case_version
            self._mark(case_id, "withdraw", CaseState.NEEDS_REVIEW, annotator, reason, number)

    def reopen(self, case_id: str, annotator: str, reason: str = "") -> None:
        """Put a case back to work; a confirmed version stays current until it is corrected or withdrawn."""
        self._mark(case_id, "reopen", CaseState.IN_PROGRESS, annotator, reason)

    def skip(self, case_id: str, annotator: str, reason: str) -> None:
        """Leave a case out.

        Raises:
            CacheError: the case is confirmed; it would have to be withdrawn first.
        """
        if self.case(case_id).sequence is not None:
            raise CacheError(
                f"The case {case_id!r} is confirmed. Withdraw it first if it should be left out."
            )
        self._mark(case_id, "skip", CaseState.SKIPPED, annotator, reason)

    def set_state(self, case_id: str, state: CaseState, annotator: str = "", reason: str = "") -> None:
        """Put a case in a state, for instance `CaseState.NEEDS_REVIEW` to flag it.

        Raises:
            CacheError: `CaseState.CONFIRMED` for a case without a current version.
        """
        if state is CaseState.SKIPPED:
            self.skip(case_id, annotator, reason)
            return
        if state is CaseState.CONFIRMED and self.case(case_id).sequence is None:
            raise CacheError(f"The case {case_id!r} has no confirmed version.")
        self._mark(case_id, "state", state, annotator, reason)

    def _mark(
        self,
        case_id: str,
        action: str,
        state: CaseState,
        annotator: str,
        reason: str,
        case_version: int | None = None,
    ) -> None:
        with self._change(f"mark the case {case_id!r}") as writer:
            self._case_row(case_id)
            writer.mark(Mark(0, case_id, action, state, case_version, annotator, reason))

    # -- drafts --------------------------------------------------------------------------------------------

    def save_draft(self, draft: CaseDraft) -> None:
        """Keep unconfirmed work; replaces the case's draft. Never trains, and is no confirmation.

        Raises:
            GeometryError: the mask is not on the image's grid.
            InputError: the mask is not binary.
        """
        shape = self.geometry(self.image_hash(draft.case_id)).shape_kji
        with self._change(f"save the draft of {draft.case_id!r}"):
            drafts.save(self._layout, draft, shape)

    def load_draft(self, case_id: str) -> CaseDraft | None:
        """The unconfirmed work on a case; None if there is none.

        A damaged draft is moved to quarantine and reported once, as `CorruptRecord`.
        """
        try:
            return super().load_draft(case_id)
        except CorruptRecord as error:
            if self.writable:
                with self._change(f"move the damaged draft of {case_id!r}"):
                    self._layout.quarantine(drafts.draft_path(case_id), str(error))
            raise

    def discard_draft(self, case_id: str) -> None:
        """Drop the unconfirmed work on a case; nothing happens if there is none."""
        self._case_row(case_id)
        with self._change(f"drop the draft of {case_id!r}"):
            self._layout.disk.remove(self._layout.path(drafts.draft_path(case_id)))

    def _forget_draft(self, case_id: str) -> None:
        """After a confirmation: a draft that cannot be removed must not make the confirmation fail."""
        try:
            self._layout.disk.remove(self._layout.path(drafts.draft_path(case_id)))
        except OSError as error:
            logger.warning("The draft of %s could not be removed: %s", case_id, error)

    # -- care ----------------------------------------------------------------------------------------------

    def verify(self) -> VerifyReport:
        """Read every file and compare it with its hashes.

        A store that was opened for writing moves what is damaged or does not belong to ``quarantine/`` and
        makes the index agree with the files; the rest goes on working. One for reading only reports.
        """
        if not self.writable:
            return check_campaign(self._layout, self._index, repair=False)
        with self._change("verify the campaign"):
            report = check_campaign(self._layout, self._index, repair=True)
            if not self._index.is_sound():
                self._index.close()
                self._opened.index, _ = renew_index(self._layout)
            write_manifest(self._layout, self._index, self.manifest)
        return report


def rebuild_index(folder: Path, disk: Disk | None = None) -> RebuildReport:
    """Make a campaign's index again from its files; no other process may be writing.

    Raises:
        CampaignLocked: another process writes.
    """
    with CampaignStore.open(folder, writer=True, disk=disk) as store:
        with store._change("make the index again"):
            store._index.close()
            store._opened.index, report = renew_index(store._layout)
            write_manifest(store._layout, store._index, store.manifest)
    return report
