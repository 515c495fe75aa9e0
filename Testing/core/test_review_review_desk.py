"""The reviewer's desk: what somebody has open is left alone, and what a version is compared with."""

from __future__ import annotations

from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from cache_helpers import a_confirmation, a_mask, a_store, an_image

from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.errors import CaseTaken, OwnCase
from clopa_annotator.events import EventLog
from clopa_annotator.review.review_desk import ReviewDesk
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import Subject, Suggestion
from clopa_annotator.types.review import Judgement, ReviewFilter, Verdict
from clopa_annotator.types.targets import FIRST

tmp_path = cache_helpers.tmp_path


@pytest.fixture
def desk(tmp_path: Path):
    with a_store(tmp_path / "campaign") as store:
        store.add_case("case one", an_image())
        store.confirm(a_confirmation(1))
        made = ReviewDesk(store.folder, store, CaseLeases(), EventLog(), lambda *place: told.append(place))
        told: list[object] = []
        made.told = told
        yield made


def returned(who: str = "Bob") -> Judgement:
    return Judgement("case one", Verdict.RETURNED, who, comment="border")


def test_what_somebody_has_open_is_judged_by_nobody_else(desk: ReviewDesk) -> None:
    desk._leases.take("case one", "Ada", FIRST)
    with pytest.raises(CaseTaken, match="Ada"):
        desk.judge(returned())
    assert desk.rows(ReviewFilter())[0].verdict is Verdict.NONE and not desk.told


def test_a_reviewer_keeps_the_case_that_is_open_and_gives_back_the_others(desk: ReviewDesk) -> None:
    desk._leases.take("case one", "Bob", FIRST)
    desk.judge(returned())
    assert desk._leases.holder("case one", FIRST) == "Bob" and desk.told == [("case one", FIRST)]
    desk._leases.release("case one", "Bob", FIRST)
    with pytest.raises(OwnCase):
        desk._store.confirm(a_confirmation(2))
        desk.judge(returned("Dr. Ä"))
    assert desk._leases.holder("case one", FIRST) is None, "a refusal keeps nothing"
    names = [event.name for event in desk._events.since(0)]
    assert names == ["reviewed", "case_changed"]


def test_the_returned_mask_is_there_until_it_is_confirmed_anew(desk: ReviewDesk) -> None:
    assert desk.returned("case one", FIRST) is None
    desk.judge(returned())
    row, mask = desk.returned("case one", FIRST)
    assert row.comment == "border" and np.array_equal(mask, a_mask(1))
    desk._store.confirm(a_confirmation(2))
    assert desk.returned("case one", FIRST) is None


def test_a_version_is_held_against_the_one_before_and_the_kept_suggestion(desk: ReviewDesk) -> None:
    first = desk.compare("case one", FIRST)
    assert first.earlier is None and first.suggestion is None
    SuggestionFolder(desk._folder).keep(Suggestion(Subject("case one"), a_mask(7), 3, {"agreement": 0.5}))
    desk.judge(returned())
    assert desk.compare("case one", FIRST).earlier is None, "the returned one is looked at itself"
    desk._store.confirm(a_confirmation(2))
    found = desk.compare("case one", FIRST)
    assert found.earlier_version == 1 and np.array_equal(found.earlier, a_mask(1))
    assert found.suggested_by == 3 and np.array_equal(found.suggestion, a_mask(7))
