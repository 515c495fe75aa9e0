"""Reading confirmed work: only what was confirmed is given, and what may train is chosen with care."""

from __future__ import annotations

import dataclasses

import cache_helpers
import numpy as np
import pytest
from cache_helpers import SHAPE, a_confirmation, a_mask, an_image

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.chunked import encode_chunked
from clopa_annotator.cache.format.sealed import seal, unseal
from clopa_annotator.errors import CacheError, CorruptRecord, UnknownCase

store, tmp_path = cache_helpers.store, cache_helpers.tmp_path


def test_a_mask_that_is_not_the_confirmed_one_is_not_read(store: CampaignStore) -> None:
    ref = store.confirm(a_confirmation())
    other = encode_chunked(1 - a_mask(1), binary=True)
    (store.folder / ref.folder / "mask.b2nd").write_bytes(other)
    with pytest.raises(CorruptRecord, match="do not fit their hash"):
        store.read_mask(ref)


def test_an_image_that_is_not_the_added_one_is_not_read(store: CampaignStore) -> None:
    """Voxels and record fit each other, but not the name under which the case knows its image."""
    digest = store.image_hash("case one")
    store.add_case("case two", an_image(2))
    ours, other = store.folder / "images" / digest, store.folder / "images" / store.image_hash("case two")
    for name in ("voxels.b2nd", "image.json"):
        (ours / name).write_bytes((other / name).read_bytes())
    with pytest.raises(CorruptRecord, match="do not fit their hash"):
        store.read_image(digest)


def test_a_record_that_is_not_the_confirmed_one_is_not_read(store: CampaignStore) -> None:
    """A well-formed record with its own checksum, written by somebody else than the cache."""
    ref = store.confirm(a_confirmation())
    path = store.folder / ref.folder / "record.json"
    path.write_bytes(seal({**unseal(path.read_bytes(), "record"), "annotator": "somebody else"}))
    with pytest.raises(CorruptRecord, match="not the record that was confirmed"):
        store.record(ref)


def test_what_may_train_is_the_newest_version_of_each_case_in_order_of_arrival(store: CampaignStore) -> None:
    store.add_case("case two", an_image(2))
    store.confirm(a_confirmation(1))
    second = store.confirm(a_confirmation(2, "case two"))
    corrected = store.confirm(a_confirmation(3))
    assert store.confirmed() == (second, corrected)
    assert [v.annotator for v in store.confirmed_versions()] == ["Dr. Ä", "Dr. Ä"]
    assert store.arrivals() == {"case one": 1, "case two": 2}


def test_versions_and_cases_that_are_not_there_are_named(store: CampaignStore) -> None:
    ref = store.confirm(a_confirmation())
    assert store.version(1).ref == ref
    with pytest.raises(UnknownCase, match="number 2"):
        store.version(2)
    with pytest.raises(UnknownCase, match="no case"):
        store.versions("nobody")


def test_the_grid_of_an_image_is_known_without_its_voxels(store: CampaignStore) -> None:
    digest = store.image_hash("case one")
    (store.folder / "images" / digest / "voxels.b2nd").unlink()
    assert store.geometry(digest).shape_kji == SHAPE


def test_a_record_gives_back_what_was_sent(store: CampaignStore) -> None:
    sent = dataclasses.replace(a_confirmation(), note="thin slices")
    ref = store.confirm(sent)
    record = store.record(ref)
    assert (record.prompts, record.note, record.annotator) == (sent.prompts, "thin slices", sent.annotator)
    np.testing.assert_array_equal(store.read_mask(ref), sent.mask)
    assert store.mask_path(ref).name == "mask.seg.nrrd"


def test_a_closed_store_says_so_and_can_be_closed_again(store: CampaignStore) -> None:
    store.close()
    store.close()
    with pytest.raises(CacheError, match="open it again"):
        store.cases()
