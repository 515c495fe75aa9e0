"""The index, made again from the files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from clopa_annotator.cache.format import names
from clopa_annotator.cache.format.layout import Layout
from clopa_annotator.cache.format.record import CaseRecord, Mark
from clopa_annotator.cache.index import Index
from clopa_annotator.errors import ConfigError, CorruptRecord

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
        for folder, number in quarantined_versions(layout):
            index.raise_version(folder, number)
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
    for name in layout.entries(base):
        try:
            if names.VERSION_FOLDER.fullmatch(name):
                found.versions.append((*layout.case_record(f"{base}/{name}"), f"{base}/{name}"))
            elif names.MARK_FILE.fullmatch(name):
                found.marks.append(layout.mark(f"{base}/{name}"))
        except (CorruptRecord, ConfigError) as error:
            found.skipped.append(f"{base}/{name}: {error}")
    return True


def _replay(index: Index, found: _Found) -> tuple[int, int]:
    """Apply versions and marks in order; a number or id that comes twice is left out the second time."""
    sequences: set[int] = set()
    ids: set[str] = set()
    numbers: set[tuple[str, int]] = set()
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
        number = (record.case_id, record.case_version)
        if record.confirmation_id in ids or number in numbers:
            found.skipped.append(f"{folder}: this confirmation is there a second time")
            continue
        ids.add(record.confirmation_id)
        numbers.add(number)
        index.add_version(record, record_hash, folder)
        versions += 1
    return versions, marks


def _names_with_numbers(layout: Layout) -> Iterator[tuple[str, str]]:
    """(case folder, name) of everything that carries a sequence number, in quarantine as well."""
    for folder in layout.entries(names.CASES):
        for name in layout.entries(f"{names.CASES}/{folder}"):
            yield folder, name
    yield from _quarantined(layout)


def _quarantined(layout: Layout) -> Iterator[tuple[str, str]]:
    for place in layout.entries(names.QUARANTINE):
        cases = f"{names.QUARANTINE}/{place}/{names.CASES}"
        for folder in layout.entries(cases):
            for name in layout.entries(f"{cases}/{folder}"):
                yield folder, name


def last_sequence(layout: Layout) -> int:
    """The highest sequence number that any file's name carries, so that none is used twice."""
    highest = 0
    for _, name in _names_with_numbers(layout):
        version, mark = names.VERSION_FOLDER.fullmatch(name), names.MARK_FILE.fullmatch(name)
        if version or mark:
            highest = max(highest, int(version.group(2) if version else mark.group(1) if mark else 0))
    return highest


def quarantined_versions(layout: Layout) -> list[tuple[str, int]]:
    """(case folder, version) of every version in quarantine: its number is not given again."""
    matches = ((folder, names.VERSION_FOLDER.fullmatch(name)) for folder, name in _quarantined(layout))
    return [(folder, int(match.group(1))) for folder, match in matches if match]
