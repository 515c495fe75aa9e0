"""Confirming: what was sent comes back, once, with its receipt; what cannot be right changes nothing."""

from __future__ import annotations

import hashlib
import json
import threading

import cache_helpers
import numpy as np
import pytest
from cache_helpers import SHAPE, a_confirmation, a_mask, an_image

from clopa_annotator.cache.campaign_store import CampaignStore, rebuild_index
from clopa_annotator.errors import ConfirmationConflict, GeometryError, InputError, UnknownCase
from clopa_annotator.types import (
    CaseState,
    LassoPrompt,
    MaskPrompt,
    ScribblePrompt,
    SuggestionUse,
    TimedPrompt,
)

store, tmp_path = cache_helpers.store, cache_helpers.tmp_path


def test_what_was_confirmed_is_read_back_voxel_by_voxel_and_word_by_word(store):
    sent = a_confirmation()
    ref = store.confirm(sent, based_on_version=0)
    record = store.record(ref)
    np.testing.assert_array_equal(store.read_mask(ref), sent.mask)
    assert (ref.case_version, ref.sequence, ref.case_id) == (1, 1, "case one")
    assert record.prompts == sent.prompts
    for name in ("annotator", "seconds_active", "weights_version", "first_shown_dice", "note"):
        assert getattr(record, name) == getattr(sent, name)
    assert record.geometry == an_image().geometry
    assert record.mask_voxels == int(sent.mask.sum())
    assert record.model_hash == store.manifest.model_hash
    assert set(record.software) >= {"clopa-annotator", "python", "numpy", "blosc2"}


def test_the_receipt_is_the_hash_of_the_record_file(store):
    ref = store.confirm(a_confirmation())
    document = (store.folder / ref.folder / "record.json").read_bytes()
    assert hashlib.sha256(document).hexdigest() == ref.record_hash
    assert json.loads(document)["confirmation_id"] == "confirmation-1"


def test_the_mask_hash_is_that_of_its_plain_bytes(store):
    sent = a_confirmation()
    assert store.confirm(sent).mask_hash == hashlib.sha256(sent.mask.tobytes()).hexdigest()


def test_delivering_a_confirmation_again_changes_nothing(store):
    ref = store.confirm(a_confirmation())
    assert store.confirm(a_confirmation()) == ref
    assert len(store.versions("case one")) == 1


def test_what_was_made_of_the_suggestion_is_kept_and_nothing_is_written_where_there_was_none(store):
    for number, use in enumerate(SuggestionUse, 1):
        ref = store.confirm(a_confirmation(number, suggestion=use))
        assert store.record(ref).suggestion is use
        assert store.versions("case one")[-1].suggestion is use
        document = json.loads((store.folder / ref.folder / "record.json").read_bytes())
        assert document.get("suggestion", "none") == use.value
        assert ("suggestion" in document) is (use is not SuggestionUse.NONE)
        assert store.confirm(a_confirmation(number, suggestion=use)) == ref
    store.close()
    rebuild_index(store.folder)
    with CampaignStore.open(store.folder, writer=False) as again:
        assert [v.suggestion for v in again.versions("case one")] == list(SuggestionUse)


@pytest.mark.parametrize(
    "change",
    [
        {"suggestion": SuggestionUse.TAKEN},
        {"mask": a_mask(99)},
        {"annotator": "somebody else"},
        {"prompts": ()},
    ],
)
def test_one_confirmation_id_with_two_contents_is_refused(store, change):
    ref = store.confirm(a_confirmation())
    with pytest.raises(ConfirmationConflict, match="under a new id"):
        store.confirm(a_confirmation(**change))
    assert store.confirmed() == (ref,)


def test_two_people_confirming_from_the_same_parent_are_both_kept_and_flagged(store):
    first = store.confirm(a_confirmation(1, annotator="A"), based_on_version=0)
    second = store.confirm(a_confirmation(2, annotator="B"), based_on_version=0)
    case = store.case("case one")
    assert case.state is CaseState.NEEDS_REVIEW
    assert "independently" in case.note
    assert [v.ref for v in store.versions("case one")] == [first, second]
    assert [v.conflict for v in store.versions("case one")] == [False, True]
    store.set_state("case one", CaseState.CONFIRMED, "lead", "second is right")
    assert store.case("case one").state is CaseState.CONFIRMED


@pytest.mark.parametrize(("annotator", "based_on"), [("B", 1), ("A", 0), ("B", None)])
def test_a_correction_of_what_one_saw_and_ones_own_second_version_are_no_conflict(store, annotator, based_on):
    store.confirm(a_confirmation(1, annotator="A"), based_on_version=0)
    store.confirm(a_confirmation(2, annotator=annotator), based_on_version=based_on)
    assert store.case("case one").state is CaseState.CONFIRMED


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"mask": np.zeros((1, 2, 3), np.uint8)}, GeometryError),
        ({"mask": np.full(SHAPE, 2, np.uint8)}, InputError),
        ({"mask": np.full(SHAPE, 0.5)}, InputError),
        ({"mask": np.full(SHAPE, -1, np.int8)}, InputError),
        ({"confirmation_id": ""}, InputError),
        ({"confirmation_id": "a\nb"}, InputError),
        ({"first_shown_dice": float("nan")}, InputError),
        ({"first_shown_dice": 1.5}, InputError),
        ({"seconds_active": float("inf")}, InputError),
        ({"case_id": "nobody"}, UnknownCase),
    ],
)
def test_a_confirmation_that_cannot_be_right_is_refused_and_nothing_changes(store, changes, error):
    with pytest.raises(error):
        store.confirm(a_confirmation(**changes))
    assert store.confirmed() == ()
    assert store.confirm(a_confirmation()).sequence == 1


def test_boolean_and_turned_masks_are_taken(store):
    ref = store.confirm(a_confirmation(1, mask=a_mask(1).astype(bool)))
    assert ref.mask_hash == hashlib.sha256(a_mask(1).tobytes()).hexdigest()
    store.confirm(a_confirmation(2, mask=a_mask(2)[::-1]))
    np.testing.assert_array_equal(store.read_mask(store.confirmed()[0]), a_mask(2)[::-1])


def test_an_empty_mask_can_be_confirmed(store):
    ref = store.confirm(a_confirmation(mask=np.zeros(SHAPE, np.uint8)))
    assert not store.read_mask(ref).any()
    assert store.record(ref).mask_voxels == 0


def test_drawn_prompts_and_mask_prompts_come_back(store):
    region = a_mask(5, (2, 3, 4))
    prompts = (
        TimedPrompt(MaskPrompt(a_mask(6)), 0.0),
        TimedPrompt(ScribblePrompt(region, ((1, 3), (2, 5), (3, 7))), 1.0),
        TimedPrompt(LassoPrompt(region, ((0, 2), (0, 3), (0, 4)), False), 2.0),
    )
    found = store.record(store.confirm(a_confirmation(prompts=prompts))).prompts
    for was, now in zip(prompts, found, strict=True):
        assert (type(was.prompt), was.at_s) == (type(now.prompt), now.at_s)
        np.testing.assert_array_equal(was.prompt.mask, now.prompt.mask)
    assert found[2].prompt.positive is False
    assert found[1].prompt.bounds_kji == ((1, 3), (2, 5), (3, 7))


def test_confirmations_from_several_threads_get_numbers_of_their_own(store):
    refs = []
    threads = [
        threading.Thread(target=lambda n=n: refs.append(store.confirm(a_confirmation(n)))) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.sequence for r in refs) == list(range(1, 9))
    assert sorted(r.case_version for r in refs) == list(range(1, 9))
