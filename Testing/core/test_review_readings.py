"""Blind to each other: what the second reader is shown, and where their work goes."""

from __future__ import annotations

from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from cache_helpers import a_confirmation, a_mask, a_store, an_image

from clopa_annotator.campaign.cases import Cases
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.errors import InputError
from clopa_annotator.events import EventLog
from clopa_annotator.review.review_desk import ReviewDesk
from clopa_annotator.types import CaseState
from clopa_annotator.types.review import Judgement, ReviewFilter, Verdict
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.messages import Draft

tmp_path = cache_helpers.tmp_path
CASE = "case one"


class House:
    def __init__(self, store) -> None:
        self.store, self.events, self.learned = store, EventLog(), []
        leases = CaseLeases()

        def confirming(confirmation):
            return lambda: self.learned.append(confirmation.annotator)

        self.cases = Cases(store, leases, self.events, confirming)
        self.desk: ReviewDesk = self.cases.reviews(store.folder)

    def of(self, who: str) -> Cases:
        return self.desk.seen_by(self.cases, who)

    def confirm(self, who: str, number: int):
        return self.of(who).confirm(a_confirmation(number, annotator=who), 0)


@pytest.fixture
def house(tmp_path: Path):
    with a_store(tmp_path / "campaign", settings={"double_reading": 1.0}) as store:
        store.add_case(CASE, an_image())
        house = House(store)
        house.confirm("Ada", 1)
        yield house


def test_the_second_reader_sees_a_case_that_nobody_has_begun(house: House) -> None:
    bob = house.of("Bob")
    (row,) = bob.cases()
    assert (row.state, row.versions, row.note, row.has_draft) == (CaseState.TODO, 0, "", False)
    assert bob.newest(CASE, FIRST) is None and bob.load_draft(CASE, FIRST) is None
    assert bob.take_case(CASE, "Bob", FIRST).state is CaseState.IN_PROGRESS
    assert bob.first_open(CASE, "Bob") == FIRST
    (row,) = house.of("Ada").cases()
    assert row.state is CaseState.CONFIRMED and house.of("Ada").newest(CASE, FIRST) is not None


def test_each_keeps_a_draft_that_the_other_never_sees(house: House) -> None:
    house.of("Ada").save_draft(CASE, "Ada", Draft(a_mask(5)), FIRST)
    house.of("Bob").save_draft(CASE, "Bob", Draft(a_mask(6)), FIRST)
    for who, seed in (("Ada", 5), ("Bob", 6)):
        draft = house.of(who).load_draft(CASE, FIRST)
        assert draft is not None and np.array_equal(draft.mask, a_mask(seed))
    assert house.of("Eve").load_draft(CASE, FIRST) is None
    assert house.of("Bob").case(CASE).state is CaseState.IN_PROGRESS


def test_the_second_reading_is_kept_beside_the_first_teaches_nothing_and_is_told(house: House) -> None:
    assert house.learned == ["Ada"]
    ref = house.confirm("Bob", 2)
    assert house.confirm("Bob", 2) == ref and house.learned == ["Ada"]
    assert [r.case_version for r in house.store.confirmed()] == [1]
    assert "confirmed" in [event.name for event in house.events.since(0)][-3:]
    own = house.of("Bob").newest(CASE, FIRST)
    assert own is not None and np.array_equal(own[1], a_mask(2))
    assert house.of("Bob").case(CASE).state is CaseState.CONFIRMED
    (pair,) = house.desk.agreement()
    assert (pair.one, pair.two, pair.readings) == ("Ada", "Bob", 1)


def test_a_second_reading_is_corrected_by_its_reader_and_the_first_by_theirs(house: House) -> None:
    house.confirm("Bob", 2)
    house.confirm("Bob", 3)
    assert [v.reading for v in house.store.versions(CASE)] == [1, 2, 2]
    house.confirm("Ada", 4)
    assert house.store.newest(CASE).ref.case_version == 4 and not house.store.newest(CASE).conflict


def test_a_third_person_sees_what_trains_once_both_have_read(house: House) -> None:
    assert house.of("Eve").newest(CASE, FIRST) is None, "Eve might be the second"
    house.confirm("Bob", 2)
    seen = house.of("Eve").newest(CASE, FIRST)
    assert seen is not None and seen[0].case_version == 1
    assert [row.annotator for row in house.desk.rows(ReviewFilter())] == ["Ada"]
    assert house.desk.judge(Judgement(CASE, Verdict.ACCEPTED, "Eve")).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("action", ["skip", "withdraw", "flag"])
def test_the_second_reader_does_not_touch_the_first_reading(house: House, action: str) -> None:
    with pytest.raises(InputError, match="Two people annotate this case"):
        house.of("Bob").mark(action, CASE, "Bob", "why", FIRST)
    assert house.of("Bob").mark("reopen", CASE, "Bob", "", FIRST).state is CaseState.TODO
    assert house.store.marks(CASE) == ()


def test_without_the_setting_everybody_sees_everything(tmp_path: Path) -> None:
    with a_store(tmp_path / "plain") as store:
        store.add_case(CASE, an_image())
        house = House(store)
        house.confirm("Ada", 1)
        assert house.of("Bob").cases() == house.cases.cases()
        assert house.of("Bob").newest(CASE, FIRST) is not None
        house.confirm("Bob", 2)
        assert [v.reading for v in store.versions(CASE)] == [1, 1]
