"""Several targets in one case: each keeps its own prompts, undo, decision, time and draft."""

from __future__ import annotations

import numpy as np
import pytest
from slots_case import BESIDE, CENTRE, KIDNEY, LESION, LIVER, SECOND, Case
from test_annotation_session import SHAPE, an_image

from clopa_annotator.types import Slot


@pytest.fixture
def case(application) -> Case:  # the shell's sentences need an application that translates
    return Case()


def test_a_case_opens_at_its_first_target_that_is_not_decided(case: Case) -> None:
    assert case.session.slot == LIVER
    case.click(*CENTRE)
    case.settle()
    case.session.confirm("Ada", "")
    case.settle()
    case.session.close()
    case.session.open("one", an_image(3))
    case.settle()
    assert case.session.slot == case.view.chosen == KIDNEY


def test_undo_and_redo_belong_to_the_target_they_were_made_in(case: Case) -> None:
    case.click(*CENTRE)
    case.settle()
    liver = case.view.currentMask(LIVER)
    case.choose(KIDNEY)
    assert not case.session.work.canUndo and case.view.prompts == ()
    case.click(*BESIDE)
    case.settle()
    case.session.undo()
    case.settle()
    assert not case.view.currentMask(KIDNEY).any()
    assert np.array_equal(case.view.currentMask(LIVER), liver) and liver.any()
    case.choose(LIVER)
    assert case.session.work.canUndo and [p.timed.prompt.position_kji for p in case.view.prompts] == [CENTRE]
    case.session.undo()
    case.settle()
    assert not case.view.currentMask(LIVER).any() and case.prompts(LIVER) == []
    case.choose(KIDNEY)
    case.session.redo()
    case.settle()
    assert case.prompts(KIDNEY) == [BESIDE] and case.view.currentMask(KIDNEY).any()


def test_switching_saves_the_draft_of_the_target_that_is_left(case: Case) -> None:
    case.click(*CENTRE)
    case.settle()
    case.choose(KIDNEY)
    draft = case.record(LIVER).draft
    assert draft is not None and np.array_equal(draft.mask, case.view.currentMask(LIVER))
    assert len(draft.prompts) == 1 and case.record(KIDNEY).draft is None


def test_a_click_under_way_is_answered_to_its_own_target_and_the_next_goes_to_the_new_one(case: Case) -> None:
    case.client.delay_s = 0.03
    case.click(*CENTRE)
    case.session.select(KIDNEY)
    case.click(*BESIDE)
    assert [p.timed.prompt.position_kji for p in case.view.prompts] == [BESIDE], "seen at once"
    case.settle()
    assert case.prompts(LIVER) == [CENTRE] and case.prompts(KIDNEY) == [BESIDE]
    assert case.view.currentMask(LIVER)[CENTRE] and case.view.currentMask(KIDNEY)[BESIDE]
    assert not (case.view.currentMask(LIVER) & case.view.currentMask(KIDNEY)).any()


def test_switching_to_and_fro_before_anything_is_answered_loses_no_click(case: Case) -> None:
    case.client.delay_s = 0.02
    sequence = [(LIVER, CENTRE), (KIDNEY, BESIDE), (LIVER, (10, 13, 14)), (LESION, (17, 20, 24)),
                (KIDNEY, (3, 4, 3))]  # fmt: skip
    for slot, position in sequence:
        case.session.select(slot)
        case.click(*position)
    case.settle()
    for slot in (LIVER, KIDNEY, LESION):
        given = [position for s, position in sequence if s == slot]
        assert case.prompts(slot) == given and case.engineHas(slot) == given
    assert case.session.slot == case.view.chosen == KIDNEY


def test_undo_takes_back_what_waits_for_the_chosen_target_only(case: Case) -> None:
    case.client.delay_s = 0.03
    case.click(*CENTRE)
    case.click(11, 12, 14)
    case.session.select(KIDNEY)
    case.click(*BESIDE)
    case.session.undo()
    case.settle()
    assert len(case.prompts(LIVER)) == 2 and case.prompts(KIDNEY) == []


def test_cancel_drops_what_waits_for_the_chosen_target_only(case: Case) -> None:
    case.client.delay_s = 0.03
    case.click(*CENTRE)
    case.session.select(KIDNEY)
    case.click(*BESIDE)
    case.session.cancel()
    case.settle()
    assert case.prompts(LIVER) == [CENTRE] and case.prompts(KIDNEY) == []


def test_each_target_has_a_clock_of_its_own(case: Case) -> None:
    case.now += 5
    case.click(*CENTRE)
    case.settle()
    case.choose(KIDNEY)
    case.now += 7
    case.click(*BESIDE)
    case.settle()
    case.session.confirm("Ada", "")
    case.settle()
    case.choose(LIVER)
    case.now += 2
    case.session.confirm("Ada", "")
    case.settle()
    seconds = {
        line.slot: line.seconds_active for key in ("", "kidney") for line in case.campaign.statistics(key)
    }
    assert seconds == {LIVER: 7.0, KIDNEY: 7.0}


def test_not_present_needs_no_second_question_and_what_was_marked_comes_back_by_undo(case: Case) -> None:
    case.click(*CENTRE)
    case.settle()
    marked = case.view.currentMask(LIVER)
    case.session.confirmAbsent("Ada", "")
    case.settle()
    (version,) = case.record(LIVER).versions
    assert not version.mask.any() and case.view.confirmed == [(LIVER, True)]
    assert case.session.isConfirmed and not case.view.currentMask(LIVER).any()
    case.session.undo()
    case.settle()
    assert np.array_equal(case.view.currentMask(LIVER), marked) and not case.session.isConfirmed


def test_a_confirmation_is_of_the_target_it_was_made_in_whatever_is_chosen_meanwhile(case: Case) -> None:
    case.click(*CENTRE)
    case.settle()
    case.client.delay_s = 0.05
    case.session.confirm("Ada", "")
    case.session.select(KIDNEY)
    case.settle()
    assert len(case.record(LIVER).versions) == 1 and not case.record(KIDNEY).versions
    assert not case.session.isConfirmed and case.session.works[LIVER].decision.isConfirmed


def test_one_more_of_a_kind_is_a_mask_of_its_own(case: Case) -> None:
    for slot, position in ((LESION, CENTRE), (SECOND, BESIDE)):
        case.choose(slot)
        case.click(*position)
        case.settle()
        case.session.confirm("Ada", "")
        case.settle()
    first, second = (case.record(slot).versions[0].mask for slot in (LESION, SECOND))
    assert first[CENTRE] and second[BESIDE] and not (first & second).any()


def test_a_target_that_somebody_else_has_is_refused_and_the_chosen_one_stays(case: Case) -> None:
    case.click(*CENTRE)
    case.settle()
    case.campaign.take("one", "Bob", KIDNEY)
    case.session.select(KIDNEY)
    case.click(*BESIDE)
    case.settle()
    assert any("Bob is working on kidney" in said for said in case.view.said)
    assert case.session.slot == case.view.chosen == LIVER
    case.click(11, 12, 14)
    case.settle()
    assert case.prompts(LIVER) == [CENTRE, (11, 12, 14)], "the click on the refused target went nowhere"


@pytest.mark.parametrize("seed", range(20))
def test_any_walk_over_targets_leaves_each_with_the_prompts_that_were_given_to_it(
    case: Case, seed: int
) -> None:
    random, slots = np.random.default_rng(seed), (LIVER, KIDNEY, LESION)
    given: dict[Slot, list[tuple[int, int, int]]] = {slot: [] for slot in slots}
    for _ in range(30):
        what = random.integers(4)
        if what == 0:
            case.session.select(slots[random.integers(3)])
        elif what == 3:
            case.settle()
            case.click(*BESIDE)
            case.settle()
            case.session.undo()
        else:
            position = tuple(int(random.integers(n)) for n in SHAPE)
            case.click(*position)
            given[case.session.slot].append(position)
            if what == 1:
                case.client.poll()
            else:
                case.settle()
    case.settle()
    assert {slot: case.prompts(slot) if slot in case.session.works else [] for slot in slots} == given
    masks = [case.view.currentMask(slot) for slot in slots]
    assert sum(np.count_nonzero(mask) for mask in masks) == np.count_nonzero(np.any(masks, axis=0)), (
        "no overlap"
    )
