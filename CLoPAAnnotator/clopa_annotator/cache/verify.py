"""Looking for damage: every file is read and compared with its hashes; damage moves to quarantine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from clopa_annotator.cache.drafts import load as load_draft
from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.chunked import as_mask, decode_chunked, mask_hash
from clopa_annotator.cache.format.images import check_image, image_path, image_record
from clopa_annotator.cache.format.layout import Layout, sha256
from clopa_annotator.cache.format.record import CaseEntry, CaseRecord
from clopa_annotator.cache.format.segnrrd import decode_seg_nrrd
from clopa_annotator.errors import ClopaError, CorruptRecord
from clopa_annotator.types import Targets

logger = logging.getLogger(__name__)

IGNORED = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What operating systems leave in any folder that somebody looks at."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it was written.

    Attributes:
        path: file or folder, relative to the campaign.
        problem: what is wrong, in words.
        moved_to: where it lies now; empty if nothing was moved.
    """

    path: str
    problem: str
    moved_to: str = ""


@dataclass(frozen=True)
class VerifyReport:
    """What a check of the whole campaign found.

    Attributes:
        images: number of intact images.
        cases: number of cases.
        versions: number of intact confirmed versions.
        findings: everything that is damaged, missing or does not belong.
    """

    images: int
    cases: int
    versions: int
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def check_version(layout: Layout, version: str) -> tuple[CaseRecord, str]:
    """Read a version's folder and compare everything with its hashes; returns the record and its hash.

    Raises:
        CorruptRecord: damaged or incomplete.
    """
    record, record_hash = layout.case_record(version)
    if set(record.files) != {names.MASK, names.MASK_CHUNKS}:
        raise CorruptRecord(f"{version}/{names.RECORD} does not name the mask's files.")
    shape = record.geometry.shape_kji
    for name, digest in record.files.items():
        relative = f"{version}/{name}"
        data = layout.read(relative)
        if sha256(data) != digest:
            raise CorruptRecord(f"{relative} is damaged: its bytes do not fit their hash.")
        decode = decode_seg_nrrd if name == names.MASK else decode_chunked
        if mask_hash(as_mask(decode(data, relative, shape))) != record.mask_hash:
            raise CorruptRecord(f"{relative} is damaged: its voxels do not fit their hash.")
    return record, record_hash


class Inspection:
    """One walk through a campaign's files.

    Args:
        layout: the campaign.
        repair: move what is damaged to quarantine; otherwise only name it.
    """

    def __init__(self, layout: Layout, repair: bool) -> None:
        self._layout = layout
        self._repair = repair
        self.findings: list[Finding] = []
        self.images = self.cases = self.versions = 0
        self._shapes: dict[str, tuple[int, int, int]] = {}
        self._case_images: dict[str, str] = {}
        self.targets: Targets | None = None

    def report(self) -> VerifyReport:
        """What was found so far."""
        return VerifyReport(self.images, self.cases, self.versions, tuple(self.findings))

    def run(self) -> None:
        """Images, then cases, then drafts."""
        for name in self._entries(names.IMAGES):
            self._image(name)
        for name in self._entries(names.CASES):
            self._case(name)
        for folder in (names.DRAFTS, names.READINGS):
            for name in self._entries(folder):
                self._draft(folder, name)

    def add(self, path: str, problem: str, move: bool = True) -> None:
        """Note a finding, and move what it is about out of the way."""
        moved = ""
        if move and self._repair and self._layout.exists(path):
            moved = self._layout.quarantine(path, problem)
        self.findings.append(Finding(path, problem, moved))

    def _entries(self, relative: str) -> list[str]:
        return [n for n in self._layout.entries(relative) if n not in IGNORED]

    def _checked(self, relative: str, check: Callable[[], object]) -> bool:
        try:
            check()
        except CorruptRecord as error:
            self.add(relative, str(error))
            return False
        except ClopaError as error:
            # A newer version's record, or a disk that does not answer, is no damage to be cleared away.
            self.add(relative, str(error), move=False)
            return False
        except (KeyError, TypeError, ValueError) as error:
            self.add(relative, f"{relative} cannot be read: {error!r}.")
            return False
        return True

    def _extras(self, relative: str, expected: set[str]) -> None:
        for name in self._entries(relative):
            if name not in expected:
                self.add(f"{relative}/{name}", f"{relative}/{name} does not belong to the campaign.")

    def _image(self, name: str) -> None:
        relative = image_path(name)
        if not names.IMAGE_FOLDER.fullmatch(name):
            self.add(relative, f"{relative} does not belong to the campaign.")
            return
        self._extras(relative, {names.IMAGE_RECORD, names.IMAGE_VOXELS})
        if self._checked(relative, lambda: check_image(self._layout, name)):
            self.images += 1
            self._shapes[name] = image_record(self._layout, name)[1].shape_kji

    def _case(self, name: str) -> None:
        relative = f"{names.CASES}/{name}"
        if not names.CASE_FOLDER.fullmatch(name) or not self._layout.path(relative).is_dir():
            self.add(relative, f"{relative} does not belong to the campaign.")
            return
        entry = self._entry(name)
        if entry is None:
            return
        self.cases += 1
        self._case_images[name] = entry.image_hash
        if entry.image_hash not in self._shapes:
            self.add(
                relative,
                f"The image of case {entry.case_id!r} is missing or damaged; add it again to use the case.",
                move=False,
            )
        for item in self._entries(relative):
            if item == names.TARGETS and self._layout.path(f"{relative}/{item}").is_dir():
                self._targets(f"{relative}/{item}")
            elif item != names.CASE_RECORD:
                self._item(relative, item)

    def _targets(self, relative: str) -> None:
        """The folder of a case's other slots."""
        for key in self._entries(relative):
            inside = f"{relative}/{key}"
            if not names.TARGET_FOLDER.fullmatch(key) or not self._layout.path(inside).is_dir():
                self.add(inside, f"{inside} does not belong to the campaign.")
                continue
            if not self._is_target(names.slot_named(key).target) and self._entries(inside):
                self.add(inside, f"The campaign has no target that {inside} could be of.", move=False)
            for item in self._entries(inside):
                if names.INSTANCE_FOLDER.fullmatch(item):
                    for one in self._entries(f"{inside}/{item}"):
                        self._item(f"{inside}/{item}", one)
                else:
                    self._item(inside, item)

    def _is_target(self, key: str) -> bool:
        return self.targets is None or any(t.key == key for t in self.targets)

    def _entry(self, name: str) -> CaseEntry | None:
        """The case's entry; a damaged one is written again from the records beside it."""
        relative = f"{names.CASES}/{name}"
        document = f"{relative}/{names.CASE_RECORD}"
        try:
            return self._layout.case_entry(name)
        except ClopaError as error:
            problem = str(error)
        entry = self._entry_from_versions(relative) if self._repair else None
        if entry is None:
            self.add(relative, problem)
            return None
        self.add(document, f"{problem} It was written again from the records beside it.")
        self._layout.publish_document(document, entry.to_document())
        return entry

    def _entry_from_versions(self, relative: str) -> CaseEntry | None:
        for _, inside in self._layout.slot_folders(relative):
            for item in self._entries(inside):
                if names.VERSION_FOLDER.fullmatch(item):
                    try:
                        record, _ = self._layout.case_record(f"{inside}/{item}")
                    except ClopaError:
                        logger.info("%s/%s cannot tell which case it belongs to", inside, item)
                        continue
                    return CaseEntry(record.case_id, record.sequence, record.image_hash)
        return None

    def _item(self, relative: str, name: str) -> None:
        path = f"{relative}/{name}"
        if names.MARK_FILE.fullmatch(name):
            self._checked(path, lambda: self._layout.mark(path))
        elif names.VERSION_FOLDER.fullmatch(name):
            self._extras(path, {names.RECORD, names.MASK, names.MASK_CHUNKS})
            self.versions += self._checked(path, lambda: check_version(self._layout, path))
        else:
            self.add(path, f"{path} does not belong to the campaign.")

    def _draft(self, folder: str, name: str) -> None:
        relative = f"{folder}/{name}"
        of = names.draft_slot(name)
        digest = None if of is None else self._case_images.get(of[0])
        if of is None or digest is None:
            self.add(relative, f"{relative} belongs to no case.")
        elif not self._is_target(of[1].target):
            self.add(relative, f"The campaign has no target that {relative} could be of.", move=False)
        elif digest in self._shapes:
            self._checked(relative, lambda: load_draft(self._layout, relative, self._shapes[digest]))
