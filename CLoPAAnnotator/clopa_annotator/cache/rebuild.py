"""The index, made again from the files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.layout import Layout
from clopa_annotator.cache.format.mark import Mark
from clopa_annotator.cache.format.record import CaseRecord
from clopa_annotator.cache.index import Index
from clopa_annotator.errors import ConfigError, CorruptRecord
from clopa_annotator.types import Slot

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RebuildReport:
    """What the index was rebuilt from.

    Attributes:
        cases: number of cases.
        versions: number of confirmed versions.
        marks: number of marks.
        images: number of images.
        skipped: what could not be read, each with its reason; `verify` moves it out of the way.
    """

    cases: int
    versions: int
    marks: int
    images: int
    skipped: tuple[str, ...] = ()


@dataclass
class _Found:
    """Everything readable in the campaign, to be put in order."""

    versions: list[tuple[CaseRecord, str, str]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def fill_index(layout: Layout, index: Index) -> RebuildReport:
    """Read every record and put it into the index, in place of what was there, by sequence number.

    One transaction: whoever reads the index sees the old rows or the new ones. Records are checked by their
    checksums; masks and images are not read (`verify` does). Sequence numbers that were used up stay so.
    """
    found = _Found()
    with index.transaction():
        index.clear()
        images = [n for n in layout.entries(names.IMAGES) if names.IMAGE_FOLDER.fullmatch(n)]
        for digest in images:
            index.add_image(digest)
        cases = sum(_read_case(layout, index, folder, found) for folder in layout.entries(names.CASES))
        versions, marks = _replay(index, found)
        index.set_meta("last_sequence", max(last_sequence(layout), index.last_sequence()))
        for folder, slot, number in quarantined_versions(layout):
            index.raise_version(folder, slot, number)
        index.set_meta("complete", 1)
    for problem in found.skipped:
        logger.warning("Not in the index: %s", problem)
    return RebuildReport(cases, versions, marks, len(images), tuple(found.skipped))


def _read_case(layout: Layout, index: Index, folder: str, found: _Found) -> bool:
    base = f"{names.CASES}/{folder}"
    try:
        index.add_case(layout.case_entry(folder))
    except (CorruptRecord, ConfigError) as error:
        found.skipped.append(f"{base}: {error}")
        return False
    for _, inside in layout.slot_folders(base):
        for name in layout.entries(inside):
            _read_item(layout, f"{inside}/{name}", name, found)
    return True


def _read_item(layout: Layout, relative: str, name: str, found: _Found) -> None:
    try:
        if names.VERSION_FOLDER.fullmatch(name):
            found.versions.append((*layout.case_record(relative), relative))
        elif names.MARK_FILE.fullmatch(name):
            found.marks.append(layout.mark(relative))
    except (CorruptRecord, ConfigError) as error:
        found.skipped.append(f"{relative}: {error}")


def _replay(index: Index, found: _Found) -> tuple[int, int]:
    """Apply versions and marks in order; a number or id that comes twice is left out the second time."""
    sequences: set[int] = set()
    ids: set[str] = set()
    numbers: set[tuple[str, Slot, int]] = set()
    versions = marks = 0
    steps: list[tuple[int, tuple[CaseRecord, str, str] | Mark]] = [(v[0].sequence, v) for v in found.versions]
    steps += [(m.sequence, m) for m in found.marks]
    for sequence, step in sorted(steps, key=lambda s: s[0]):
        if sequence in sequences:
            found.skipped.append(f"sequence number {sequence} is used a second time")
            continue
        sequences.add(sequence)
        if isinstance(step, Mark):
            index.add_mark(step)
            marks += 1
            continue
        record, record_hash, folder = step
        number = (record.case_id, record.slot, record.case_version)
        if record.confirmation_id in ids or number in numbers:
            found.skipped.append(f"{folder}: this confirmation is there a second time")
            continue
        ids.add(record.confirmation_id)
        numbers.add(number)
        index.add_version(record, record_hash, folder)
        versions += 1
    return versions, marks


def _names_with_numbers(layout: Layout) -> Iterator[str]:
    """The name of everything that carries a sequence number, in quarantine as well."""
    for folder in layout.entries(names.CASES):
        for _, inside in layout.slot_folders(f"{names.CASES}/{folder}"):
            yield from layout.entries(inside)
    yield from (name for _, _, name in _quarantined(layout))


def _quarantined(layout: Layout) -> Iterator[tuple[str, Slot, str]]:
    """(case folder, slot, name) of everything that lies in quarantine as it lay in a case's folder."""
    for place in layout.entries(names.QUARANTINE):
        cases = f"{names.QUARANTINE}/{place}/{names.CASES}"
        for folder in layout.entries(cases):
            for slot, inside in layout.slot_folders(f"{cases}/{folder}"):
                for name in layout.entries(inside):
                    yield folder, slot, name


def last_sequence(layout: Layout) -> int:
    """The highest sequence number that any file's name carries, so that none is used twice."""
    highest = 0
    for name in _names_with_numbers(layout):
        version, mark = names.VERSION_FOLDER.fullmatch(name), names.MARK_FILE.fullmatch(name)
        if version or mark:
            highest = max(highest, int(version.group(2) if version else mark.group(1) if mark else 0))
    return highest


def quarantined_versions(layout: Layout) -> list[tuple[str, Slot, int]]:
    """(case folder, slot, version) of every version in quarantine: its number is not given again."""
    found = (
        (folder, slot, names.VERSION_FOLDER.fullmatch(name)) for folder, slot, name in _quarantined(layout)
    )
    return [(folder, slot, int(match.group(1))) for folder, slot, match in found if match]
