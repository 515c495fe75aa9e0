"""Drafts: kept and replaced while a case is open, dropped by its confirmation."""

from __future__ import annotations

import dataclasses
import errno

import cache_helpers
import numpy as np
import pytest
from cache_helpers import Broken, a_confirmation, a_mask, an_image

from clopa_annotator.cache.campaign_store import CampaignManifest, CampaignStore, CaseDraft, Disk
from clopa_annotator.errors import CorruptRecord, GeometryError, InputError, StorageFull
from clopa_annotator.types import CaseState, SuggestionUse

store, tmp_path = cache_helpers.store, cache_helpers.tmp_path


def test_a_draft_is_kept_replaced_and_dropped_by_the_confirmation(store):
    assert store.load_draft("case one") is None
    store.save_draft(CaseDraft("case one", a_mask(1), annotator="A"))
    store.save_draft(CaseDraft("case one", a_mask(2), a_confirmation().prompts, "A", 12.0, 1, 0.5, 0))
    draft = store.load_draft("case one")
    np.testing.assert_array_equal(draft.mask, a_mask(2))
    assert (draft.prompts, draft.seconds_active, draft.first_shown_dice) == (
        a_confirmation().prompts,
        12.0,
        0.5,
    )
    assert (store.case("case one").state, store.case("case one").has_draft) == (CaseState.IN_PROGRESS, True)
    assert store.confirmed() == ()
    store.confirm(a_confirmation())
    assert store.load_draft("case one") is None


def test_a_draft_knows_what_was_made_of_the_suggestion(store):
    for use in SuggestionUse:
        store.save_draft(CaseDraft("case one", a_mask(1), suggestion=use))
        assert store.load_draft("case one").suggestion is use
        assert not store.case("case one").slots[0].is_suggestion, "only an import that nobody touched is"


def test_a_draft_can_be_discarded(store):
    store.save_draft(CaseDraft("case one", a_mask(1)))
    store.discard_draft("case one")
    store.discard_draft("case one")
    assert store.case("case one").state is CaseState.TODO


def test_a_damaged_draft_is_reported_once_and_stands_in_nobodys_way(store):
    store.save_draft(CaseDraft("case one", a_mask(1)))
    path = next((store.folder / "drafts").iterdir())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorruptRecord, match="damaged"):
        store.load_draft("case one")
    assert store.load_draft("case one") is None
    assert len(list((store.folder / "quarantine").rglob("*.json"))) == 2


def test_a_draft_or_a_setting_that_json_does_not_know_is_refused(store):
    with pytest.raises(InputError, match="stored as JSON"):
        store.save_draft(CaseDraft("case one", a_mask(1), seconds_active=float("nan")))
    with pytest.raises(InputError, match="stored as JSON"):
        store.update_manifest(dataclasses.replace(store.manifest, settings={"x": {1, 2}}))
    assert store.load_draft("case one") is None


def test_a_draft_on_another_grid_is_refused(store):
    with pytest.raises(GeometryError):
        store.save_draft(CaseDraft("case one", np.zeros((1, 1, 1), np.uint8)))


def test_a_confirmation_that_could_not_be_stored_leaves_the_draft(tmp_path):
    hook = Broken()
    with CampaignStore.create(tmp_path / "campaign", CampaignManifest("x", 1), Disk(hook)) as store:
        store.add_case("case one", an_image())
        store.save_draft(CaseDraft("case one", a_mask(1)))
        hook.step, hook.number = "flush", errno.ENOSPC
        with pytest.raises(StorageFull):
            store.confirm(a_confirmation())
        np.testing.assert_array_equal(store.load_draft("case one").mask, a_mask(1))
