"""Many confirmations at once: the same versions as one by one, all or none, few waits for the disk."""

from __future__ import annotations

import errno
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cache_helpers import SHAPE, a_confirmation, a_mask, a_quick_folder, a_store, an_image
from system_calls import tree_of, watched
from test_cache_flushes import without_index

from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft, Disk
from clopa_annotator.cache.format.disk import FLUSHES
from clopa_annotator.cache.together import confirm_together, save_drafts_together
from clopa_annotator.errors import (
    CacheError,
    ConfigError,
    ConfirmationConflict,
    CorruptRecord,
    GeometryError,
    InputError,
    ReadOnlyCampaign,
    StorageFull,
    UnknownCase,
)
from clopa_annotator.types import Slot, Target, Targets

sys.path.append(str(Path(__file__).resolve().parents[1] / "crash"))

from faults import CountingDisk, FailingDisk

CASES = ("case a", "case b", "case c")


@pytest.fixture
def folder(tmp_path: Path):
    with a_quick_folder(tmp_path) as name:
        yield name


def filled(folder: Path) -> CampaignStore:
    store = a_store(folder)
    for number, case_id in enumerate(CASES):
        store.add_case(case_id, an_image(number))
    return store


def sent(first: int = 1):
    return [a_confirmation(first + n, case_id) for n, case_id in enumerate(CASES)]


def seen(store: CampaignStore):
    return [
        (
            case.case_id,
            case.state,
            case.has_draft,
            [(v.ref.case_version, v.ref.sequence, v.ref.mask_hash) for v in store.versions(case.case_id)],
        )
        for case in store.cases()
    ]


def test_together_is_as_one_by_one(folder):
    with filled(folder / "one") as one, filled(folder / "many") as many:
        for store in (one, many):
            store.save_draft(CaseDraft("case b", a_mask(9)))
            store.confirm(a_confirmation(50, "case a"))
        refs = [one.confirm(confirmation) for confirmation in sent()]
        together = confirm_together(many, sent())
        assert seen(one) == seen(many)
        assert [(r.case_id, r.case_version, r.sequence, r.mask_hash) for r in refs] == [
            (r.case_id, r.case_version, r.sequence, r.mask_hash) for r in together
        ]
        for ref, confirmation in zip(together, sent(), strict=True):
            assert np.array_equal(many.read_mask(ref), confirmation.mask)
        assert many.verify().ok


def test_two_of_one_case_become_two_versions_and_the_later_counts(folder):
    with filled(folder / "campaign") as store:
        refs = confirm_together(store, [a_confirmation(1, "case a"), a_confirmation(2, "case a")])
        assert [ref.case_version for ref in refs] == [1, 2]
        assert [ref.case_version for ref in store.confirmed()] == [2]


def test_what_was_stored_before_is_answered_again_and_the_rest_is_stored(folder):
    with filled(folder / "campaign") as store:
        first = store.confirm(sent()[1])
        refs = confirm_together(store, sent())
        assert refs[1] == first and len(store.confirmed()) == 3
        assert confirm_together(store, sent()) == refs


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"case_id": "nobody"}, UnknownCase),
        ({"mask": np.zeros((2, 2, 2), np.uint8)}, GeometryError),
        ({"confirmation_id": "confirmation-1"}, InputError),
        ({"confirmation_id": "confirmation-50"}, ConfirmationConflict),
    ],
)
def test_one_that_cannot_be_stored_keeps_all_from_it(folder, change, error):
    with filled(folder / "campaign") as store:
        store.confirm(a_confirmation(50, "case b"))
        before = seen(store)
        with pytest.raises(error):
            confirm_together(
                store, [*sent()[:2], a_confirmation(**{"number": 3, "case_id": "case c", **change})]
            )
        assert seen(store) == before


def test_a_disk_that_fails_at_any_step_leaves_all_or_none_and_can_be_tried_again(folder):
    steps = CountingDisk()
    filled(folder / "steps").close()
    with CampaignStore.open(folder / "steps", writer=True, disk=steps) as store:
        steps.steps.clear()
        confirm_together(store, sent())
    for at in range(len(steps.steps)):
        target = folder / f"at {at}"
        filled(target).close()
        disk = FailingDisk(10**9, errno.ENOSPC)
        with CampaignStore.open(target, writer=True, disk=disk) as store:
            disk._at = len(disk.steps) + at
            try:
                confirm_together(store, sent())
            except CacheError as error:
                assert isinstance(error, StorageFull), (at, steps.steps[at])
                disk.repair()
                assert len(store.confirmed()) in (0, 3)
                assert not list((target / "staging").iterdir())
                confirm_together(store, sent())
            assert disk.raised and len(store.confirmed()) == 3 and store.verify().ok, steps.steps[at]


def test_a_reader_cannot(folder):
    filled(folder / "campaign").close()
    with CampaignStore.open(folder / "campaign") as store, pytest.raises(ReadOnlyCampaign):
        confirm_together(store, sent())


def test_the_index_is_written_twice_for_all_of_them_and_every_file_is_flushed(folder):
    filled(folder / "campaign").close()
    disk = CountingDisk()
    with CampaignStore.open(folder / "campaign", writer=True, disk=disk) as store:
        disk.steps.clear()
        confirm_together(store, sent())
    counts = Counter(step for step, _ in disk.steps)
    assert counts["index commit"] == 2
    assert counts["create"] == counts["flush"] == counts["read back"] == 3 * len(CASES)
    order = [step for step, _ in disk.steps]
    assert max(n for n, s in enumerate(order) if s == "flush") < order.index("rename")
    assert (
        order.index("rename") < order.index("read back") < len(order) - 1 - order[::-1].index("index commit")
    )


@pytest.mark.parametrize("flushes", [1, 2, FLUSHES])
def test_when_several_are_answered_every_file_of_them_is_on_the_disk(folder, flushes, monkeypatch):
    monkeypatch.setattr("clopa_annotator.cache.format.disk.FLUSHES", flushes)
    with filled(folder / "campaign") as store, watched(store.folder) as calls:
        refs = confirm_together(store, sent())
        kept = without_index(calls.after_a_power_cut())
    for ref in refs:
        assert {f"{ref.folder}/{n}" for n in ("mask.seg.nrrd", "mask.b2nd", "record.json")} <= kept.keys()
    assert kept == without_index(tree_of(store.folder)) and calls.careless == []


def test_several_drafts_are_on_the_disk_when_they_are_saved(folder):
    with filled(folder / "campaign") as store, watched(store.folder) as calls:
        save_drafts_together(store, [CaseDraft(case_id, a_mask(1)) for case_id in CASES])
        kept = without_index(calls.after_a_power_cut())
    assert len([name for name in kept if name.startswith("drafts/")]) == 3
    assert kept == without_index(tree_of(store.folder)) and calls.careless == []


def test_a_disk_that_gives_back_something_else_stores_none_of_them(folder, monkeypatch):
    filled(folder / "campaign").close()
    disk = Disk()
    with CampaignStore.open(folder / "campaign", writer=True, disk=disk) as store:
        monkeypatch.setattr(disk, "read_back", lambda path: path.read_bytes()[:-1] + b"?")
        with pytest.raises(CorruptRecord):
            confirm_together(store, sent())
        monkeypatch.undo()
        assert store.confirmed() == () and not list((folder / "campaign" / "staging").iterdir())
        assert len(confirm_together(store, sent())) == 3


def test_drafts_of_several_cases_replace_those_before(folder):
    with filled(folder / "campaign") as store:
        store.save_draft(CaseDraft("case b", a_mask(1), annotator="before"))
        save_drafts_together(store, [CaseDraft(c, a_mask(n), annotator="Ada") for n, c in enumerate(CASES)])
        for n, case_id in enumerate(CASES):
            draft = store.load_draft(case_id)
            assert draft.annotator == "Ada" and np.array_equal(draft.mask, a_mask(n))
        with pytest.raises(GeometryError):
            save_drafts_together(store, [CaseDraft("case a", np.zeros((2, 2, 2), np.uint8))])
        assert store.load_draft("case a").annotator == "Ada"


def test_a_draft_that_cannot_be_written_leaves_the_old_one(folder):
    with filled(folder / "campaign") as store:
        store.save_draft(CaseDraft("case a", a_mask(1), annotator="before"))
    disk = FailingDisk(10**9, errno.EIO)
    with CampaignStore.open(folder / "campaign", writer=True, disk=disk) as store:
        disk._at = len(disk.steps) + 2
        with pytest.raises(CacheError):
            save_drafts_together(store, [CaseDraft("case a", a_mask(2)), CaseDraft("case b", a_mask(2))])
        disk.repair()
        assert store.load_draft("case a").annotator == "before" and store.load_draft("case b") is None
        assert not list((folder / "campaign" / "staging").iterdir())


# -- several targets ----------------------------------------------------------------------------------------

TARGETS = Targets([*Targets.named(["liver", "spleen"]), Target("lesion", "lesion", instances=True)])
SLOTS = (Slot(), Slot("spleen"), Slot("lesion"), Slot("lesion", 2))


def a_plane(first: int) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[first] = 1
    return mask


@pytest.fixture
def several(folder: Path):
    with a_store(folder / "several", targets=TARGETS) as store:
        for number, case_id in enumerate(CASES):
            store.add_case(case_id, an_image(number))
        yield store


def planes(first: int = 1, case_id: str = "case a"):
    return [a_confirmation(first + at, case_id, mask=a_plane(at), slot=slot) for at, slot in enumerate(SLOTS)]


def test_every_target_of_a_case_is_confirmed_in_one_go_and_lies_where_it_belongs(several):
    refs = confirm_together(several, [*planes(), *planes(11, "case b"), planes(21)[3]])
    assert [r.slot for r in refs] == [*SLOTS, *SLOTS, SLOTS[3]]
    assert [r.case_version for r in refs] == [1] * 8 + [2]
    for ref in refs[4:]:
        np.testing.assert_array_equal(several.read_mask(ref), a_plane(SLOTS.index(ref.slot)))
    assert several.case("case b").decided == 4
    assert several.verify().ok


def test_masks_of_one_batch_that_share_voxels_are_refused_with_all_of_it(several):
    both = [planes()[0], a_confirmation(9, "case a", mask=a_plane(0), slot=Slot("spleen"))]
    with pytest.raises(InputError, match="mask of spleen takes 99 voxels of liver"):
        confirm_together(several, both)
    assert several.current("case a") == ()
    several.confirm(both[0])
    with pytest.raises(InputError, match="takes 99 voxels of liver"):
        confirm_together(several, both[1:])
    with pytest.raises(ConfigError, match="no target 'vessel'"):
        confirm_together(several, [a_confirmation(12, "case a", slot=Slot("vessel"))])


def test_drafts_of_several_targets_are_saved_together_and_a_confirmation_drops_its_own(several):
    save_drafts_together(several, [CaseDraft("case a", a_plane(n), slot=s) for n, s in enumerate(SLOTS)])
    confirm_together(several, planes()[1:3])
    assert [s.slot for s in several.slots("case a") if s.has_draft] == [SLOTS[0], SLOTS[3]]
    with pytest.raises(ConfigError, match="no target 'vessel'"):
        save_drafts_together(several, [CaseDraft("case a", a_plane(0), slot=Slot("vessel"))])
