"""What the next writer makes of what a killed one announced: entered if it was whole, put aside if not."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import cache_helpers
import pytest
from cache_helpers import Broken, a_confirmation, an_image, data_files

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore
from clopa_annotator.cache.format.disk import Disk
from clopa_annotator.cache.writing import Writer
from clopa_annotator.errors import StorageFull

tmp_path = cache_helpers.tmp_path


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the program catches it."""


@pytest.fixture
def broken(tmp_path: Path):
    hook = Broken()
    with CampaignStore.create(tmp_path / "campaign", CampaignManifest("x", 5), Disk(hook)) as store:
        store.add_case("case one", an_image())
        yield store, hook


def killed_before(
    monkeypatch: pytest.MonkeyPatch,
    hook: Broken,
    step: str,
    count: int = 1,
    error: BaseException | None = None,
) -> None:
    """From now on the ``count``-th such step kills, or raises an error."""
    left = [count]

    def deadly(self: Broken, at: str, path: Path) -> None:
        if at == step:
            left[0] -= 1
            if left[0] == 0:
                raise error or Killed

    monkeypatch.setattr(type(hook), "__call__", deadly)


def pending(store: CampaignStore) -> list[str]:
    return [str(row["path"]) for row in store._index.rows("SELECT path FROM pending")]


def test_files_that_had_appeared_are_entered_by_the_next_change(broken, monkeypatch) -> None:
    store, hook = broken
    # The first transaction announces, the second enters.
    killed_before(monkeypatch, hook, "index begin", 2)
    with pytest.raises(Killed):
        store.confirm(a_confirmation(1))
    monkeypatch.undo()
    assert len(pending(store)) == 1 and store.confirmed() == ()
    Writer(store._layout, store._index).recover()
    (ref,) = store.confirmed()
    assert pending(store) == [] and store.confirm(a_confirmation(1)) == ref, (
        "delivered again: the same answer"
    )


def test_an_announcement_without_files_is_forgotten_and_its_number_stays_used(broken, monkeypatch) -> None:
    store, hook = broken
    killed_before(monkeypatch, hook, "make folder")
    with pytest.raises(Killed):
        store.confirm(a_confirmation(1))
    monkeypatch.undo()
    assert len(pending(store)) == 1
    ref = store.confirm(a_confirmation(1))
    assert pending(store) == [] and ref.sequence == 2


def test_announced_files_that_are_damaged_are_put_aside_and_not_entered(broken, monkeypatch) -> None:
    store, hook = broken
    killed_before(monkeypatch, hook, "index begin", 2)
    with pytest.raises(Killed):
        store.confirm(a_confirmation(1))
    monkeypatch.undo()
    mask = next(p for p in data_files(store.folder) if p.name == "mask.b2nd")
    mask.write_bytes(mask.read_bytes()[:-1])
    Writer(store._layout, store._index).recover()
    assert store.confirmed() == () and pending(store) == []
    assert list((store.folder / "quarantine").rglob("mask.b2nd")), "kept for whoever wants to look"


def test_files_whose_entry_fails_are_taken_back_so_that_nothing_is_half_confirmed(
    broken, monkeypatch
) -> None:
    store, hook = broken
    before = data_files(store.folder)
    killed_before(monkeypatch, hook, "index commit", 2, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(StorageFull):
        store.confirm(a_confirmation(1))
    monkeypatch.undo()
    assert data_files(store.folder) == before and store.confirmed() == ()
    assert store.confirm(a_confirmation(1)).case_version == 1


def test_every_kind_of_change_is_finished_for_a_killed_writer(broken, monkeypatch) -> None:
    store, hook = broken
    changes = {
        "case": lambda: store.add_case("case two", an_image(2)),
        "version": lambda: store.confirm(a_confirmation(1)),
        "mark": lambda: store.reopen("case one", "Ada", "border"),
    }
    for change in changes.values():
        # Adding a case enters its image first, in a transaction of its own.
        killed_before(monkeypatch, hook, "index commit", 3 if change is changes["case"] else 2)
        with pytest.raises(Killed):
            change()
        monkeypatch.undo()
        Writer(store._layout, store._index).recover()
        assert pending(store) == []
    assert [case.case_id for case in store.cases()] == ["case one", "case two"]
    assert len(store.confirmed()) == 1 and [m.action for m in store.marks("case one")] == ["reopen"]
    assert store.verify().ok
