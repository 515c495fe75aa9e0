"""Disks that fail, forget, refuse or stall: nothing is half confirmed, and the reason is a sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import cache_helpers
import pytest
from cache_helpers import Broken, a_confirmation

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.disk import Disk, native, publish_file, publish_folder, translate
from clopa_annotator.errors import CacheError, CorruptRecord, ReadOnlyCampaign, StorageFull

sound, campaign, tmp_path = cache_helpers.sound, cache_helpers.campaign, cache_helpers.tmp_path

STEPS = [
    "make folder",
    "create",
    "write",
    "flush",
    "close",
    "flush folder",
    "rename",
    "read back",
    "index begin",
    "index commit",
]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, StorageFull), (errno.EIO, CacheError), (errno.EROFS, ReadOnlyCampaign)],
)
def test_a_failing_disk_confirms_nothing_says_why_and_the_store_goes_on(campaign, step, number, error):
    hook = Broken()
    with CampaignStore.open(campaign, writer=True, disk=Disk(hook)) as store:
        before = store.cases(), store.confirmed()
        hook.step, hook.number = step, number
        with pytest.raises(error, match="Could not confirm the case 'case 0'"):
            store.confirm(a_confirmation(50, "case 0"))
        hook.step = ""
        assert (store.cases(), store.confirmed()) == before
        ref = store.confirm(a_confirmation(50, "case 0"))
        assert ref in store.confirmed()
        assert store.verify().ok
    assert not list((campaign / "staging").iterdir())
    assert not list((campaign / "quarantine").iterdir())


def test_a_disk_that_gives_back_something_else_confirms_nothing(campaign):
    class Forgetful(Disk):
        def read_back(self, path: Path) -> bytes:
            return super().read_back(path)[:-1]

    with CampaignStore.open(campaign, writer=True, disk=Forgetful()) as store:
        with pytest.raises(CorruptRecord, match="did not keep"):
            store.confirm(a_confirmation(50, "case 0"))
        assert len(store.versions("case 0")) == 2


def test_a_folder_that_cannot_be_written_is_refused_with_a_sentence(campaign):
    hook = Broken()
    hook.step, hook.number = "lock", errno.EACCES
    with pytest.raises(ReadOnlyCampaign, match="permissions"):
        CampaignStore.open(campaign, writer=True, disk=Disk(hook))
    hook.step, hook.number = "make folder", errno.EROFS
    with pytest.raises(ReadOnlyCampaign, match="create the campaign"):
        a_store_on(campaign.parent / "new", Disk(hook))


def a_store_on(folder: Path, disk: Disk) -> CampaignStore:
    from clopa_annotator.cache.campaign_store import CampaignManifest

    return CampaignStore.create(folder, CampaignManifest("x", 1), disk)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_can_be_read(campaign):
    for path in (campaign, *campaign.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with pytest.raises(ReadOnlyCampaign):
            CampaignStore.open(campaign, writer=True)
        with CampaignStore.open(campaign) as store:
            assert len(store.confirmed()) == 2
    finally:
        for path in (campaign, *campaign.rglob("*")):
            path.chmod(0o755)


def test_a_draft_that_cannot_be_removed_does_not_spoil_the_confirmation(campaign):
    hook = Broken()
    with CampaignStore.open(campaign, writer=True, disk=Disk(hook)) as store:
        hook.step, hook.number = "remove", errno.EIO
        assert store.confirm(a_confirmation(50, "case 1")) in store.confirmed()


def test_a_rename_that_windows_refuses_for_a_moment_is_tried_again(tmp_path, monkeypatch):
    refused = iter([PermissionError(13, "used by another process")] * 3)
    rename, replace = Path.rename, Path.replace

    def reluctantly(move):
        def moved(self, target):
            for error in refused:
                raise error
            return move(self, target)

        return moved

    monkeypatch.setattr(Path, "rename", reluctantly(rename))
    monkeypatch.setattr(Path, "replace", reluctantly(replace))
    publish_file(Disk(patient=True), tmp_path / "staged", tmp_path / "target", b"data")
    assert (tmp_path / "target").read_bytes() == b"data"


def test_a_rename_that_stays_refused_fails_in_bounded_time(tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(13, "used by another process")

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr("clopa_annotator.cache.format.disk.REPLACE_WAITS_S", (0.0, 0.001))
    with pytest.raises(PermissionError):
        publish_file(Disk(patient=True), tmp_path / "staged", tmp_path / "target", b"data", overwrite=True)
    assert not list(tmp_path.iterdir())


def test_nothing_is_published_over_something_else(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "kept").write_text("x")
    with pytest.raises(FileExistsError):
        publish_folder(Disk(), tmp_path / "staged", tmp_path / "target", {"new": b""})
    assert [p.name for p in (tmp_path / "target").iterdir()] == ["kept"]


def test_errors_of_the_system_become_sentences():
    assert "disk is full" in str(translate(OSError(errno.ENOSPC, "x"), "do it"))
    assert isinstance(translate(OSError(errno.EDQUOT, "x"), "do it"), StorageFull)
    assert "permissions" in str(translate(OSError(errno.EPERM, "x"), "do it"))
    assert 'reports "Input/output error"' in str(translate(OSError(errno.EIO, "x"), "do it"))
    assert "odd" in str(translate(OSError("odd"), "do it"))


def test_long_paths_get_windows_prefix(monkeypatch, tmp_path):
    assert native(tmp_path) == tmp_path
    monkeypatch.setattr("clopa_annotator.cache.format.disk.WINDOWS", True)
    assert str(native(tmp_path)) == "\\\\?\\" + str(tmp_path.resolve())
