"""Where things lie in a campaign folder: nothing leaves its place, nothing damaged is thrown away."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cache_helpers
import pytest
from cache_helpers import a_confirmation

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.disk import Disk
from clopa_annotator.cache.format.layout import Layout, mark_path, sha256, version_path
from clopa_annotator.errors import CacheError, CorruptRecord

store, tmp_path = cache_helpers.store, cache_helpers.tmp_path


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "campaign", Disk())
    made.root.mkdir()
    made.make_folders()
    return made


def test_every_folder_is_made_and_making_them_again_is_fine(layout: Layout) -> None:
    layout.make_folders()
    assert sorted(p.name for p in layout.root.iterdir()) == [
        "cases",
        "drafts",
        "images",
        "quarantine",
        "staging",
    ]


def test_what_a_killed_writer_had_prepared_goes_and_nothing_else(layout: Layout) -> None:
    layout.publish("cases/one", {"case.json": b"{}"})
    layout.staged().mkdir()
    layout.staged().write_bytes(b"{")
    somebodys = layout.path("staging") / "half.json"
    somebodys.write_bytes(b"{")
    layout.clear_staging()
    assert [p.name for p in layout.path("staging").iterdir()] == [somebodys.name]
    assert layout.read("cases/one/case.json") == b"{}"


def test_two_things_that_are_prepared_never_share_a_place(layout: Layout) -> None:
    assert len({layout.staged() for _ in range(10)}) == 10


def test_a_file_that_is_missing_is_named_and_a_disk_that_fails_is_no_damage(layout: Layout) -> None:
    with pytest.raises(CorruptRecord, match=r"cases/one/case\.json is missing"):
        layout.read("cases/one/case.json")

    def fail(step: str, path: Path) -> None:
        raise OSError(5, "Input/output error")

    layout.publish("cases/one", {"case.json": b"{}"})
    layout.disk.hook = fail
    with pytest.raises(CacheError, match="disk reports") as caught:
        layout.read("cases/one/case.json")
    assert not isinstance(caught.value, CorruptRecord), "it would be moved to quarantine"


def test_what_is_damaged_is_moved_whole_and_says_why(layout: Layout) -> None:
    layout.publish("cases/one", {"case.json": b"torn", "more.json": b"x"})
    first = layout.quarantine("cases/one", "It is torn.")
    assert first == "quarantine/0001/cases/one" and not layout.exists("cases/one")
    assert layout.read(f"{first}/case.json") == b"torn"
    assert b'"It is torn."' in layout.read("quarantine/0001/finding.json")
    layout.publish("cases/one", {"case.json": b"torn again"})
    assert layout.quarantine("cases/one", "Again.") == "quarantine/0002/cases/one"
    assert layout.read(f"{first}/case.json") == b"torn", "an earlier find is never written over"


def test_paths_say_case_version_and_number(layout: Layout) -> None:
    assert version_path("case one", 3, 17).rpartition("/")[2] == "v0003-s00000017"
    assert version_path("case one", 3, 17).rpartition("/")[0] == mark_path("case one", 4).rpartition("/")[0]
    assert sha256(b"x") == hashlib.sha256(b"x").hexdigest()


def test_a_document_that_lies_in_anothers_place_is_damage(store: CampaignStore) -> None:
    first = store.confirm(a_confirmation(1))
    second = store.confirm(a_confirmation(2))
    record = store.folder / first.folder / "record.json"
    (store.folder / second.folder / "record.json").write_bytes(record.read_bytes())
    with pytest.raises(CorruptRecord, match="belongs to another folder"):
        store._layout.case_record(second.folder)
    store.reopen("case one", "Ada", "border")
    mark = next(store.folder.rglob("m*.json"))
    mark.rename(mark.with_name("m99999999.json"))
    with pytest.raises(CorruptRecord, match="belongs to another case"):
        store._layout.mark(mark.with_name("m99999999.json").relative_to(store.folder).as_posix())
