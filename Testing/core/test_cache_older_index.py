"""A campaign of format version 1 opens as it is: nothing is converted, and nothing is lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import cache_helpers
import numpy as np
import pytest
import version_one
from cache_helpers import data_files

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.manifest import CampaignManifest, check_format_version
from clopa_annotator.cache.older_index import kept_by_an_older_index
from clopa_annotator.errors import ConfigError, CorruptRecord
from clopa_annotator.types import CaseState, Confirmation, Slot, SuggestionUse, Target, Targets

tmp_path = cache_helpers.tmp_path


@pytest.fixture(params=[True, False], ids=["its index", "no index"])
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    version_one.make(tmp_path / "old", index=request.param)
    return tmp_path / "old"


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in data_files(folder)}


@pytest.mark.parametrize("writer", [False, True])
def test_everything_in_it_is_there_and_no_file_changes(old: Path, writer: bool) -> None:
    before = contents(old)
    with CampaignStore.open(old, writer=writer) as store:
        assert store.targets == Targets([Target("liver")]) and store.manifest.format_version == 1
        assert [(c.case_id, c.state, c.versions, c.has_draft) for c in store.cases()] == [
            ("one", CaseState.CONFIRMED, 2, False),
            ("two", CaseState.NEEDS_REVIEW, 1, True),
        ]
        (ref,) = store.confirmed()
        assert (ref.case_id, ref.case_version, ref.sequence, ref.slot) == ("one", 2, 2, Slot())
        np.testing.assert_array_equal(store.read_mask(ref), version_one.a_mask(2))
        assert store.record(ref).label == "liver"
        draft = store.load_draft("two")
        assert draft is not None and draft.annotator == "Ada"
        assert store.marks("two")[0].reason == "wrong side"
        assert store.verify().ok
    assert contents(old) == before


def test_a_target_is_added_by_writing_campaign_json_alone(old: Path) -> None:
    before = contents(old)
    with CampaignStore.open(old, writer=True) as store:
        store.set_targets(store.targets.with_new(Target("Spleen")))
        changed = {p.name for p, data in contents(old).items() if before.get(p) != data}
        assert changed == {"campaign.json"}
        assert [c.state for c in store.cases()] == [CaseState.IN_PROGRESS, CaseState.NEEDS_REVIEW]
        mask = 1 - version_one.a_mask(2)
        ref = store.confirm(Confirmation("new", "one", mask, slot=Slot("spleen")))
        assert store.case("one").state is CaseState.CONFIRMED
    assert ref.folder.startswith(f"cases/{version_one.folder_of('one')}/targets/spleen/v0001-s")
    assert (old / ref.folder / "record.json").is_file()
    manifest = CampaignManifest.from_document((old / "campaign.json").read_bytes())
    with pytest.raises(ConfigError, match=r"format version 2, but this program knows up to 1\. Update"):
        check_format_version(manifest.format_version, 1, "The campaign")


def test_numbers_that_an_older_program_used_up_are_not_given_again(tmp_path: Path) -> None:
    version_one.make(tmp_path)
    with CampaignStore.open(tmp_path, writer=True) as store:
        store.reopen("one", "Ada")
        assert store.marks("one")[0].sequence == 10


def test_the_copy_of_a_damaged_campaign_json_is_taken_from_an_older_index(tmp_path: Path) -> None:
    version_one.make(tmp_path)
    (tmp_path / "campaign.json").write_bytes(b"torn")
    with CampaignStore.open(tmp_path, writer=True) as store:
        assert store.manifest.name == "old" and len(store.confirmed()) == 1


def test_an_older_index_keeps_what_no_file_says_and_nothing_else_is_taken_for_one(tmp_path: Path) -> None:
    version_one.make(tmp_path)
    kept = kept_by_an_older_index(tmp_path / "index.sqlite")
    assert kept == {"last_sequence": 9, "manifest": (tmp_path / "campaign.json").read_bytes()}
    assert kept_by_an_older_index(tmp_path / "nothing.sqlite") == {}
    assert kept_by_an_older_index(tmp_path / "campaign.json") == {}
    with sqlite3.connect(tmp_path / "other.sqlite") as connection:
        connection.execute("CREATE TABLE things (name)")
    assert kept_by_an_older_index(tmp_path / "other.sqlite") == {}


def test_an_index_from_before_suggestions_is_made_again_and_its_numbers_are_kept(tmp_path: Path) -> None:
    version_one.make(tmp_path)
    with CampaignStore.open(tmp_path, writer=True):
        pass
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        connection.execute("ALTER TABLE versions DROP COLUMN suggestion")
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    with CampaignStore.open(tmp_path, writer=True) as store:
        assert [v.suggestion for v in store.versions("one")] == [SuggestionUse.NONE] * 2
        store.reopen("one", "Ada")
        assert store.marks("one")[0].sequence == 10


def test_without_any_copy_a_damaged_campaign_json_is_told(tmp_path: Path) -> None:
    version_one.make(tmp_path, index=False)
    (tmp_path / "campaign.json").write_bytes(b"torn")
    with pytest.raises(CorruptRecord, match=r"campaign\.json"):
        CampaignStore.open(tmp_path, writer=True)
