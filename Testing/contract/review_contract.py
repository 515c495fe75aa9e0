"""What every `EngineClient` must do when a second person looks; see `targets_contract`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from engine_contract import a_confirmation, an_image, wait_for, wait_until
from targets_contract import KIDNEY, LIVER, PeopleOfTargets, block, rows_of, shown

from clopa_annotator import errors
from clopa_annotator.types import CaseState
from clopa_annotator.types.review import ReviewFilter, Verdict


def confirm(client, slot, mask, who="Ada"):
    return wait_for(client, client.confirm(replace(a_confirmation("case 1", mask, slot=slot), annotator=who)))


def begin(client, slot=LIVER, mask=None, who="Ada"):
    """A case with one target confirmed, given back."""
    wait_for(client, client.open_case("case 1", an_image(), "", slot))
    ref = confirm(client, slot, block(2, 6) if mask is None else mask, who)
    wait_for(client, client.leave_case())
    return ref


def row_of(client, slot=LIVER):
    (row,) = [row for row in wait_for(client, client.reviews()) if row.slot == slot]
    return row


class ReviewContract(PeopleOfTargets):
    def test_a_returned_case_is_mended_and_accepted(self, one, other):
        begin(one)
        back = wait_for(other, other.send_back("case 1", "Too wide.", LIVER, row_of(other).seen))
        assert (back.verdict, back.reviewer, back.annotator) == (Verdict.RETURNED, "Bob", "Ada")
        assert wait_for(one, one.statistics()) == ()
        assert rows_of(one)[0][LIVER].state is CaseState.NEEDS_REVIEW
        assert rows_of(one)[0][LIVER].note == "Too wide."
        opened = wait_for(one, one.open_case("case 1", an_image(), "", LIVER))
        assert opened.returned.comment == "Too wide." and opened.confirmed is None
        assert np.array_equal(shown(opened.answer), block(2, 6))
        assert confirm(one, LIVER, block(2, 5)).case_version == 2
        wait_for(one, one.leave_case())
        row = row_of(other)
        assert (row.verdict, row.case_version) == (Verdict.NONE, 2)
        assert wait_for(other, other.accept("case 1", LIVER, row.seen)).verdict is Verdict.ACCEPTED
        assert rows_of(one)[0][LIVER].verdict is Verdict.ACCEPTED
        assert wait_for(one, one.open_case("case 1", an_image(), "", LIVER)).returned is None

    def test_the_place_comes_back_as_it_was_marked(self, one, other):
        begin(one)
        x, y, z = an_image().geometry.origin_lps_mm
        place = (x + 2.0, y + 3.0, z + 4.0)
        wait_for(other, other.send_back("case 1", "Here.", LIVER, None, place))
        assert row_of(one).place_lps_mm == pytest.approx(place)
        with pytest.raises(errors.InputError, match="outside"):
            wait_for(other, other.send_back("case 1", "There.", LIVER, None, (900.0, 0.0, 0.0)))

    def test_nobody_reviews_their_own_case(self, one):
        begin(one)
        with pytest.raises(errors.OwnCase, match="second person"):
            wait_for(one, one.accept("case 1", LIVER))
        with pytest.raises(errors.InputError, match="comment"):
            wait_for(one, one.send_back("case 1", " ", LIVER))

    def test_replacing_what_was_accepted_has_to_be_meant(self, one, other):
        begin(one)
        wait_for(other, other.accept("case 1", LIVER))
        wait_for(one, one.open_case("case 1", an_image(), "", LIVER))
        with pytest.raises(errors.AcceptedCase, match="Bob"):
            confirm(one, LIVER, block(2, 5))
        with pytest.raises(errors.AcceptedCase, match="Return"):
            wait_for(one, one.withdraw("case 1", "no", LIVER))
        assert row_of(one).case_version == 1
        sent = a_confirmation("case 1", block(2, 5), slot=LIVER, replaces_accepted=True)
        assert wait_for(one, one.confirm(sent)).case_version == 2
        assert row_of(one).verdict is Verdict.NONE

    def test_what_changed_meanwhile_is_not_judged(self, one, other):
        begin(one)
        seen = row_of(other).seen
        begin(one, mask=block(2, 5))
        with pytest.raises(errors.ReviewConflict, match="meanwhile"):
            wait_for(other, other.accept("case 1", LIVER, seen))
        seen = row_of(other).seen
        first = wait_for(other, other.accept("case 1", LIVER, seen))
        assert wait_for(other, other.accept("case 1", LIVER, seen)) == first, "asked again, answered again"
        with pytest.raises(errors.ReviewConflict, match="accepted by Bob"):
            wait_for(other, other.send_back("case 1", "late", LIVER, seen))

    def test_what_somebody_has_open_is_not_judged(self, one, other):
        begin(one)
        wait_for(one, one.open_case("case 1", an_image(), "", LIVER))
        with pytest.raises(errors.CaseTaken, match="Ada"):
            wait_for(other, other.accept("case 1", LIVER))

    def test_the_list_is_filtered(self, one, other):
        begin(one)
        begin(other, KIDNEY, block(8, 10), "Bob")
        wait_for(other, other.accept("case 1", LIVER))
        assert [row.slot for row in wait_for(one, one.reviews())] == [LIVER, KIDNEY]
        for chosen, slots in (
            (ReviewFilter(verdict=Verdict.ACCEPTED), [LIVER]),
            (ReviewFilter(verdict=Verdict.NONE), [KIDNEY]),
            (ReviewFilter(annotator="bob"), [KIDNEY]),
            (ReviewFilter(target=KIDNEY.target), [KIDNEY]),
            (ReviewFilter(expected_above=0.0), []),
        ):
            assert [row.slot for row in wait_for(one, one.reviews(chosen))] == slots
        assert math.isnan(row_of(one).expected)

    def test_a_version_is_compared_with_the_one_before(self, one, other):
        begin(one)
        assert wait_for(other, other.compare("case 1", LIVER)).earlier is None
        wait_for(other, other.send_back("case 1", "Too wide.", LIVER))
        begin(one, mask=block(2, 5))
        found = wait_for(other, other.compare("case 1", LIVER))
        assert found.earlier_version == 1 and np.array_equal(found.earlier, block(2, 6))
        assert found.suggestion is None
        with pytest.raises(errors.CacheError, match="nothing to review"):
            wait_for(other, other.compare("case 1", KIDNEY))

    def test_a_verdict_is_told_as_an_event(self, one, other):
        told = []
        one.listen(lambda event: told.append(event.data) if event.name == "reviewed" else None)
        begin(one)
        wait_for(other, other.accept("case 1", LIVER))
        wait_until(one, lambda: told)
        assert (told[0]["case_id"], told[0]["verdict"]) == ("case 1", "accepted")
