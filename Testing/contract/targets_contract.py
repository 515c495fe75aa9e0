"""What every `EngineClient` must do in a campaign with several targets, whoever answers.

A subclass provides the fixture ``make_target_client``: a function giving new clients, named by a person,
on one campaign with the targets of `TARGETS`, whose scheduler starts an episode after five confirmations.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_contract import CENTRE, SHAPE, a_confirmation, an_image, wait_for, wait_until

from clopa_annotator import errors
from clopa_annotator.geometry import box_slices
from clopa_annotator.types import CaseState, MaskPrompt, PointPrompt, Slot, Target, Targets, TimedPrompt
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


class TargetsContract:
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

    # -- no voxel twice ------------------------------------------------------------------------------------

    def test_a_proposal_takes_no_voxel_of_another_target(self, one):
        image = an_image()
        ball = (image.voxels > 1.5).astype(np.uint8)
        wait_for(one, one.open_case("case 1", image))
        half = ball.copy()
        half[:, :, CENTRE[2] :] = 0
        confirm(one, LIVER, half)
        wait_for(one, one.choose(KIDNEY))
        answers = [
            wait_for(one, one.add_prompts([prompt])) for prompt in (MaskPrompt(ball), PointPrompt(CENTRE))
        ]
        assert np.array_equal(shown(answers[0]), ball & ~half & 1)
        answers += [wait_for(one, one.undo()), wait_for(one, one.redo())]
        assert not any((shown(answer) & half).any() for answer in answers)
        wait_for(one, one.choose(VESSEL))
        assert np.array_equal(shown(wait_for(one, one.add_prompts([MaskPrompt(ball)]))), ball)

    def test_drafts_are_left_alone_too_and_instances_exclude_each_other(self, one):
        whole = np.ones(SHAPE, np.uint8)
        wait_for(one, one.open_case("case 1", an_image(), "", LESION))
        wait_for(one, one.save_draft(Draft(block(2, 6)), LESION))
        wait_for(one, one.choose(SECOND))
        assert np.array_equal(shown(wait_for(one, one.add_prompts([MaskPrompt(whole)]))), 1 - block(2, 6))

    def test_what_others_let_go_of_comes_back(self, one):
        whole = np.ones(SHAPE, np.uint8)
        wait_for(one, one.open_case("case 1", an_image()))
        confirm(one, LIVER, block(2, 6))
        wait_for(one, one.choose(KIDNEY))
        cut = shown(wait_for(one, one.add_prompts([MaskPrompt(whole)])))
        assert not cut[3, 3, 3] and cut[8, 8, 8]
        wait_for(one, one.withdraw("case 1", "wrong", LIVER))
        assert shown(wait_for(one, one.choose(KIDNEY)).answer).all()

    def test_a_confirmation_of_voxels_that_another_has_is_refused(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        confirm(one, LIVER, block(2, 6))
        with pytest.raises(errors.InputError, match="liver"):
            confirm(one, KIDNEY, block(4, 8))
        assert confirm(one, VESSEL, block(4, 8)).slot == VESSEL
        assert not rows_of(one)[0][KIDNEY].versions

    # -- several people ------------------------------------------------------------------------------------

    def test_two_people_work_on_two_targets_of_one_case(self, one, other):
        wait_for(one, one.open_case("case 1", an_image()))
        opened = wait_for(other, other.open_case("case 1", an_image()))
        assert opened.slot == KIDNEY, "the liver is in other hands"
        assert {row.slot: row.owner for row in opened.row.slots}[LIVER] == "Ada"
        with pytest.raises(errors.CaseTaken, match="Ada"):
            wait_for(other, other.choose(LIVER))
        assert wait_for(other, other.add_prompts([PointPrompt(CENTRE)])).prompt_count == 1
        wait_for(one, one.choose(VESSEL))
        assert wait_for(other, other.choose(LIVER)).slot == LIVER

    def test_what_somebody_else_did_meanwhile_is_not_overwritten(self, one, other):
        wait_for(one, one.open_case("case 1", an_image()))
        wait_for(one, one.add_prompts([PointPrompt(CENTRE)]))
        wait_for(one, one.choose(VESSEL))
        wait_for(other, other.open_case("case 1", an_image(), "", LIVER))
        confirm(other, LIVER, block(2, 6))
        wait_for(other, other.leave_case())
        back = wait_for(one, one.choose(LIVER))
        assert np.array_equal(shown(back.answer), block(2, 6)) and back.confirmed is not None

    def test_a_confirmation_is_told_with_its_target(self, one):
        told = []
        one.listen(lambda event: told.append(event.data) if event.name == "confirmed" else None)
        wait_for(one, one.open_case("case 1", an_image(), "", LESION))
        confirm(one, LESION, block(0, 3))
        wait_until(one, lambda: told)
        assert (told[0]["target"], told[0]["instance"]) == ("lesion", 1)

    # -- learning ------------------------------------------------------------------------------------------

    def test_each_target_learns_for_itself(self, one):
        wait_for(one, one.open_case("case 1", an_image(), "", KIDNEY))
        confirm(one, KIDNEY, block(0, 3))
        kidney = wait_for(one, one.learning("left-kidney"))
        liver = wait_for(one, one.learning())
        assert (kidney.target, kidney.gathered) == ("left-kidney", 1)
        assert (liver.target, liver.gathered, liver.phase) == ("", 0, "idle")
        assert wait_for(one, one.pause(True, "left-kidney")).paused
        assert not wait_for(one, one.learning()).paused
        assert wait_for(one, one.set_swap_policy("at once", "vessel")).swap_policy == "at once"
        assert wait_for(one, one.learning("lesion")).swap_policy == "between cases"
        assert [v.number for v in wait_for(one, one.weights("vessel"))] == [0]
        assert wait_for(one, one.roll_back(0, "lesion")).target == "lesion"
        assert wait_for(one, one.episodes("lesion")) == ()

    # -- changing the targets ------------------------------------------------------------------------------

    def test_targets_are_renamed_and_added_while_somebody_annotates(self, one, other):
        told = []
        other.listen(lambda event: told.append(event.name))
        wait_for(other, other.open_case("case 1", an_image(), "", KIDNEY))
        wait_for(other, other.add_prompts([PointPrompt(CENTRE)]))
        renamed = Targets(replace(t, name="Niere") if t.key == "left-kidney" else t for t in TARGETS)
        info = wait_for(one, one.set_targets(renamed.with_new(Target("spleen"))))
        assert [t.name for t in info.targets] == ["liver", "Niere", "vessel", "lesion", "spleen"]
        wait_until(other, lambda: "targets_changed" in told)
        assert wait_for(other, other.connect()).targets == info.targets
        assert wait_for(other, other.add_prompts([PointPrompt((4, 4, 4))])).prompt_count == 2
        confirm(other, KIDNEY, block(0, 3))
        assert Slot("spleen") in rows_of(other)[0]
        assert wait_for(other, other.choose(Slot("spleen"))).slot == Slot("spleen")

    def test_a_target_added_later_makes_a_finished_case_open_again(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        for slot in (LIVER, KIDNEY, VESSEL, LESION):
            confirm(one, slot, np.zeros(SHAPE, np.uint8))
        assert rows_of(one)[1].state is CaseState.CONFIRMED
        wait_for(one, one.set_targets(TARGETS.with_new(Target("spleen"))))
        _, row = rows_of(one)
        assert row.state is CaseState.IN_PROGRESS and (row.decided, len(row.slots)) == (4, 5)

    def test_a_target_with_records_cannot_be_removed(self, one):
        wait_for(one, one.open_case("case 1", an_image()))
        confirm(one, KIDNEY, block(0, 3))
        without = Targets(t for t in TARGETS if t.key != "left-kidney")
        with pytest.raises(errors.InputError, match="left kidney"):
            wait_for(one, one.set_targets(without))
        fewer = Targets(t for t in TARGETS if t.key != "vessel")
        assert len(wait_for(one, one.set_targets(fewer)).targets) == 3
