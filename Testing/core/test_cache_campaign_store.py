"""The annotation cache as its users see it: corrections, withdrawals, states and numbers of cases."""

from __future__ import annotations

import cache_helpers
import numpy as np
import pytest
from cache_helpers import a_confirmation, a_mask

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.errors import CacheError, UnknownCase
from clopa_annotator.types import CaseState

sound, campaign = cache_helpers.sound, cache_helpers.campaign
store, tmp_path = cache_helpers.store, cache_helpers.tmp_path


def test_a_correction_is_a_new_version_and_the_old_one_stays(store):
    first, second = store.confirm(a_confirmation(1)), store.confirm(a_confirmation(2), based_on_version=1)
    assert (second.case_version, second.sequence) == (2, 2)
    assert store.confirmed() == (second,)
    assert [v.current for v in store.versions("case one")] == [False, True]
    np.testing.assert_array_equal(store.read_mask(first), a_mask(1))


def test_a_withdrawn_version_trains_no_more_and_stays_on_disk(store):
    store.confirm(a_confirmation(1))
    second = store.confirm(a_confirmation(2))
    store.withdraw("case one", "Dr. B", "wrong side")
    assert store.confirmed() == ()
    assert [v.withdrawn for v in store.versions("case one")] == [False, True]
    case = store.case("case one")
    assert (case.state, case.note, case.sequence) == (CaseState.NEEDS_REVIEW, "wrong side", None)
    np.testing.assert_array_equal(store.read_mask(second), a_mask(2))
    third = store.confirm(a_confirmation(3))
    assert store.confirmed() == (third,)
    assert third.case_version == 3


def test_there_must_be_something_to_withdraw(store):
    with pytest.raises(CacheError, match="no confirmed version"):
        store.withdraw("case one", "", "")


def test_a_reopened_case_keeps_its_version_until_it_is_corrected(store):
    first = store.confirm(a_confirmation(1))
    store.reopen("case one", "Dr. B", "border")
    assert store.case("case one").state is CaseState.IN_PROGRESS
    assert store.confirmed() == (first,)
    store.confirm(a_confirmation(2))
    assert store.case("case one").state is CaseState.CONFIRMED
    assert [m.action for m in store.marks("case one")] == ["reopen"]


def test_a_skipped_case_says_why_and_can_be_taken_up_again(store):
    store.skip("case one", "Dr. B", "motion")
    case = store.case("case one")
    assert (case.state, case.note) == (CaseState.SKIPPED, "motion")
    store.reopen("case one", "Dr. B")
    store.set_state("case one", CaseState.TODO)
    assert store.case("case one").state is CaseState.TODO


def test_a_confirmed_case_cannot_be_skipped(store):
    store.confirm(a_confirmation())
    with pytest.raises(CacheError, match="Withdraw it first"):
        store.set_state("case one", CaseState.SKIPPED)


def test_a_case_cannot_be_declared_confirmed_without_a_mask(store):
    with pytest.raises(CacheError, match="no confirmed version"):
        store.set_state("case one", CaseState.CONFIRMED)


def test_sequence_numbers_are_shared_by_everything_and_grow(store):
    store.confirm(a_confirmation(1))
    store.reopen("case one", "")
    store.confirm(a_confirmation(2))
    assert [v.ref.sequence for v in store.versions("case one")] == [1, 3]
    assert store.version(3).ref.case_version == 2
    with pytest.raises(UnknownCase, match="number 2"):
        store.version(2)


def test_arrivals_keep_the_number_of_the_first_version(store):
    for number in (1, 2, 3):
        store.confirm(a_confirmation(number))
    assert store.arrivals() == {"case one": 1}


def test_unknown_cases_are_named(campaign):
    with CampaignStore.open(campaign, writer=True) as store:
        for ask in (
            lambda: store.case("nobody"),
            lambda: store.versions("nobody"),
            lambda: store.marks("nobody"),
            lambda: store.load_draft("nobody"),
            lambda: store.reopen("nobody", ""),
            lambda: store.set_state("nobody", CaseState.TODO),
        ):
            with pytest.raises(UnknownCase, match="no case 'nobody'"):
                ask()
