"""The cache's promises against the system calls that keep them, not against the hook that announces them.

What `after_a_power_cut` gives is the least that a file system may keep: contents as they were last flushed,
names as their folder was last flushed.
"""

from __future__ import annotations

import os
from pathlib import Path

import cache_helpers
import pytest
from cache_helpers import a_confirmation, a_mask, an_image
from system_calls import Tree, tree_of, watched

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore, CaseDraft
from clopa_annotator.cache.format.disk import Disk, publish_file, publish_folder
from clopa_annotator.types import Slot, Target, Targets

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows neither has nor needs a flush of folders")
store, tmp_path = cache_helpers.store, cache_helpers.tmp_path


def without_index(tree: Tree) -> Tree:
    """SQLite flushes its own file, where this cannot see it; the lock says nothing that has to last."""
    return {n: data for n, data in tree.items() if "index.sqlite" not in n and not n.endswith(".lock")}


def test_a_new_file_is_flushed_by_the_system_and_not_only_announced(tmp_path: Path) -> None:
    with watched(tmp_path) as calls:
        Disk().write_new(tmp_path / "record.json", b"x" * 100)
        Disk().sync_folder(tmp_path)
        assert calls.after_a_power_cut() == {"record.json": b"x" * 100}
    assert calls.order == ["open record.json", "flush record.json", "flush ."]


def test_a_published_folder_is_on_the_disk_before_and_after_its_rename(tmp_path: Path) -> None:
    with watched(tmp_path) as calls:
        publish_folder(Disk(), tmp_path / "staged", tmp_path / "v1", {"mask": b"1", "record": b"2"})
        assert calls.after_a_power_cut() == {"v1/mask": b"1", "v1/record": b"2"}
    assert calls.careless == []
    assert "rename staged v1" in calls.order


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_published_file_is_on_the_disk_before_and_after_its_rename(tmp_path: Path, overwrite: bool) -> None:
    if overwrite:
        (tmp_path / "draft").write_bytes(b"old")
    with watched(tmp_path) as calls:
        publish_file(Disk(), tmp_path / "staged", tmp_path / "draft", b"new", overwrite)
        assert calls.after_a_power_cut() == {"draft": b"new"}
    assert calls.careless == []
    assert "open draft" not in calls.order, "written beside it and moved, never over it"


def test_a_new_campaign_is_on_the_disk(tmp_path: Path) -> None:
    with watched(tmp_path) as calls:
        CampaignStore.create(tmp_path / "campaign", CampaignManifest("x", 1)).close()
        assert without_index(calls.after_a_power_cut()).keys() == {"campaign/campaign.json"}


def test_when_a_case_is_added_its_image_is_on_the_disk(store: CampaignStore) -> None:
    with watched(store.folder) as calls:
        store.add_case("case two", an_image(2))
        assert without_index(calls.after_a_power_cut()) == without_index(tree_of(store.folder))
    assert calls.careless == []


def test_when_a_confirmation_is_answered_every_file_of_it_is_on_the_disk(store: CampaignStore) -> None:
    with watched(store.folder) as calls:
        ref = store.confirm(a_confirmation())
        kept = without_index(calls.after_a_power_cut())
    assert {f"{ref.folder}/{name}" for name in ("mask.seg.nrrd", "mask.b2nd", "record.json")} <= kept.keys()
    assert kept == without_index(tree_of(store.folder))
    assert calls.careless == []


OTHER = Slot("lesion", 2)


def with_instances(store: CampaignStore) -> None:
    store.set_targets(Targets([*store.targets, Target("lesion", "lesion", instances=True)]))


def test_a_mask_of_another_target_is_on_the_disk_with_its_folders(store: CampaignStore) -> None:
    with_instances(store)
    with watched(store.folder) as calls:
        ref = store.confirm(a_confirmation(slot=OTHER))
        kept = without_index(calls.after_a_power_cut())
    assert {f"{ref.folder}/{name}" for name in ("mask.seg.nrrd", "mask.b2nd", "record.json")} <= kept.keys()
    assert kept == without_index(tree_of(store.folder))
    assert calls.careless == []


def test_a_folder_that_a_killed_writer_made_is_flushed_by_the_next(store: CampaignStore) -> None:
    with_instances(store)
    with watched(store.folder) as calls:
        next(store.folder.glob("cases/case-one-*")).joinpath("targets", "lesion", "i0002").mkdir(parents=True)
        store.skip("case one", "Dr. Ä", "motion", OTHER)
        assert without_index(calls.after_a_power_cut()) == without_index(tree_of(store.folder))


def test_targets_are_on_the_disk_when_they_are_set(store: CampaignStore) -> None:
    with watched(store.folder) as calls:
        with_instances(store)
        assert without_index(calls.after_a_power_cut()) == without_index(tree_of(store.folder))
    assert calls.careless == []


def test_a_correction_touches_no_file_of_the_version_before(store: CampaignStore) -> None:
    first = store.confirm(a_confirmation(1))
    with watched(store.folder) as calls:
        store.confirm(a_confirmation(2))
    assert not [call for call in calls.order if first.folder in call]


@pytest.mark.parametrize("decide", ["withdraw", "reopen"])
def test_a_decision_about_a_case_is_on_the_disk_when_it_is_taken(store: CampaignStore, decide: str) -> None:
    ref = store.confirm(a_confirmation())
    before = tree_of(store.folder / ref.folder)
    with watched(store.folder) as calls:
        getattr(store, decide)("case one", "Dr. Ä", "border")
        assert without_index(calls.after_a_power_cut()) == without_index(tree_of(store.folder))
    assert calls.careless == []
    assert tree_of(store.folder / ref.folder) == before, "what was confirmed stays"


def test_a_draft_is_on_the_disk_when_it_is_saved_and_the_one_before_is_never_torn(
    store: CampaignStore,
) -> None:
    store.save_draft(CaseDraft("case one", a_mask(1)))
    with watched(store.folder) as calls:
        store.save_draft(CaseDraft("case one", a_mask(2)))
        assert without_index(calls.after_a_power_cut()) == without_index(tree_of(store.folder))
    assert calls.careless == []
    assert not [call for call in calls.order if call.startswith("open drafts/")]


def test_the_index_asks_sqlite_for_what_survives_a_power_cut(store: CampaignStore) -> None:
    asked = {name: store._index.rows(f"PRAGMA {name}")[0][0] for name in ("synchronous", "journal_mode")}
    assert asked == {"synchronous": 3, "journal_mode": "delete"}, "3 is EXTRA"


def test_what_is_put_into_quarantine_is_not_lost_on_the_way(store: CampaignStore) -> None:
    ref = store.confirm(a_confirmation())
    mask = store.folder / ref.folder / "mask.b2nd"
    mask.write_bytes(mask.read_bytes()[:-1])
    with watched(store.folder) as calls:
        (finding,) = store.verify().findings
        assert f"{finding.moved_to}/record.json" in calls.after_a_power_cut()
        assert without_index(calls.after_a_power_cut()) == without_index(tree_of(store.folder))
