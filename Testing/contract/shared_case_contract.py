"""What every `EngineClient` must do where targets and people meet in one case; see `targets_contract`.

No voxel belongs to two targets that exclude each other, two people work on two targets, each learns for
itself, and the list of targets changes while somebody annotates.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_contract import CENTRE, SHAPE, an_image, wait_for, wait_until
from targets_contract import (
    KIDNEY,
    LESION,
    LIVER,
    SECOND,
    TARGETS,
    VESSEL,
    PeopleOfTargets,
    block,
    confirm,
    rows_of,
    shown,
)

from clopa_annotator import errors
from clopa_annotator.types import CaseState, MaskPrompt, PointPrompt, Slot, Target, Targets
from clopa_annotator.wire.messages import Draft


class SharedCaseContract(PeopleOfTargets):
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
