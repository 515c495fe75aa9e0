"""What every `EngineClient` must do, whoever answers; mixed into a test class that makes the clients.

A subclass provides the fixture ``make_client``: a function giving new clients on one campaign, whose
scheduler starts an episode after five confirmations.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import replace

import numpy as np
import pytest

from clopa_annotator import errors
from clopa_annotator.geometry import Geometry, box_slices
from clopa_annotator.types import CaseState, Confirmation, Image, PointPrompt, SuggestionUse, TimedPrompt
from clopa_annotator.wire.messages import API_VERSION, Draft

SHAPE = (20, 24, 28)
CENTRE = (10, 12, 14)


def an_image(seed=0, shape=SHAPE):
    """A noisy volume with a bright ball in the middle."""
    grid = np.indices(shape)
    distance = np.sqrt(sum((g - n // 2) ** 2 for g, n in zip(grid, shape, strict=True)))
    noise = np.random.default_rng(seed).normal(0, 0.1, shape)
    return Image((noise + 3.0 * (distance < 6)).astype(np.float32), Geometry(shape))


def wait_for(client, call, seconds=30.0):
    """The call's result, or its error raised."""
    box = {}
    call.then(lambda r: box.update(result=r), lambda e: box.update(error=e))
    wait_until(client, lambda: box, seconds)
    if "error" in box:
        raise box["error"]
    return box["result"]


def wait_until(client, condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        client.poll(0.01)
        if time.monotonic() > end:
            pytest.fail("the engine did not get there in time")


def a_confirmation(case_id, mask, **kw):
    kw.setdefault("prompts", (TimedPrompt(PointPrompt(CENTRE), 1.0),))
    return Confirmation(uuid.uuid4().hex, case_id, mask, annotator="tester", seconds_active=12.5, **kw)


def confirm_case(client, case_id, seed=0, **kw):
    wait_for(client, client.open_case(case_id, an_image(seed)))
    mask = wait_for(client, client.add_prompts([PointPrompt(CENTRE)])).proposal.mask.copy()
    return wait_for(client, client.confirm(a_confirmation(case_id, mask, first_shown_dice=0.8, **kw)))


class EngineContract:
    @pytest.fixture
    def client(self, make_client):
        client = make_client()
        yield client
        client.close()

    def test_it_says_who_it_is(self, client):
        info = wait_for(client, client.connect())
        assert info.api_version == API_VERSION and info.licence and info.campaign and info.supported

    def test_nothing_is_delivered_before_poll(self, client):
        seen = []
        client.connect().then(seen.append)
        assert not seen
        wait_until(client, lambda: seen)
        wait_until(client, lambda: client.pending == 0)

    def test_opening_a_case_gives_an_empty_proposal_and_puts_the_case_in_progress(self, client):
        opened = wait_for(client, client.open_case("case 1", an_image()))
        assert opened.row.state is CaseState.IN_PROGRESS and opened.draft is None
        assert not opened.answer.proposal.mask.any() and opened.answer.proposal.mask.shape == SHAPE
        assert not opened.answer.can_undo

    def test_names_with_spaces_accents_and_slashes_are_names(self, client):
        for name in ("Fall 7 – Müller/left", "..", "病例 1"):
            assert wait_for(client, client.open_case(name, an_image())).row.case_id == name

    def test_a_click_changes_only_what_it_says(self, client):
        wait_for(client, client.open_case("case 1", an_image()))
        shown = np.zeros(SHAPE, np.uint8)
        for position in (CENTRE, (4, 4, 4)):
            proposal = wait_for(client, client.add_prompts([PointPrompt(position)])).proposal
            if proposal.changed_kji is not None:
                box = box_slices(proposal.changed_kji)
                shown[box] = proposal.mask[box]
            assert np.array_equal(shown, proposal.mask)
        assert shown.any()

    def test_undo_redo_and_reset_go_back_and_forth(self, client):
        wait_for(client, client.open_case("case 1", an_image()))
        first = wait_for(client, client.add_prompts([PointPrompt(CENTRE)]))
        one = first.proposal.mask.copy()
        assert first.can_undo and not first.can_redo and first.prompt_count == 1
        undone = wait_for(client, client.undo())
        assert not undone.proposal.mask.any() and undone.can_redo and undone.prompt_count == 0
        assert np.array_equal(wait_for(client, client.redo()).proposal.mask, one)
        assert not wait_for(client, client.reset()).proposal.mask.any()
        assert np.array_equal(wait_for(client, client.undo()).proposal.mask, one)

    def test_revisions_grow(self, client):
        wait_for(client, client.open_case("case 1", an_image()))
        revisions = []
        for call in (client.add_prompts([PointPrompt(CENTRE)]), client.undo(), client.redo()):
            call.then(lambda answer: revisions.append(answer.proposal.revision))
        wait_until(client, lambda: len(revisions) == 3)
        assert revisions == sorted(set(revisions))

    def test_undo_with_nothing_to_undo_says_so(self, client):
        wait_for(client, client.open_case("case 1", an_image()))
        with pytest.raises(errors.NothingToUndo):
            wait_for(client, client.undo())

    def test_a_click_outside_is_refused_in_words_and_changes_nothing(self, client):
        wait_for(client, client.open_case("case 1", an_image()))
        with pytest.raises(errors.PromptError):
            wait_for(client, client.add_prompts([PointPrompt((999, 0, 0))]))
        assert wait_for(client, client.add_prompts([PointPrompt(CENTRE)])).prompt_count == 1

    @pytest.mark.parametrize("value", [np.nan, 0.0])
    def test_an_unusable_image_is_refused(self, client, value):
        image = an_image()
        image.voxels[...] = value
        with pytest.raises(errors.ImageError):
            wait_for(client, client.open_case("bad", image))

    def test_another_image_under_the_same_name_is_refused(self, client):
        wait_for(client, client.open_case("case 1", an_image(0)))
        with pytest.raises(errors.GeometryError):
            wait_for(client, client.open_case("case 1", an_image(1)))

    def test_the_same_image_with_a_grid_rounded_by_another_reader_is_the_same_case(self, client):
        image = an_image(0)
        wait_for(client, client.prefetch_case("case 1", image))
        x, y, z = image.geometry.origin_lps_mm
        rounded = replace(image, geometry=replace(image.geometry, origin_lps_mm=(x + 1e-9, y, z)))
        opened = wait_for(client, client.open_case("case 1", rounded))
        assert opened.row.case_id == "case 1"

    @pytest.mark.parametrize("kind", ["constant", "two values"])
    def test_an_image_that_cannot_be_opened_is_not_added(self, client, kind):
        image = an_image(0)
        voxels = np.zeros_like(image.voxels)
        if kind == "two values":
            voxels[2:5, 3:6, 4:8] = 1
        for call in (client.open_case, client.prefetch_case):
            with pytest.raises(errors.ImageError):
                wait_for(client, call("flat", replace(image, voxels=voxels)))
        assert "flat" not in {row.case_id for row in wait_for(client, client.cases())}

    def test_a_prompt_without_a_case_is_refused(self, client):
        with pytest.raises(errors.ClopaError):
            wait_for(client, client.add_prompts([PointPrompt(CENTRE)]))

    def test_a_cancelled_answer_is_made_up_for_by_the_next(self, client):
        wait_for(client, client.open_case("case 1", an_image()))
        dropped = []
        client.add_prompts([PointPrompt(CENTRE)]).then(dropped.append).cancel()
        answer = wait_for(client, client.add_prompts([PointPrompt((10, 12, 15))]))
        shown = np.zeros(SHAPE, np.uint8)
        box = box_slices(answer.proposal.changed_kji)
        shown[box] = answer.proposal.mask[box]
        assert not dropped and np.array_equal(shown, answer.proposal.mask)

    def test_a_confirmation_is_answered_with_its_hash_and_told_as_an_event(self, client):
        events = []
        client.listen(events.append)
        ref = confirm_case(client, "case 1")
        assert len(ref.record_hash) == 64 and ref.case_version == 1
        wait_until(client, lambda: [e for e in events if e.name == "confirmed"])
        told = next(e for e in events if e.name == "confirmed")
        assert told.data["record_hash"] == ref.record_hash
        (row,) = wait_for(client, client.cases())
        assert row.state is CaseState.CONFIRMED and row.versions == 1

    def test_delivering_a_confirmation_twice_changes_nothing(self, client):
        wait_for(client, client.open_case("case 1", an_image()))
        confirmation = a_confirmation("case 1", (an_image().voxels > 1).astype(np.uint8))
        first = wait_for(client, client.confirm(confirmation))
        assert wait_for(client, client.confirm(confirmation)) == first
        assert len(wait_for(client, client.statistics())) == 1

    def test_a_mask_of_another_shape_is_refused(self, client):
        wait_for(client, client.open_case("case 1", an_image()))
        with pytest.raises(errors.ClopaError):
            wait_for(client, client.confirm(a_confirmation("case 1", np.zeros((3, 3, 3), np.uint8))))
        assert wait_for(client, client.statistics()) == ()

    def test_a_correction_is_a_second_version(self, client):
        confirm_case(client, "case 1")
        assert wait_for(client, client.reopen("case 1")).state is not CaseState.CONFIRMED
        assert confirm_case(client, "case 1").case_version == 2

    def test_opening_a_confirmed_case_shows_what_was_confirmed(self, client):
        ref = confirm_case(client, "case 1")
        confirm_case(client, "case 2", seed=2)
        opened = wait_for(client, client.open_case("case 1", an_image()))
        assert opened.confirmed == ref and opened.answer.proposal.mask.any()

    def test_skip_flag_and_withdraw_keep_their_reason(self, client):
        confirm_case(client, "case 1")
        assert wait_for(client, client.withdraw("case 1", "wrong side")).note == "wrong side"
        assert wait_for(client, client.statistics()) == ()
        skipped = wait_for(client, client.skip("case 1", "too noisy"))
        assert skipped.state is CaseState.SKIPPED and skipped.note == "too noisy"
        assert wait_for(client, client.flag("case 1", "ask")).state is CaseState.NEEDS_REVIEW

    def test_an_unknown_case_is_refused(self, client):
        with pytest.raises(errors.UnknownCase):
            wait_for(client, client.skip("nobody", "no"))

    def test_a_draft_comes_back_to_another_client(self, make_client):
        first = make_client()
        wait_for(first, first.open_case("case 1", an_image()))
        mask = wait_for(first, first.add_prompts([PointPrompt(CENTRE)])).proposal.mask.copy()
        prompts = (TimedPrompt(PointPrompt(CENTRE), 1.5),)
        wait_for(first, first.save_draft(Draft(mask, prompts, 33.0)))
        wait_for(first, first.leave_case())
        first.close()
        second = make_client()
        (row,) = wait_for(second, second.cases())
        assert row.has_draft and row.state is CaseState.IN_PROGRESS
        opened = wait_for(second, second.open_case("case 1", an_image()))
        assert opened.draft is not None and opened.draft.seconds_active == 33.0
        assert opened.draft.prompts == prompts
        assert np.array_equal(opened.answer.proposal.mask, mask)
        second.close()

    def test_prefetching_adds_a_case_without_opening_it(self, client):
        row = wait_for(client, client.prefetch_case("case 9", an_image(), "folder/case 9.nii.gz"))
        assert row.state is CaseState.TODO and row.source == "folder/case 9.nii.gz"

    def test_statistics_keep_what_a_confirmation_cost(self, client):
        confirm_case(client, "case 1")
        (line,) = wait_for(client, client.statistics())
        assert (line.case_id, line.prompts, line.seconds_active) == ("case 1", 1, 12.5)
        assert line.first_shown_dice == pytest.approx(0.8)

    def test_statistics_tell_what_was_made_of_each_suggestion(self, client):
        for number, use in enumerate(SuggestionUse):
            confirm_case(client, f"case {number}", number, suggestion=use)
        assert [s.suggestion for s in wait_for(client, client.statistics())] == list(SuggestionUse)

    def test_a_draft_keeps_what_was_made_of_the_suggestion(self, client):
        wait_for(client, client.open_case("case 1", an_image()))
        mask = (an_image().voxels > 1).astype(np.uint8)
        wait_for(client, client.save_draft(Draft(mask, suggestion=SuggestionUse.CLEARED)))
        opened = wait_for(client, client.open_case("case 1", an_image()))
        assert opened.draft.suggestion is SuggestionUse.CLEARED

    def test_learning_counts_and_can_be_paused(self, client):
        assert wait_for(client, client.learning()).phase == "idle"
        confirm_case(client, "case 1")
        state = wait_for(client, client.learning())
        assert state.phase == "waiting" and (state.gathered, state.needed) == (1, 5) and state.sentence
        assert wait_for(client, client.pause(True)).paused
        assert not wait_for(client, client.pause(False)).paused

    def test_training_with_too_few_cases_is_refused(self, client):
        with pytest.raises(errors.EpisodeError):
            wait_for(client, client.train_now())

    def test_cancelling_without_an_episode_is_refused(self, client):
        with pytest.raises(errors.EpisodeError):
            wait_for(client, client.cancel_episode())

    def test_the_base_is_version_zero_and_an_unknown_version_is_refused(self, client):
        (base,) = wait_for(client, client.weights())
        assert base.number == 0 and base.licence
        with pytest.raises(errors.UnknownVersion):
            wait_for(client, client.roll_back(7))

    def test_the_swap_policy_is_kept(self, client):
        assert wait_for(client, client.set_swap_policy("at once")).swap_policy == "at once"
        assert wait_for(client, client.learning()).swap_policy == "at once"

    def test_closing_twice_is_fine(self, make_client):
        client = make_client()
        client.close()
        client.close()
