"""The annotation cache: confirmed masks, durable, with everything that is known about how they came about.

A campaign is a folder that any program can read (docs/formats/campaign.md). One process writes to it; any
number read. `CampaignStore.confirm` returns only when the mask and its record are flushed, renamed into
place, read back and compared, and entered into the index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clopa_annotator.cache.changing import CaseChanges
from clopa_annotator.cache.confirming import Prepared, check_confirmation, checked_mask
from clopa_annotator.cache.drafts import CaseDraft
from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.disk import Disk
from clopa_annotator.cache.format.images import image_record, prepare, require_same
from clopa_annotator.cache.format.layout import utc_now
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.cache.format.mark import Mark
from clopa_annotator.cache.format.record import CaseEntry, CaseRecord
from clopa_annotator.cache.opening import create_campaign, open_campaign, renew_index, write_manifest
from clopa_annotator.cache.reader import CampaignReader
from clopa_annotator.cache.rebuild import RebuildReport
from clopa_annotator.cache.repair import check_campaign
from clopa_annotator.cache.reviewing import replaced_verdict
from clopa_annotator.cache.summaries import CaseSummary, SlotSummary, VersionSummary
from clopa_annotator.cache.target_rules import check_change, refuse_overlap
from clopa_annotator.cache.verify import Finding, VerifyReport
from clopa_annotator.errors import UnknownCase
from clopa_annotator.types import CaseRef, Confirmation, Image, Targets

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
    "SlotSummary",
    "VerifyReport",
    "VersionSummary",
    "rebuild_index",
]


class CampaignStore(CaseChanges):
    """An open campaign folder, for reading or for writing; safe to use from several threads.

    Use as a context manager, or call `close`. Besides what `CampaignReader` raises, every method that changes
    something raises `ReadOnlyCampaign` (opened for reading, or the folder cannot be written), `StorageFull`,
    or another `CacheError`; then nothing was changed, and the store goes on working.
    """

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

    def update_manifest(self, manifest: CampaignManifest) -> None:
        """Replace the campaign's settings; its targets and the instant of its creation stay."""
        with self._change("change the campaign's settings"):
            self._write_manifest(replace(manifest, created=self.manifest.created).with_targets(self.targets))

    def set_targets(self, targets: Targets) -> None:
        """Name, colour, order and add targets, or remove one of which nothing is kept.

        A target is the one with its key, whatever its name; records keep the name that it had. One that is
        added leaves every case open again. Masks that overlap already stay as they are.

        Raises:
            ConfigError: the first target is to be removed.
            InputError: one with confirmed versions, decisions or drafts is to be removed; or several of a
                kind are to be one while there are several.
        """
        with self._change("change the campaign's targets"):
            check_change(self._index, self._opened.drafts, self.targets, targets)
            self._write_manifest(self.manifest.with_targets(targets))

    def set_settings(self, settings: Mapping[str, Any]) -> None:
        """Keep other settings, plain JSON values that the cache does not read.

        Raises:
            CacheError: they could not be written; those before stay.
        """
        with self._change("change the campaign's settings"):
            self._write_manifest(replace(self.manifest, settings=dict(settings)))

    def _write_manifest(self, manifest: CampaignManifest) -> None:
        version = max(manifest.format_version, self.manifest.format_version)
        manifest = replace(manifest, format_version=version)
        write_manifest(self._layout, self._index, manifest)
        self._opened.manifest = manifest

    # -- cases ---------------------------------------------------------------------------------------------

    def add_case(self, case_id: str, image: Image, source: str = "") -> str:
        """Add a case and its image; adding the same again changes nothing and heals a damaged image.

        The same: equal voxels, on a grid that may differ by the rounding of another program's reader.

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
                require_same(self._layout, known, image, case_id)
            else:
                writer.add_image(voxels, image.geometry, digest)
        return known

    # -- decisions -----------------------------------------------------------------------------------------

    def confirm(
        self, confirmation: Confirmation, based_on_version: int | None = None, reading: int = 1
    ) -> CaseRef:
        """Make a confirmation durable; when this returns, it is.

        The same confirmation id with the same content gives the same answer again and changes nothing. The
        slot's draft is dropped.

        Args:
            confirmation: what the annotator decided; its case must be in the campaign.
            based_on_version: version that the annotator started from, 0 for none; None if not known. If
                somebody else has confirmed a later one meanwhile, both are kept and the case is marked as
                needing another look.
            reading: 2 for that of a second person who has not seen the first's: it is kept beside it, and
                trains only if a reviewer accepts it instead.

        Returns:
            The new version; ``record_hash`` is the client's receipt.

        Raises:
            InputError: an empty id, a mask that is not binary, a number out of its range; or voxels of a
                confirmed mask of another target that excludes this one.
            ConfigError: the campaign has no such target.
            GeometryError: the mask is not on the image's grid.
            ConfirmationConflict: the confirmation id was used for something else.
            AcceptedCase: a reviewer has accepted the version before, and the confirmation does not say that
                it is to be replaced.
            UnknownCase: the case was not added.
        """
        check_confirmation(confirmation)
        case_id, slot = confirmation.case_id, self._meant(confirmation.slot)
        digest = self.image_hash(case_id)
        values, geometry = image_record(self._layout, digest)
        mask = checked_mask(confirmation.mask, geometry.shape_kji)
        prepared = Prepared(confirmation, mask, geometry)
        with self._change(f"confirm the case {case_id!r}") as writer:
            ref = writer.earlier(prepared)
            if ref is None:
                record = prepared.record(self.manifest, digest, values["dtype"])
                if reading == 1:
                    refuse_overlap(self, case_id, slot, mask)
                    record = replace(record, replaces_accepted=replaced_verdict(self, confirmation))
                record = replace(record, reading=reading)
                ref = writer.confirm(prepared, record, self.targets, based_on_version)
                self._forget_draft(case_id, slot, reading)
        return ref

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
