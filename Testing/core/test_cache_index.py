"""The index by itself: numbers that are used up once, transactions that happen whole, damage with a name."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import cache_helpers
import pytest

from clopa_annotator.cache.format.disk import Disk
from clopa_annotator.cache.format.mark import Mark
from clopa_annotator.cache.format.record import CaseEntry, CaseRecord
from clopa_annotator.cache.index import BrokenIndex, Index
from clopa_annotator.errors import CacheError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import CaseState, Slot

tmp_path = cache_helpers.tmp_path


def a_record(case_version: int = 1, sequence: int = 1, **changes: object) -> CaseRecord:
    record = CaseRecord(
        case_id="case one",
        case_version=case_version,
        sequence=sequence,
        confirmation_id=f"id {sequence}",
        confirmation_hash="c" * 64,
        based_on_version=None,
        conflict=False,
        image_hash="a" * 64,
        image_dtype="int16",
        geometry=Geometry((1, 1, 1)),
        mask_hash="b" * 64,
        mask_voxels=1,
        files={},
        prompts=(),
        first_shown_dice=None,
        annotator="Ada",
        seconds_active=1.0,
        weights_version=0,
        model_hash="",
        note="",
        label="target",
        confirmed_at="now",
    )
    return replace(record, **changes)


@pytest.fixture
def index(tmp_path: Path):
    made = Index(tmp_path / "index.sqlite", Disk())
    with made.transaction():
        made.add_case(CaseEntry("case one", 1, "a" * 64, "one.nii.gz", "now"))
    yield made
    made.close()


def row(index: Index, table: str) -> dict[str, object]:
    (only,) = index.rows(f"SELECT * FROM {table}")
    return dict(only)


def test_a_number_is_used_up_when_it_is_announced_and_not_when_it_is_settled(index: Index) -> None:
    with index.transaction():
        index.announce("cases/one/v0001", 7)
    assert index.last_sequence() == 7
    with index.transaction():
        index.settle("cases/one/v0001")
    assert index.last_sequence() == 7 and index.rows("SELECT * FROM pending") == []


def test_a_transaction_that_fails_leaves_nothing(index: Index) -> None:
    with pytest.raises(RuntimeError), index.transaction():
        index.announce("cases/one/v0001", 7)
        raise RuntimeError("killed")
    assert index.last_sequence() == 0 and index.rows("SELECT * FROM pending") == []


def test_a_version_becomes_its_cases_current_one(index: Index) -> None:
    with index.transaction():
        index.add_version(a_record(1, 1), "r" * 64, "v1")
        index.add_version(a_record(2, 2), "s" * 64, "v2")
    case = row(index, "slots")
    assert (case["state"], case["current"], case["versions"]) == ("CONFIRMED", 2, 2)
    assert index.last_version("case one") == 2 and index.last_version("nobody") == 0


def test_a_version_that_conflicts_asks_for_another_look(index: Index) -> None:
    with index.transaction():
        index.add_version(a_record(conflict=True), "r" * 64, "v1")
    case = row(index, "slots")
    assert case["state"] == "NEEDS_REVIEW" and "Two people" in str(case["note"])


def test_a_withdrawn_version_is_current_no_more_and_its_number_is_not_given_again(index: Index) -> None:
    with index.transaction():
        index.add_version(a_record(), "r" * 64, "v1")
        index.add_mark(Mark(2, "case one", "withdraw", CaseState.NEEDS_REVIEW, 1, "Ada", "wrong side"))
    case = row(index, "slots")
    assert (case["current"], case["note"], case["last_version"]) == (None, "wrong side", 1)
    assert row(index, "versions")["withdrawn"] == 1


def test_a_mark_without_a_version_withdraws_nothing(index: Index) -> None:
    with index.transaction():
        index.add_version(a_record(), "r" * 64, "v1")
        index.add_mark(Mark(2, "case one", "reopen", CaseState.IN_PROGRESS, None, "Ada", "border"))
    assert row(index, "versions")["withdrawn"] == 0 and row(index, "slots")["current"] == 1


@pytest.mark.parametrize("changes", [{"confirmation_id": "id 1"}, {"case_version": 1}])
def test_no_confirmation_and_no_version_is_entered_twice(index: Index, changes: dict[str, object]) -> None:
    with index.transaction():
        index.add_version(a_record(1, 1), "r" * 64, "v1")
    with pytest.raises(OSError), index.transaction():
        index.add_version(replace(a_record(2, 2), **changes), "s" * 64, "v2")
    assert row(index, "versions")["sequence"] == 1


def test_clearing_forgets_cases_but_no_numbers(index: Index) -> None:
    with index.transaction():
        index.announce("x", 5)
        index.set_meta("manifest", b"kept")
        index.clear()
    for table in ("cases", "slots", "versions"):
        assert index.rows(f"SELECT * FROM {table}") == []
    assert index.last_sequence() == 5
    assert index.meta("manifest") == b"kept"


def test_a_file_that_is_no_index_is_told_from_a_disk_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(BrokenIndex, match="clopa cache rebuild"):
        Index(path, Disk())


def test_an_index_of_another_version_is_made_again_and_not_read(tmp_path: Path) -> None:
    import sqlite3

    Index(tmp_path / "index.sqlite", Disk()).close()
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(BrokenIndex, match="99"):
        Index(tmp_path / "index.sqlite", Disk())


def test_a_disk_that_fails_at_a_commit_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    def fail(step: str, path: Path) -> None:
        if step == "index commit":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    disk = Disk()
    index = Index(tmp_path / "index.sqlite", disk)
    disk.hook = fail
    with pytest.raises(OSError), index.transaction():
        index.announce("x", 5)
    assert index.last_sequence() == 0
    index.close()


def test_a_closed_index_says_so(index: Index) -> None:
    assert index.is_sound()
    index.close()
    with pytest.raises(CacheError, match="open it again"):
        index.rows("SELECT 1")


def test_each_slot_counts_its_own_versions_and_has_its_own_state(index: Index) -> None:
    with index.transaction():
        index.add_version(a_record(1, 1), "r" * 64, "v1")
        index.add_version(a_record(1, 2, slot=Slot("liver")), "s" * 64, "v2")
        index.add_version(a_record(1, 3, slot=Slot("liver", 2), mask_voxels=0), "t" * 64, "v3")
        index.add_mark(Mark(4, "case one", "withdraw", CaseState.NEEDS_REVIEW, 1, slot=Slot("liver")))
        index.raise_version("case-one-" + "0" * 16, Slot("liver", 7), 3)
    assert index.last_version("case one", Slot("liver", 2)) == 1
    assert index.last_version("case one", Slot("liver", 3)) == 0
    found = {(r["target"], r["instance"]): r for r in index.rows("SELECT * FROM slots")}
    assert {slot: (r["state"], r["current"], r["is_absent"]) for slot, r in found.items()} == {
        ("", 1): ("CONFIRMED", 1, 0),
        ("liver", 1): ("NEEDS_REVIEW", None, 0),
        ("liver", 2): ("CONFIRMED", 3, 1),
    }
    withdrawn = [r["withdrawn"] for r in index.rows("SELECT * FROM versions ORDER BY sequence")]
    assert withdrawn == [0, 1, 0]


def test_a_number_in_quarantine_is_not_given_again_in_its_slot_alone(index: Index) -> None:
    folder = index.rows("SELECT folder FROM cases")[0]["folder"]
    with index.transaction():
        index.raise_version(folder, Slot("liver", 2), 3)
    assert index.last_version("case one", Slot("liver", 2)) == 3
    assert index.last_version("case one", Slot("liver")) == index.last_version("case one") == 0
