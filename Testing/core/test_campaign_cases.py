"""The cases as an engine serves them: whose they are, what is told, and what a confirmation sets going."""

from __future__ import annotations

from collections.abc import Callable

import cache_helpers
import numpy as np
import pytest
from cache_helpers import a_confirmation, a_mask, an_image

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.campaign.cases import Cases
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.errors import CaseTaken, InputError, UnknownCase
from clopa_annotator.events import EventLog
from clopa_annotator.types import CaseState, Confirmation
from clopa_annotator.wire.messages import Draft

store, tmp_path = cache_helpers.store, cache_helpers.tmp_path


class Served:
    """Cases with a learner that notes what it is given, before and after."""

    def __init__(self, store: CampaignStore) -> None:
        self.store, self.events = store, EventLog()
        self.before: list[int] = []
        self.after: list[int] = []
        self.fails = False
        self.cases = Cases(store, CaseLeases(60.0), self.events, self._confirming)

    def _confirming(self, confirmation: Confirmation) -> Callable[[], None]:
        self.before.append(len(self.store.confirmed()))

        def afterwards() -> None:
            self.after.append(len(self.store.confirmed()))
            if self.fails:
                raise RuntimeError("the learner failed")

        return afterwards

    def told(self) -> list[str]:
        return [event.name for event in self.events.since(0)]


@pytest.fixture
def served(store: CampaignStore) -> Served:
    return Served(store)


def test_learning_is_asked_before_a_case_counts_and_told_after_it_is_durable(served: Served) -> None:
    served.cases.confirm(a_confirmation())
    assert (served.before, served.after) == ([0], [1])
    assert served.told() == ["confirmed", "case_changed"]


def test_a_repeated_delivery_teaches_nothing_again(served: Served) -> None:
    first = served.cases.confirm(a_confirmation())
    assert served.cases.confirm(a_confirmation()) == first
    assert served.after == [1]


def test_a_learner_that_fails_does_not_make_a_durable_confirmation_fail(served: Served) -> None:
    served.fails = True
    ref = served.cases.confirm(a_confirmation())
    assert served.store.confirmed() == (ref,)
    assert served.told()[-1] == "episode_failed"


def test_two_peoples_versions_are_kept_and_the_conflict_is_told(served: Served) -> None:
    served.cases.confirm(a_confirmation(1, annotator="Ada"), based_on_version=0)
    served.cases.confirm(a_confirmation(2, annotator="Bob"), based_on_version=0)
    assert "conflict" in served.told() and len(served.store.versions("case one")) == 2
    assert served.cases.case("case one").state is CaseState.NEEDS_REVIEW


def test_a_confirmation_gives_the_case_back_and_only_to_its_holder(served: Served) -> None:
    served.cases.take_case("case one", "Bob")
    served.cases.confirm(a_confirmation(1, annotator="Ada"))
    assert served.cases.case("case one").owner == "Bob", "work is kept, a lease is not taken away"
    served.cases.confirm(a_confirmation(2, annotator="Bob"))
    assert served.cases.case("case one").owner == ""


@pytest.mark.parametrize("action", ["skip", "reopen", "flag", "withdraw"])
def test_a_case_in_somebodys_hands_is_decided_on_by_nobody_else(served: Served, action: str) -> None:
    served.cases.confirm(a_confirmation())
    before = served.store.case("case one")
    served.cases.take_case("case one", "Ada")
    with pytest.raises(CaseTaken):
        served.cases.mark(action, "case one", "Bob", "mine")
    with pytest.raises(CaseTaken):
        served.cases.save_draft("case one", "Bob", Draft(a_mask(2)))
    assert served.store.case("case one") == before


def test_a_decision_names_who_took_it_and_why(served: Served) -> None:
    served.cases.mark("skip", "case one", "Ada", "motion")
    (mark,) = served.store.marks("case one")
    assert (mark.action, mark.annotator, mark.reason) == ("skip", "Ada", "motion")
    assert served.cases.case("case one").note == "motion" and served.cases.case("case one").owner == ""
    with pytest.raises(InputError, match="no action"):
        served.cases.mark("delete", "case one", "Ada", "")


def test_a_draft_comes_back_with_its_prompts_and_time(served: Served) -> None:
    draft = Draft(a_mask(2), a_confirmation().prompts, 12.5)
    served.cases.save_draft("case one", "Ada", draft)
    back = served.cases.load_draft("case one")
    assert back is not None and np.array_equal(back.mask, draft.mask)
    assert (back.prompts, back.seconds_active) == (draft.prompts, 12.5)
    assert served.cases.case("case one").state is CaseState.IN_PROGRESS


def test_the_newest_version_is_the_one_that_counts(served: Served) -> None:
    assert served.cases.newest("case one") is None
    served.cases.confirm(a_confirmation(1))
    second = served.cases.confirm(a_confirmation(2))
    newest = served.cases.newest("case one")
    assert newest is not None and newest[0] == second and np.array_equal(newest[1], a_mask(2))
    served.cases.mark("withdraw", "case one", "Ada", "wrong side")
    assert served.cases.newest("case one") is None
    assert served.cases.statistics() == ()


def test_an_image_that_no_case_has_is_not_given(served: Served) -> None:
    digest = served.cases.image_hash_of("case one")
    assert np.array_equal(served.cases.read_image(digest).voxels, an_image().voxels)
    with pytest.raises(UnknownCase):
        served.cases.read_image("0" * 64)
