"""Accepted and returned: marks that last, that older programs understand, and that nobody makes unseen."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import cache_helpers
import pytest
from cache_helpers import a_confirmation, a_mask, a_store, an_image

from clopa_annotator.cache.campaign_store import CampaignStore, rebuild_index
from clopa_annotator.cache.format.mark import Mark, Reviewed
from clopa_annotator.cache.reviewing import judge, review_row, review_rows
from clopa_annotator.cache.together import confirm_together
from clopa_annotator.errors import (
    AcceptedCase,
    CacheError,
    CorruptRecord,
    InputError,
    OwnCase,
    ReviewConflict,
    UnknownCase,
)
from clopa_annotator.types import CaseState, Slot, Target, Targets
from clopa_annotator.types.review import Judgement, Verdict
from clopa_annotator.types.targets import FIRST

tmp_path = cache_helpers.tmp_path
PLACE = (-12.5, 30.25, 7.0)
"""The centre of the helpers' first voxel."""


@pytest.fixture
def store(tmp_path: Path):
    with a_store(tmp_path / "campaign") as store:
        store.add_case("case one", an_image())
        store.add_case("case two", an_image(2))
        store.confirm(a_confirmation(1))
        yield store


def accept(store: CampaignStore, who: str = "Bob", **changes: object):
    return judge(store, Judgement("case one", Verdict.ACCEPTED, who, **changes))


def send_back(store: CampaignStore, who: str = "Bob", comment: str = "The border is too wide.", **changes):
    return judge(store, Judgement("case one", Verdict.RETURNED, who, comment=comment, **changes))


def test_a_returned_case_leaves_the_training_data_until_it_is_confirmed_anew(store: CampaignStore) -> None:
    row = send_back(store, place_lps_mm=PLACE)
    assert (row.verdict, row.reviewer, row.annotator) == (Verdict.RETURNED, "Bob", "Dr. Ä")
    assert (row.comment, row.place_lps_mm) == ("The border is too wide.", PLACE)
    assert store.confirmed() == () and store.newest("case one") is None
    shown = store.case("case one")
    assert (shown.state, shown.note) == (CaseState.NEEDS_REVIEW, "The border is too wide.")
    store.confirm(a_confirmation(2), based_on_version=1)
    (ref,) = store.confirmed()
    assert ref.case_version == 2
    assert review_row(store, "case one", FIRST).verdict is Verdict.NONE
    assert [m.action for m in store.marks("case one")] == ["return"]


def test_an_accepted_case_goes_on_training_and_is_confirmed(store: CampaignStore) -> None:
    store.set_state("case one", CaseState.NEEDS_REVIEW, "Eve", "odd")
    row = accept(store, comment="good")
    assert (row.verdict, row.reviewer, row.comment) == (Verdict.ACCEPTED, "Bob", "good")
    assert store.slot("case one").state is CaseState.CONFIRMED
    assert [r.case_version for r in store.confirmed()] == [1]


def test_replacing_what_was_accepted_has_to_be_meant_and_is_recorded(store: CampaignStore) -> None:
    accept(store)
    with pytest.raises(AcceptedCase, match="accepted by Bob"):
        store.confirm(a_confirmation(2))
    with pytest.raises(AcceptedCase):
        confirm_together(store, [a_confirmation(2), a_confirmation(3, "case two")])
    assert len(store.versions("case one")) == 1 and not store.versions("case two")
    mark = store.slot("case one").judged
    ref = store.confirm(a_confirmation(2, replaces_accepted=True))
    assert store.record(ref).replaces_accepted == mark == store.marks("case one")[0].sequence
    assert review_row(store, "case one", FIRST).verdict is Verdict.NONE
    again = store.confirm(a_confirmation(2, replaces_accepted=True))
    assert again == ref, "a repeated delivery is answered as before"


def test_several_at_once_replace_what_was_accepted_only_if_that_is_meant(store: CampaignStore) -> None:
    accept(store)
    refs = confirm_together(store, [a_confirmation(2, replaces_accepted=True), a_confirmation(3, "case two")])
    assert [store.record(r).replaces_accepted for r in refs] == [store.marks("case one")[0].sequence, None]


def test_an_accepted_case_is_not_withdrawn_but_may_be_returned_by_who_has_seen_it(store) -> None:
    row = accept(store)
    with pytest.raises(AcceptedCase, match="Return it"):
        store.withdraw("case one", "Eve", "no")
    assert send_back(store, "Eve", seen=row.seen).verdict is Verdict.RETURNED
    assert not store.confirmed()


def test_a_withdrawn_version_has_no_verdict_and_nothing_to_review(store: CampaignStore) -> None:
    store.withdraw("case one", "Eve", "no")
    assert review_rows(store) == ()
    with pytest.raises(CacheError, match="nothing to review"):
        accept(store)
    with pytest.raises(UnknownCase):
        judge(store, Judgement("case three", Verdict.ACCEPTED, "Bob"))
    with pytest.raises(CacheError, match="nothing to review"):
        judge(store, Judgement("case two", Verdict.ACCEPTED, "Bob"))


@pytest.mark.parametrize("name", ["Dr. Ä", " dr. ä "])
def test_nobody_reviews_their_own_case(store: CampaignStore, name: str) -> None:
    with pytest.raises(OwnCase, match="second person"):
        accept(store, name)
    assert store.marks("case one") == ()


def test_a_setting_allows_it_and_the_mark_names_the_setting(tmp_path: Path) -> None:
    with a_store(tmp_path / "own", settings={"review_own_cases": True}) as store:
        store.add_case("case one", an_image())
        store.confirm(a_confirmation(1))
        accept(store, "Dr. Ä")
        send_back(store, "Bob", seen=store.slot("case one").judged)
        assert [m.review.allowed_by for m in store.marks("case one")] == ["review_own_cases", ""]


def test_nobody_judges_what_has_changed_since_they_looked(store: CampaignStore) -> None:
    seen = review_row(store, "case one", FIRST).seen
    store.confirm(a_confirmation(2))
    with pytest.raises(ReviewConflict, match=r"Dr\. Ä has confirmed .*version 2"):
        accept(store, seen=seen)
    seen = review_row(store, "case one", FIRST).seen
    accept(store, "Eve", seen=seen)
    for late in (accept, send_back):
        with pytest.raises(ReviewConflict, match="accepted by Eve meanwhile"):
            late(store, seen=seen)
    with pytest.raises(ReviewConflict, match="accepted by Eve already"):
        accept(store)
    assert len(store.marks("case one")) == 1


def test_of_two_reviewers_at_once_one_wins_and_the_other_is_told(store: CampaignStore) -> None:
    seen, told, won = review_row(store, "case one", FIRST).seen, [], []
    start = threading.Barrier(2)

    def decide(action, who: str) -> None:
        start.wait()
        try:
            won.append(action(store, who, seen=seen).reviewer)
        except ReviewConflict as error:
            told.append(str(error))

    people = [threading.Thread(target=decide, args=pair) for pair in ((accept, "Bob"), (send_back, "Eve"))]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert len(won) == len(told) == 1 and won[0] in told[0]
    assert [m.annotator for m in store.marks("case one")] == won


def test_a_judgement_whose_answer_was_lost_is_answered_again_without_a_second_mark(store) -> None:
    seen = review_row(store, "case one", FIRST).seen
    assert send_back(store, seen=seen) == send_back(store, seen=seen)
    with pytest.raises(ReviewConflict, match="returned by Bob meanwhile"):
        send_back(store, comment="And the other side.")
    with pytest.raises(ReviewConflict, match="confirmed anew"):
        accept(store)
    assert len(store.marks("case one")) == 1


def test_a_place_outside_the_image_is_refused_and_nothing_is_written(store: CampaignStore) -> None:
    with pytest.raises(InputError, match="outside the image"):
        send_back(store, place_lps_mm=(500.0, 0.0, 0.0))
    assert store.marks("case one") == ()


def test_verdicts_are_what_the_files_say_when_the_index_is_made_again(store: CampaignStore) -> None:
    send_back(store, place_lps_mm=PLACE)
    store.confirm(a_confirmation(4, "case two"))
    judge(store, Judgement("case two", Verdict.ACCEPTED, "Bob"))
    before, cases = review_rows(store), store.cases()
    assert store.verify().ok
    folder = store.folder
    store.close()
    (folder / "index.sqlite").unlink()
    with CampaignStore.open(folder) as reader:
        assert review_rows(reader) == before and reader.cases() == cases
    assert rebuild_index(folder).marks == 2
    with CampaignStore.open(folder, writer=True) as writer:
        assert review_rows(writer) == before and writer.cases() == cases


def test_an_older_program_reads_a_return_as_a_withdrawal_and_an_acceptance_as_nothing(store) -> None:
    """What version 1 said of marks: `case_version` is withdrawn, and the state is as named."""
    send_back(store, place_lps_mm=PLACE)
    store.confirm(a_confirmation(2))
    accept(store)
    base = next(store.folder.glob("cases/case-one-*"))
    returned, accepted = (json.loads(p.read_bytes()) for p in sorted(base.glob("m*.json")))
    known = ("case_version", "state", "reason", "format_version")
    assert [returned[k] for k in known] == [1, "NEEDS_REVIEW", "The border is too wide.", 1]
    assert [accepted[k] for k in known] == [None, "CONFIRMED", "", 1]
    assert returned["review"] == {"case_version": 1, "place_lps_mm": list(PLACE), "allowed_by": ""}
    assert json.loads((store.folder / "campaign.json").read_bytes())["format_version"] == 1


def test_a_mark_without_its_review_is_damaged_and_others_have_none() -> None:
    mark = Mark(3, "one", "accept", CaseState.CONFIRMED, annotator="Bob", review=Reviewed(1))
    assert Mark.from_document(mark.to_document()) == mark
    plain = Mark(3, "one", "reopen", CaseState.IN_PROGRESS, annotator="Bob")
    assert b"review" not in plain.to_document()
    other = Mark(3, "one", "reopen", CaseState.CONFIRMED).to_document().replace(b'"reopen"', b'"accept"')
    with pytest.raises(CorruptRecord):
        Mark.from_document(other)


def test_a_campaign_of_before_keeps_what_its_index_knew(store: CampaignStore, tmp_path: Path) -> None:
    """An index of the schema before reviews is made again, with the numbers that were used up."""
    import sqlite3

    folder = Path(shutil.copytree(store.folder, tmp_path / "before"))
    with sqlite3.connect(folder / "index.sqlite") as index:
        index.execute("PRAGMA user_version = 3")
        index.execute("UPDATE meta SET value = 41 WHERE key = 'last_sequence'")
    index.close()
    with CampaignStore.open(folder, writer=True) as opened:
        assert opened.confirm(a_confirmation(2)).sequence == 42


def test_each_target_has_its_own_verdict(tmp_path: Path) -> None:
    targets = Targets([Target("liver"), Target("spleen", "spleen", overlaps=True)])
    with a_store(tmp_path / "two", targets=targets) as store:
        store.add_case("case one", an_image())
        for number, slot in enumerate((FIRST, Slot("spleen"))):
            store.confirm(a_confirmation(number, mask=a_mask(number), slot=slot))
        judge(store, Judgement("case one", Verdict.RETURNED, "Bob", None, "x", slot=Slot("spleen")))
        assert [r.verdict for r in review_rows(store)] == [Verdict.NONE, Verdict.RETURNED]
        assert len(store.confirmed()) == 1 and not store.confirmed("spleen")
        with pytest.raises(ReviewConflict, match="Spleen in the case 'case one' was returned"):
            judge(store, Judgement("case one", Verdict.ACCEPTED, "Bob", slot=Slot("spleen")))
