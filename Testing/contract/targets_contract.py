"""What every `EngineClient` must do in a campaign with several targets, whoever answers.

A subclass provides the fixture ``make_target_client``: a function giving new clients, named by a person,
on one campaign with the targets of `TARGETS`, whose scheduler starts an episode after five confirmations.
"""

from __future__ import annotations

import numpy as np
import pytest
from engine_contract import CENTRE, SHAPE, a_confirmation, an_image, wait_for

from clopa_annotator import errors
from clopa_annotator.geometry import box_slices
from clopa_annotator.types import CaseState, PointPrompt, Slot, Target, Targets, TimedPrompt
from clopa_annotator.types.exports import ExportOrder
from clopa_annotator.wire.messages import Draft

TARGETS = Targets(
    (
        Target("liver"),
        Target("left kidney", "left-kidney"),
        Target("vessel", "vessel", overlaps=True),
        Target("lesion", "lesion", instances=True),
    )
)
LIVER, KIDNEY, VESSEL, LESION = (Slot(t.key) for t in TARGETS)
SECOND = Slot("lesion", 2)


def block(low, high):
    mask = np.zeros(SHAPE, np.uint8)
    mask[low:high, low:high, low:high] = 1
    return mask


def shown(answer):
    return np.array(answer.proposal.mask)


def rows_of(client, case_id="case 1"):
    (row,) = [row for row in wait_for(client, client.cases()) if row.case_id == case_id]
    return {slot_row.slot: slot_row for slot_row in row.slots}, row


def confirm(client, slot, mask, case_id="case 1"):
    return wait_for(client, client.confirm(a_confirmation(case_id, mask, slot=slot)))


class PeopleOfTargets:
    @pytest.fixture
    def one(self, make_target_client):
        client = make_target_client("Ada")
        yield client
        client.close()

    @pytest.fixture
    def other(self, make_target_client):
        client = make_target_client("Bob")
        yield client
        client.close()


class TargetsContract(PeopleOfTargets):
    # -- what there is -------------------------------------------------------------------------------------

    def test_it_says_what_it_segments(self, one):
        assert wait_for(one, one.connect()).targets == tuple(TARGETS)

    def test_a_case_has_a_row_for_each_target_in_order(self, one):
        opened = wait_for(one, one.open_case("case 1", an_image()))
        assert [row.slot for row in opened.row.slots] == [LIVER, KIDNEY, VESSEL, LESION]
        assert opened.slot == LIVER and opened.others == ()
        assert opened.row.state is CaseState.IN_PROGRESS and opened.row.decided == 0

    def test_a_case_is_done_when_every_target_is_decided(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        for decided, slot in enumerate((LIVER, KIDNEY, VESSEL)):
            confirm(one, slot, block(2 * decided, 2 * decided + 2))
            _, row = rows_of(one)
            assert row.decided == decided + 1 and row.state is CaseState.IN_PROGRESS
        row = wait_for(one, one.skip("case 1", "none to see", LESION))
        assert row.state is CaseState.CONFIRMED and row.decided == 4

    def test_not_present_is_a_confirmation_like_any_other(self, one):
        wait_for(one, one.open_case("case 1", an_image(), "", KIDNEY))
        ref = confirm(one, KIDNEY, np.zeros(SHAPE, np.uint8))
        slots, _ = rows_of(one)
        assert ref.slot == KIDNEY and slots[KIDNEY].is_absent and slots[KIDNEY].is_decided
        assert not slots[LIVER].is_absent and not slots[LIVER].is_decided
        (line,) = wait_for(one, one.statistics("left-kidney"))
        assert line.slot == KIDNEY and wait_for(one, one.statistics()) == ()

    def test_a_case_opens_at_the_first_target_that_is_not_decided(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        confirm(one, LIVER, block(0, 3))
        wait_for(one, one.leave_case())
        assert wait_for(one, one.open_case("case 1", an_image())).slot == KIDNEY

    def test_marks_are_of_one_target(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        confirm(one, VESSEL, block(0, 3))
        wait_for(one, one.flag("case 1", "ask", VESSEL))
        wait_for(one, one.skip("case 1", "cut off", KIDNEY))
        slots, row = rows_of(one)
        assert slots[VESSEL].state is CaseState.NEEDS_REVIEW and slots[VESSEL].note == "ask"
        assert slots[KIDNEY].state is CaseState.SKIPPED and slots[KIDNEY].note == "cut off"
        assert slots[LIVER].note == "" and row.state is CaseState.NEEDS_REVIEW
        wait_for(one, one.withdraw("case 1", "wrong", VESSEL))
        assert wait_for(one, one.statistics("vessel")) == ()
        wait_for(one, one.reopen("case 1", KIDNEY))
        assert not rows_of(one)[0][KIDNEY].is_decided

    # -- choosing ------------------------------------------------------------------------------------------

    def test_each_target_keeps_its_steps_while_the_case_is_open(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        first = shown(wait_for(one, one.add_prompts([PointPrompt(CENTRE)])))
        second = shown(wait_for(one, one.add_prompts([PointPrompt((4, 4, 4))])))
        chosen = wait_for(one, one.choose(VESSEL))
        assert chosen.slot == VESSEL and not chosen.answer.can_undo and not shown(chosen.answer).any()
        assert wait_for(one, one.add_prompts([PointPrompt((5, 5, 5))])).prompt_count == 1
        back = wait_for(one, one.choose(LIVER))
        assert np.array_equal(shown(back.answer), second) and back.answer.prompt_count == 2
        assert np.array_equal(shown(wait_for(one, one.undo())), first)
        wait_for(one, one.choose(VESSEL))
        assert not shown(wait_for(one, one.undo())).any()
        again = wait_for(one, one.choose(LIVER))
        assert again.answer.can_redo and np.array_equal(shown(again.answer), first)
        assert np.array_equal(shown(wait_for(one, one.redo())), second)

    def test_what_changes_after_a_switch_is_told(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        wait_for(one, one.add_prompts([PointPrompt(CENTRE)]))
        for slot in (VESSEL, LIVER):
            mask = shown(wait_for(one, one.choose(slot)).answer)
            answer = wait_for(one, one.add_prompts([PointPrompt((4, 4, 4))]))
            if answer.proposal.changed_kji is not None:
                box = box_slices(answer.proposal.changed_kji)
                mask[box] = answer.proposal.mask[box]
            assert np.array_equal(mask, answer.proposal.mask)

    def test_a_target_begins_with_its_draft_or_its_confirmed_mask(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        ref = confirm(one, VESSEL, block(1, 4))
        wait_for(
            one, one.save_draft(Draft(block(6, 9), (TimedPrompt(PointPrompt(CENTRE), 1.0),), 7.0), KIDNEY)
        )
        wait_for(one, one.leave_case())
        opened = wait_for(one, one.open_case("case 1", an_image(), "", VESSEL))
        assert opened.confirmed == ref and np.array_equal(shown(opened.answer), block(1, 4))
        kidney = wait_for(one, one.choose(KIDNEY))
        assert kidney.draft is not None and kidney.draft.seconds_active == 7.0 and kidney.confirmed is None
        assert np.array_equal(shown(kidney.answer), block(6, 9))
        slots, _ = rows_of(one)
        assert slots[KIDNEY].has_draft and not slots[VESSEL].has_draft

    def test_a_draft_goes_to_the_chosen_target_unless_another_is_named(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        wait_for(one, one.choose(KIDNEY))
        wait_for(one, one.save_draft(Draft(block(6, 9))))
        wait_for(one, one.save_draft(Draft(block(1, 3)), VESSEL))
        slots, _ = rows_of(one)
        assert [s for s, row in slots.items() if row.has_draft] == [KIDNEY, VESSEL]

    def test_the_others_masks_come_with_the_chosen_one(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        confirm(one, LIVER, block(0, 3))
        confirm(one, KIDNEY, np.zeros(SHAPE, np.uint8))
        wait_for(one, one.save_draft(Draft(block(5, 7)), VESSEL))
        others = dict(wait_for(one, one.choose(LESION)).others)
        assert set(others) == {LIVER, VESSEL}
        assert np.array_equal(others[LIVER], block(0, 3)) and np.array_equal(others[VESSEL], block(5, 7))

    def test_another_one_is_the_next_instance(self, one):
        wait_for(one, one.open_case("case 1", an_image(), "", LESION))
        confirm(one, LESION, block(0, 3))
        assert wait_for(one, one.choose(SECOND)).slot == SECOND
        ref = confirm(one, SECOND, block(4, 6))
        assert ref.slot == SECOND and ref.case_version == 1
        assert [s for s in rows_of(one)[0] if s.target == "lesion"] == [LESION, SECOND]
        assert [line.slot for line in wait_for(one, one.statistics("lesion"))] == [LESION, SECOND]
        with pytest.raises(errors.InputError):
            wait_for(one, one.choose(Slot("lesion", 7)))

    def test_a_target_that_is_not_there_is_refused_in_words_and_nothing_changes(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        before = shown(wait_for(one, one.add_prompts([PointPrompt(CENTRE)])))
        for slot in (Slot("spleen"), Slot("left-kidney", 2)):
            for call in (
                lambda slot=slot: one.choose(slot),
                lambda slot=slot: one.skip("case 1", "no", slot),
                lambda slot=slot: one.save_draft(Draft(block(0, 2)), slot),
                lambda slot=slot: one.confirm(a_confirmation("case 1", block(0, 2), slot=slot)),
                lambda slot=slot: one.open_case("case 1", an_image(), "", slot),
            ):
                with pytest.raises(errors.InputError, match=r"liver|left kidney"):
                    wait_for(one, call())
        for call in (one.learning, one.episodes, one.weights, one.statistics, one.train_now):
            with pytest.raises(errors.ConfigError, match="no target 'spleen'"):
                wait_for(one, call("spleen"))
        answer = wait_for(one, one.undo())
        assert answer.can_redo and not shown(answer).any()
        assert np.array_equal(shown(wait_for(one, one.redo())), before)

    def test_choosing_without_a_case_is_refused(self, one):
        with pytest.raises(errors.NoImage):
            wait_for(one, one.choose(KIDNEY))

    def test_chosen_targets_are_exported_and_shared_voxels_go_to_whom_is_named_first(self, one, tmp_path):
        wait_for(one, one.open_case("case 1", an_image()))
        for slot, mask in ((LIVER, block(2, 9)), (VESSEL, block(5, 12))):
            confirm(one, slot, mask)

        def export(name, *targets, priority=()):
            order = ExportOrder("nifti", str(tmp_path / name), targets=targets, priority=priority)
            return wait_for(one, one.export(order)).written

        with pytest.raises(errors.InputError, match="liver and vessel share"):
            export("shared", "liver", "vessel")
        assert not (tmp_path / "shared").exists() or not any((tmp_path / "shared").iterdir())
        assert export("decided", "liver", "vessel", priority=("vessel", "liver")) == ("case 1",)
        assert export("one", "vessel") == ("case 1",)
        assert export("none", "lesion") == ()
        for targets, priority in ((("spleen",), ()), (("liver",), ("vessel",))):
            with pytest.raises(errors.ConfigError):
                export("refused", *targets, priority=priority)
