"""The index: made again from the files, whatever happened to it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import cache_helpers
import pytest
from cache_helpers import a_confirmation, pick, verified

from clopa_annotator.cache.campaign_store import CampaignStore, rebuild_index

sound, campaign, tmp_path = cache_helpers.sound, cache_helpers.campaign, cache_helpers.tmp_path


def a_removed_index(path: Path) -> None:
    path.unlink()


def a_truncated_index(path: Path) -> None:
    os.truncate(path, 5000)


def nonsense_as_index(path: Path) -> None:
    path.write_bytes(b"nonsense" * 1000)


def an_empty_index(path: Path) -> None:
    path.write_bytes(b"")


def an_index_of_another_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")


def zeros_in_the_index(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 3] = bytes(4096 * 2)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "harm",
    [
        a_removed_index,
        a_truncated_index,
        nonsense_as_index,
        an_empty_index,
        an_index_of_another_version,
        zeros_in_the_index,
    ],
)
def test_the_index_is_made_again_from_the_files(campaign, harm):
    with CampaignStore.open(campaign) as store:
        before = store.cases(), store.confirmed(), [store.versions(c.case_id) for c in store.cases()]
    harm(campaign / "index.sqlite")
    with CampaignStore.open(campaign) as reader:
        if harm is not zeros_in_the_index:
            assert (reader.cases(), reader.confirmed()) == before[:2]
    with CampaignStore.open(campaign, writer=True) as store:
        store.verify()
        assert (
            store.cases(),
            store.confirmed(),
            [store.versions(c.case_id) for c in store.cases()],
        ) == before
        assert store.confirm(a_confirmation(300, "case 0")).sequence == 5


def test_an_index_that_says_something_else_than_the_files_is_corrected(campaign):
    with sqlite3.connect(campaign / "index.sqlite") as connection:
        connection.execute("UPDATE versions SET annotator = 'Mallory' WHERE sequence = 1")
    report, _, _ = verified(campaign)
    assert [f.path for f in report.findings] == ["index.sqlite"]
    with CampaignStore.open(campaign) as store:
        assert store.versions("case 0")[0].annotator == "Dr. Ä"


def test_rebuilding_counts_what_it_found_and_names_what_it_could_not_read(campaign):
    pick(campaign, "record").write_text("{}")
    report = rebuild_index(campaign)
    assert (report.cases, report.versions, report.marks, report.images) == (2, 2, 1, 2)
    assert len(report.skipped) == 1
    assert "record.json" in report.skipped[0]


def test_a_number_that_is_used_twice_is_entered_once(campaign):
    folder = next(campaign.glob("cases/case-0*"))
    version = next(folder.glob("v0001*"))
    shutil.copytree(version, folder / version.name.replace("v0001", "v0007"))
    assert "another folder" in rebuild_index(campaign).skipped[0]
