"""Reading a campaign: lists, records, images, masks and patches of them."""

from __future__ import annotations

import copy
import itertools
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from clopa_annotator.cache import drafts
from clopa_annotator.cache.drafts import CaseDraft
from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.chunked import Voxels, as_mask, decode_chunked, mask_hash, read_chunks
from clopa_annotator.cache.format.images import check_image, image_record, read_patch
from clopa_annotator.cache.format.layout import slot_path
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.cache.format.mark import Mark
from clopa_annotator.cache.format.record import CaseRecord
from clopa_annotator.cache.index import Index
from clopa_annotator.cache.opening import Opened
from clopa_annotator.cache.summaries import (
    SLOTS,
    CaseSummary,
    SlotSummary,
    VersionSummary,
    case_from_row,
    case_slots,
    version_from_row,
)
from clopa_annotator.errors import CorruptRecord, UnknownCase
from clopa_annotator.geometry import BoundsKji, Geometry
from clopa_annotator.types import CaseRef, Image, Mask, Slot, Target, Targets

if TYPE_CHECKING:
    from typing_extensions import Self

_VERSIONS = "SELECT v.*, s.current FROM versions v JOIN slots s USING (case_id, target, instance)"
_CURRENT = "SELECT v.*, s.current FROM slots s JOIN versions v ON v.sequence = s.current"
_OF_SLOT = "v.case_id = ? AND v.target = ? AND v.instance = ?"
_HAS_IMAGE = "v.image_hash IN (SELECT image_hash FROM images)"


class CampaignReader:
    """What can be asked of an open campaign folder; safe to use from several threads.

    Every method raises `UnknownCase` for a case or version that the campaign does not have, `ConfigError` for
    a target that it does not have, and `CorruptRecord` for files that are not what was written.

    What is asked without naming a target is asked of the campaign's first; in the view that `of_target`
    gives, of that view's, and the lists of cases then show it alone.
    """

    _key: str | None = None

    def __init__(self, folder: Path, opened: Opened) -> None:
        """Use `CampaignStore.open`."""
        self.folder = folder
        self._opened = opened
        self._layout = opened.layout

    def close(self) -> None:
        """Close the index and give the writer's lock back; a second call does nothing."""
        self._index.close()
        if self._opened.lock is not None:
            self._opened.lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def manifest(self) -> CampaignManifest:
        """What the campaign is."""
        return self._opened.manifest

    @property
    def targets(self) -> Targets:
        """What the campaign segments, in order."""
        return self.manifest.targets

    @property
    def target(self) -> Target:
        """What is meant where no target is named."""
        return self.targets.by_key(self._key or "")

    def of_target(self, key: str) -> Self:
        """The same open campaign, with this target meant where none is named, and as if it had no other.

        It shares everything: closing one closes the other.
        """
        self.targets.by_key(key)
        view = copy.copy(self)
        view._key = key
        return view

    def _meant(self, slot: Slot | None) -> Slot:
        """A slot that the campaign can have; raises `ConfigError`."""
        if slot is None:
            return Slot(self._key or "")
        self.targets.of(slot)
        return slot

    @property
    def writable(self) -> bool:
        """Whether this store was opened for writing."""
        return self._opened.lock is not None

    @property
    def _index(self) -> Index:
        return self._opened.index

    # -- reading -------------------------------------------------------------------------------------------

    def cases(self) -> tuple[CaseSummary, ...]:
        """Every case, in the order in which they were added."""
        drafts_of = self._opened.drafts.of_cases()
        rows = self._index.rows("SELECT * FROM cases ORDER BY number, case_id")
        slots = self._index.rows(f"{SLOTS} ORDER BY slots.case_id")
        of_case = {case: list(found) for case, found in itertools.groupby(slots, lambda row: row["case_id"])}
        shown = self._shown()
        return tuple(
            case_from_row(
                row, case_slots(shown, of_case.get(row["case_id"], ()), drafts_of.get(row["folder"], {}))
            )
            for row in rows
        )

    def case(self, case_id: str) -> CaseSummary:
        """One case."""
        row = self._case_row(case_id)
        slots = self._index.rows(f"{SLOTS} WHERE slots.case_id = ?", case_id)
        return case_from_row(row, case_slots(self._shown(), slots, self._opened.drafts.of_case(case_id)))

    def slot(self, case_id: str, slot: Slot | None = None) -> SlotSummary:
        """One target of a case, or one of several of a kind."""
        return self.case(case_id).slot(self._meant(slot))

    def slots(self, case_id: str) -> tuple[SlotSummary, ...]:
        """A case's targets in the campaign's order, several of a kind in theirs."""
        return self.case(case_id).slots

    def _shown(self) -> tuple[Target, ...]:
        return tuple(self.targets) if self._key is None else (self.target,)

    def _case_row(self, case_id: str) -> sqlite3.Row:
        rows = self._index.rows("SELECT * FROM cases WHERE case_id = ?", case_id)
        if not rows:
            raise UnknownCase(f"The campaign has no case {case_id!r}.")
        return rows[0]

    def confirmed(self, target: str | None = None) -> tuple[CaseRef, ...]:
        """The current version of every confirmed slot of a target, by sequence; what may train.

        A corrected case appears once, with its newest version and that version's sequence number; several of
        a kind each for itself. Withdrawn versions, and cases whose image is damaged or missing, do not
        appear. A case that needs another look because two people confirmed it appears with its newest
        version.
        """
        return tuple(v.ref for v in self.confirmed_versions(target))

    def confirmed_versions(self, target: str | None = None) -> tuple[VersionSummary, ...]:
        """Like `confirmed`, with what each confirmation cost."""
        key = self._meant(None if target is None else Slot(target)).target
        query = f"{_CURRENT} WHERE s.target = ? AND {_HAS_IMAGE} ORDER BY v.sequence"
        return tuple(version_from_row(row) for row in self._index.rows(query, key))

    def versions(self, case_id: str, slot: Slot | None = None) -> tuple[VersionSummary, ...]:
        """Every confirmed version of a slot of a case, withdrawn ones included, oldest first."""
        self._case_row(case_id)
        meant = self._meant(slot)
        query = f"{_VERSIONS} WHERE {_OF_SLOT} ORDER BY v.case_version"
        rows = self._index.rows(query, case_id, meant.target, meant.instance)
        return tuple(version_from_row(row) for row in rows)

    def current(self, case_id: str) -> tuple[VersionSummary, ...]:
        """The current version of every slot of a case, whatever the target, by sequence."""
        rows = self._index.rows(f"{_CURRENT} WHERE s.case_id = ? ORDER BY v.sequence", case_id)
        return tuple(version_from_row(row) for row in rows)

    def newest(self, case_id: str, slot: Slot | None = None) -> VersionSummary | None:
        """The current version of a slot; None if there is none."""
        sequence = self.slot(case_id, slot).sequence
        return None if sequence is None else self.version(sequence)

    def second_readings(self, case_id: str, slot: Slot | None = None) -> tuple[VersionSummary, ...]:
        """What a second person has confirmed of a slot without having seen the first's, oldest first."""
        return tuple(v for v in self.versions(case_id, slot) if v.reading > 1 and not v.withdrawn)

    def version(self, sequence: int) -> VersionSummary:
        """The version with a sequence number, current or not, whatever the target."""
        rows = self._index.rows(f"{_VERSIONS} WHERE v.sequence = ?", sequence)
        if not rows:
            raise UnknownCase(f"The campaign has no confirmation number {sequence}.")
        return version_from_row(rows[0])

    def confirmation(self, confirmation_id: str) -> VersionSummary | None:
        """The version that a confirmation made, withdrawn or not; None if it was not stored."""
        rows = self._index.rows(f"{_VERSIONS} WHERE v.confirmation_id = ?", confirmation_id)
        return version_from_row(rows[0]) if rows else None

    def arrivals(self, target: str | None = None) -> dict[str, int]:
        """The sequence number of each case's first version of a target; it never changes."""
        key = self._meant(None if target is None else Slot(target)).target
        query = "SELECT case_id, min(sequence) FROM versions WHERE target = ? GROUP BY case_id ORDER BY 2"
        return {str(row[0]): int(row[1]) for row in self._index.rows(query, key)}

    def marks(self, case_id: str, slot: Slot | None = None) -> tuple[Mark, ...]:
        """What was decided about a slot of a case besides its masks, oldest first."""
        self._case_row(case_id)
        base = slot_path(case_id, self._meant(slot))
        found = [n for n in self._layout.entries(base) if names.MARK_FILE.fullmatch(n)]
        marks = [self._layout.mark(f"{base}/{name}") for name in found]
        return tuple(sorted(marks, key=lambda m: m.sequence))

    def image_hash(self, case_id: str) -> str:
        """The image of a case."""
        return str(self._case_row(case_id)["image_hash"])

    def geometry(self, image_hash: str) -> Geometry:
        """The grid of an image, without reading its voxels."""
        return image_record(self._layout, image_hash)[1]

    def read_image(self, image_hash: str) -> Image:
        """A whole image in the dtype in which it was added, compared with its hash."""
        return check_image(self._layout, image_hash)

    def read_patch(self, image_hash: str, bounds_kji: BoundsKji) -> Voxels:
        """The voxels of an image in a box inside it; reads only the chunks that the box touches.

        Raises:
            GeometryError: the box is not inside the image.
        """
        return read_patch(self._layout, image_hash, bounds_kji)

    def read_mask(self, ref: CaseRef) -> Mask:
        """A confirmed mask, compared with its hash."""
        relative = f"{ref.folder}/{names.MASK_CHUNKS}"
        shape = self.geometry(ref.image_hash).shape_kji
        mask = as_mask(decode_chunked(self._layout.read(relative), relative, shape))
        if mask_hash(mask) != ref.mask_hash:
            raise CorruptRecord(f"{relative} is damaged: its voxels do not fit their hash.")
        return mask

    def read_mask_patch(self, ref: CaseRef, bounds_kji: BoundsKji) -> Mask:
        """The part of a confirmed mask in a box inside it; reads only the chunks that the box touches.

        Raises:
            GeometryError: the box is not inside the image.
        """
        path = self._layout.path(f"{ref.folder}/{names.MASK_CHUNKS}")
        if not path.is_file():
            raise CorruptRecord(f"The mask in {ref.folder} is missing from the campaign.")
        return as_mask(read_chunks(path, bounds_kji, self.geometry(ref.image_hash)))

    def mask_path(self, ref: CaseRef) -> Path:
        """The ``.seg.nrrd`` file of a confirmed version."""
        return self._layout.path(f"{ref.folder}/{names.MASK}")

    def record(self, ref: CaseRef) -> CaseRecord:
        """The record of a confirmed version, compared with its hash."""
        record, record_hash = self._layout.case_record(ref.folder)
        if record_hash != ref.record_hash:
            raise CorruptRecord(f"{ref.folder}/{names.RECORD} is not the record that was confirmed.")
        return record

    def load_draft(self, case_id: str, slot: Slot | None = None, reading: int = 1) -> CaseDraft | None:
        """The unconfirmed work on a slot of a case, or that of its second reader; None if there is none."""
        shape = self.geometry(self.image_hash(case_id)).shape_kji
        relative = drafts.draft_path(case_id, self._meant(slot), reading)
        return drafts.load(self._layout, relative, shape) if self._layout.exists(relative) else None
