"""What every engine must do about suggestions; mixed into a test class that makes the clients.

A subclass provides the fixtures ``make_client``, a function giving new clients on one campaign whose engine
suggests by itself, and ``promote``, a function that brings the next weights version into use.
"""

from __future__ import annotations

import numpy as np
import pytest
from engine_contract import CENTRE, SHAPE, a_confirmation, an_image, wait_for, wait_until

from clopa_annotator.case_order import CaseSettings
from clopa_annotator.types import MaskPrompt, PointPrompt, SuggestionUse
from clopa_annotator.wire.messages import Draft


def slot_row(client, case_id):
    rows = {row.case_id: row for row in wait_for(client, client.cases())}
    return rows[case_id].slots[0]


def wait_for_suggestion(client, case_id, version):
    def is_there():
        mark = slot_row(client, case_id).suggestion
        return mark is not None and mark.version == version

    wait_until(client, is_there, 40.0)


class SuggestionsContract:
    """The sentences."""

    @pytest.fixture
    def client(self, make_client):
        client = make_client()
        yield client
        client.close()

    def test_a_case_that_was_sent_has_a_suggestion_that_its_opening_brings_along(self, client, promote):
        told = []
        client.listen(lambda event: told.append((event.name, event.data.get("case_id"))))
        wait_for(client, client.prefetch_case("case 1", an_image(1)))
        promote()
        wait_for_suggestion(client, "case 1", 1)
        assert ("suggested", "case 1") in told
        opened = wait_for(client, client.open_case("case 1", an_image(1)))
        suggested = opened.suggestion
        assert suggested.mask.shape == SHAPE and suggested.mask.dtype == np.uint8
        assert suggested.mark.version == 1 and 0 <= suggested.mark.score <= 1
        assert suggested.mark.dice is None and suggested.mark.cases == 0, "not known yet"
        assert not opened.answer.proposal.mask.any() and opened.draft is None and not opened.answer.can_undo

    def test_a_suggestion_that_is_taken_is_a_start_for_clicks_and_can_be_undone(self, client, promote):
        wait_for(client, client.prefetch_case("case 1", an_image(1)))
        promote()
        wait_for_suggestion(client, "case 1", 1)
        mask = wait_for(client, client.open_case("case 1", an_image(1))).suggestion.mask
        taken = wait_for(client, client.add_prompts([MaskPrompt(mask)]))
        assert np.array_equal(taken.proposal.mask, mask)
        assert wait_for(client, client.add_prompts([PointPrompt(CENTRE)])).prompt_count == 2
        wait_for(client, client.undo())
        assert np.array_equal(wait_for(client, client.undo()).proposal.mask, np.zeros(SHAPE, np.uint8))

    def test_an_untouched_suggestion_is_confirmed_as_such_and_shown_no_more(self, client, promote):
        wait_for(client, client.prefetch_case("case 1", an_image(1)))
        promote()
        wait_for_suggestion(client, "case 1", 1)
        mask = wait_for(client, client.open_case("case 1", an_image(1))).suggestion.mask
        sent = a_confirmation("case 1", mask, prompts=(), suggestion=SuggestionUse.UNTOUCHED)
        wait_for(client, client.confirm(sent))
        (line,) = wait_for(client, client.statistics())
        assert line.suggestion is SuggestionUse.UNTOUCHED and line.prompts == 0
        opened = wait_for(client, client.open_case("case 1", an_image(1)))
        assert opened.suggestion is None and opened.confirmed is not None

    def test_a_withheld_suggestion_is_told_and_not_given_and_is_compared_all_the_same(self, client, promote):
        wait_for(client, client.prefetch_case("case 1", an_image(1)))
        promote()
        wait_for_suggestion(client, "case 1", 1)
        wait_for(client, client.set_case_settings(CaseSettings("added", 1.0)))
        opened = wait_for(client, client.open_case("case 1", an_image(1)))
        assert opened.is_withheld and opened.suggestion is None
        assert slot_row(client, "case 1").suggestion is not None, "an order by certainty needs its score"
        mask = np.ones(SHAPE, np.uint8)
        wait_for(client, client.confirm(a_confirmation("case 1", mask, suggestion=SuggestionUse.WITHHELD)))
        (line,) = wait_for(client, client.statistics())
        assert line.suggestion is SuggestionUse.WITHHELD and 0 <= line.suggestion_dice < 1
        assert not wait_for(client, client.open_case("case 1", an_image(1))).is_withheld, "it is confirmed"

    def test_begun_work_hides_the_suggestion(self, client, promote):
        wait_for(client, client.prefetch_case("case 1", an_image(1)))
        promote()
        wait_for_suggestion(client, "case 1", 1)
        mask = wait_for(client, client.open_case("case 1", an_image(1))).suggestion.mask
        wait_for(client, client.save_draft(Draft(mask, suggestion=SuggestionUse.TAKEN)))
        wait_for(client, client.leave_case())
        assert slot_row(client, "case 1").suggestion is None
        assert wait_for(client, client.open_case("case 1", an_image(1))).suggestion is None

    def test_the_base_model_shows_none_and_a_better_version_makes_them_anew(self, client, promote):
        wait_for(client, client.prefetch_case("case 1", an_image(1)))
        assert wait_for(client, client.open_case("case 2", an_image(2))).suggestion is None
        for version in (1, 2):
            promote()
            wait_for_suggestion(client, "case 1", version)

    def test_all_open_cases_are_asked_for_with_progress_and_can_be_cancelled(self, client, promote):
        for number in range(3):
            wait_for(client, client.prefetch_case(f"case {number}", an_image(number)))
        promote()
        state = wait_for(client, client.suggest_all())
        assert state.is_on and state.sentence and state.total <= 3
        wait_until(client, lambda: wait_for(client, client.suggestions()).ready == 3, 60.0)
        state = wait_for(client, client.cancel_suggestions())
        assert not state.all_wanted and state.waiting == 0 and state.passed_over == ()

    def test_suggestions_can_be_switched_off_and_on(self, client, promote):
        wait_for(client, client.prefetch_case("case 1", an_image(1)))
        promote()
        wait_for_suggestion(client, "case 1", 1)
        state = wait_for(client, client.switch_suggestions(False))
        assert (state.phase, state.is_on) == ("off", False)
        assert slot_row(client, "case 1").suggestion is None
        assert wait_for(client, client.open_case("case 1", an_image(1))).suggestion is None
        assert wait_for(client, client.switch_suggestions(True)).is_on
