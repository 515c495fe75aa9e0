"""What the one writer of a campaign does: announce, publish, enter into the index; or leave no trace.

Every change takes the same three steps. The index announces the path and uses up the sequence number; the
files appear at once and are checked; the index gets its row and forgets the announcement. A writer that dies
in between leaves an announcement, and the next one looks whether the files had appeared.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from clopa_annotator.cache.confirming import Prepared, version_files
from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.chunked import Voxels
from clopa_annotator.cache.format.disk import take_back
from clopa_annotator.cache.format.images import store_image
from clopa_annotator.cache.format.layout import Layout, mark_path, sha256, utc_now, version_path
from clopa_annotator.cache.format.mark import Mark
from clopa_annotator.cache.format.record import CaseEntry, CaseRecord
from clopa_annotator.cache.index import Index
from clopa_annotator.cache.summaries import ref_from_row
from clopa_annotator.cache.verify import check_version
from clopa_annotator.errors import CacheError, ConfirmationConflict, CorruptRecord
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CaseRef, Targets

logger = logging.getLogger(__name__)


class Writer:
    """The steps of adding to a campaign; the caller holds the writer's lock and explains `OSError`."""

    def __init__(self, layout: Layout, index: Index) -> None:
        self._layout = layout
        self._index = index

    def recover(self) -> None:
        """Settle what an earlier writer announced and did not finish."""
        for row in self._index.rows("SELECT path FROM pending ORDER BY sequence"):
            relative = str(row["path"])
            enter: Callable[[], None] | None = None
            if self._layout.exists(relative):
                try:
                    enter = self._entering(relative)
                except CorruptRecord as error:
                    self._layout.quarantine(relative, str(error))
            with self._index.transaction():
                if enter is not None:
                    logger.info("Entering %s, which an earlier writer had finished", relative)
                    enter()
                self._index.settle(relative)

    def _entering(self, relative: str) -> Callable[[], None]:
        """How to enter what lies at an announced path into the index; raises `CorruptRecord`."""
        name = relative.rpartition("/")[2]
        if names.VERSION_FOLDER.fullmatch(name):
            record, record_hash = check_version(self._layout, relative)
            return lambda: self._index.add_version(record, record_hash, relative)
        if names.MARK_FILE.fullmatch(name):
            mark = self._layout.mark(relative)
            return lambda: self._index.add_mark(mark)
        entry = self._layout.case_entry(name)
        return lambda: self._index.add_case(entry)

    def _undo_unless_entered(
        self, relative: str, publish: Callable[[], None], enter: Callable[[], None]
    ) -> None:
        """Publish and enter; after a failure take the files back, so that nothing half-done stays."""
        publish()
        try:
            with self._index.transaction():
                enter()
                self._index.settle(relative)
        except (OSError, CacheError):
            if self._index.rows("SELECT 1 FROM pending WHERE path = ?", relative):
                take_back(self._layout.disk, self._layout.staged(), self._layout.path(relative))
            raise

    def add_case(self, entry: CaseEntry, voxels: Voxels, geometry: Geometry) -> None:
        """Store the image, then the case."""
        self.add_image(voxels, geometry, entry.image_hash)
        relative = f"{names.CASES}/{names.case_folder(entry.case_id)}"
        with self._index.transaction():
            self._index.announce(relative)
        self._undo_unless_entered(
            relative,
            lambda: self._layout.publish(relative, {names.CASE_RECORD: entry.to_document()}),
            lambda: self._index.add_case(entry),
        )

    def add_image(self, voxels: Voxels, geometry: Geometry, digest: str) -> None:
        """Store an image, or put back one that was found damaged."""
        store_image(self._layout, voxels, geometry, digest)
        with self._index.transaction():
            self._index.add_image(digest)

    def earlier(self, prepared: Prepared) -> CaseRef | None:
        """The version that an earlier delivery of the same confirmation made.

        Raises:
            ConfirmationConflict: the id was used for something else.
        """
        sent = prepared.confirmation
        found = self._index.rows("SELECT * FROM versions WHERE confirmation_id = ?", sent.confirmation_id)
        if not found:
            return None
        if found[0]["confirmation_hash"] != prepared.confirmation_hash:
            raise ConfirmationConflict(
                f"The confirmation {sent.confirmation_id} was stored before with other contents, as version "
                f"{found[0]['case_version']} of {found[0]['case_id']}. Confirm again under a new id."
            )
        return ref_from_row(found[0])

    def confirm(
        self, prepared: Prepared, record: CaseRecord, targets: Targets, based_on_version: int | None
    ) -> CaseRef:
        """Make a confirmation durable; returns only when it is."""
        record = replace(
            record,
            based_on_version=based_on_version,
            case_version=self._index.last_version(record.case_id, record.slot) + 1,
            sequence=self._index.last_sequence() + 1,
            conflict=self._conflicts(record, based_on_version),
        )
        record, files = version_files(prepared, record, targets)
        relative = version_path(record.case_id, record.case_version, record.sequence, record.slot)
        with self._index.transaction():
            self._index.announce(relative, record.sequence)

        def publish() -> None:
            self._layout.make_slot_folders(record.case_id, record.slot)
            self._layout.publish(relative, files)

        def enter() -> None:
            self._index.add_version(record, sha256(files[names.RECORD]), relative)

        self._undo_unless_entered(relative, publish, enter)
        row = self._index.rows("SELECT * FROM versions WHERE sequence = ?", record.sequence)[0]
        return ref_from_row(row)

    def _conflicts(self, record: CaseRecord, based_on_version: int | None) -> bool:
        if based_on_version is None or record.reading > 1:
            return False
        others = self._index.rows(
            "SELECT 1 FROM versions WHERE case_id = ? AND target = ? AND instance = ?"
            " AND case_version > ? AND annotator <> ? AND withdrawn = 0 AND reading = 1",
            *(record.case_id, record.slot.target, record.slot.instance),
            *(based_on_version, record.annotator),
        )
        return bool(others)

    def mark(self, mark: Mark) -> None:
        """Make a decision about a case durable."""
        mark = replace(mark, sequence=self._index.last_sequence() + 1, at=utc_now())
        relative = mark_path(mark.case_id, mark.sequence, mark.slot)
        with self._index.transaction():
            self._index.announce(relative, mark.sequence)

        def publish() -> None:
            self._layout.make_slot_folders(mark.case_id, mark.slot)
            self._layout.publish_document(relative, mark.to_document())

        self._undo_unless_entered(relative, publish, lambda: self._index.add_mark(mark))
