"""Two people read a case blind to each other: both are kept, the first trains until one is accepted."""

from __future__ import annotations

from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from cache_helpers import SHAPE, a_confirmation, a_mask, a_store, an_image

from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft, rebuild_index
from clopa_annotator.cache.reviewing import judge, review_row, review_rows
from clopa_annotator.errors import AcceptedCase, InputError, ReviewConflict
from clopa_annotator.types import CaseState
from clopa_annotator.types.review import Judgement, Verdict, is_double_read
from clopa_annotator.types.targets import FIRST

tmp_path = cache_helpers.tmp_path


@pytest.fixture
def store(tmp_path: Path):
    with a_store(tmp_path / "campaign", settings={"double_reading": 1.0}) as store:
        store.add_case("case one", an_image())
        store.confirm(a_confirmation(1, annotator="Ada"), 0)
        yield store


def second(store: CampaignStore, number: int = 2):
    return store.confirm(a_confirmation(number, annotator="Bob"), 0, reading=2)


def test_the_draw_is_the_same_everywhere_and_grows_with_the_share() -> None:
    names = [f"case {n}" for n in range(2000)]
    drawn = {
        share: {n for n in names if is_double_read({"double_reading": share, "seed": 3}, n)}
        for share in (0.1, 0.2, 1.0)
    }
    assert 150 < len(drawn[0.1]) < 250 and drawn[0.1] < drawn[0.2] and len(drawn[1.0]) == 2000
    assert drawn[0.1] != {n for n in names if is_double_read({"double_reading": 0.1, "seed": 4}, n)}
    assert not is_double_read({}, "case 1") and not is_double_read({"double_reading": 0}, "case 1")


def test_the_second_reading_lies_beside_the_first_and_does_not_train(store: CampaignStore) -> None:
    ref = second(store)
    assert ref.case_version == 2 and store.record(ref).reading == 2 and not store.record(ref).conflict
    assert [(r.case_version) for r in store.confirmed()] == [1]
    shown = store.case("case one")
    assert shown.state is CaseState.CONFIRMED and shown.sequence == 1
    assert [v.annotator for v in store.second_readings("case one")] == ["Bob"]
    assert second(store) == ref, "a repeated delivery is answered as before"


def test_a_correction_by_the_first_reader_is_no_conflict_with_the_second(store: CampaignStore) -> None:
    second(store)
    ref = store.confirm(a_confirmation(3, annotator="Ada"), based_on_version=1)
    assert not store.record(ref).conflict and store.newest("case one").ref == ref


def test_nothing_is_reviewed_before_the_second_person_has_read_it(store: CampaignStore) -> None:
    assert review_rows(store) == ()
    with pytest.raises(ReviewConflict, match="read by a second person first"):
        judge(store, Judgement("case one", Verdict.ACCEPTED, "Eve"))
    second(store)
    assert [r.annotator for r in review_rows(store)] == ["Ada"]
    assert judge(store, Judgement("case one", Verdict.ACCEPTED, "Eve")).verdict is Verdict.ACCEPTED


def test_a_reviewer_may_accept_the_second_reading_which_then_trains(store: CampaignStore) -> None:
    second(store)
    with pytest.raises(InputError, match="Version 7"):
        judge(store, Judgement("case one", Verdict.ACCEPTED, "Eve", version=7))
    with pytest.raises(InputError, match="Version 2"):
        judge(store, Judgement("case one", Verdict.RETURNED, "Eve", comment="x", version=2))
    row = judge(store, Judgement("case one", Verdict.ACCEPTED, "Eve", version=2))
    assert (row.annotator, row.case_version, row.verdict) == ("Bob", 2, Verdict.ACCEPTED)
    assert [r.case_version for r in store.confirmed()] == [2]
    folder = store.folder
    store.close()
    rebuild_index(folder)
    with CampaignStore.open(folder, writer=True) as again:
        assert [r.case_version for r in again.confirmed()] == [2]
        assert review_row(again, "case one", FIRST) == row
        with pytest.raises(AcceptedCase):
            again.confirm(a_confirmation(4, annotator="Ada"), 1)


def test_an_empty_second_reading_that_is_accepted_says_that_nothing_is_there(store: CampaignStore) -> None:
    store.confirm(a_confirmation(5, annotator="Bob", mask=np.zeros(SHAPE, np.uint8)), 0, reading=2)
    assert not store.slot("case one").is_absent
    judge(store, Judgement("case one", Verdict.ACCEPTED, "Eve", version=2))
    assert store.slot("case one").is_absent


def test_the_second_readers_draft_never_touches_the_firsts(store: CampaignStore) -> None:
    for reading, seed in ((1, 7), (2, 8)):
        store.save_draft(CaseDraft("case one", a_mask(seed), annotator="x", reading=reading))
    assert np.array_equal(store.load_draft("case one").mask, a_mask(7))
    assert np.array_equal(store.load_draft("case one", reading=2).mask, a_mask(8))
    assert store.verify().ok
    second(store)
    assert store.load_draft("case one", reading=2) is None and store.load_draft("case one") is not None
    (damaged,) = (store.folder / "drafts").glob("*.json")
    target = store.folder / "readings" / damaged.name
    target.write_bytes(damaged.read_bytes())
    assert not store.verify().ok, "a draft in the wrong folder is found"
