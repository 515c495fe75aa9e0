"""Several targets in one case when somebody else changes them: a lost engine, a hand edit, another person."""

from __future__ import annotations

import numpy as np
import pytest
from slots_case import BESIDE, CENTRE, KIDNEY, LIVER, Case
from test_annotation_session import SHAPE, an_image

from clopa_annotator.testing.fake_engine import FakeEngineClient
from clopa_annotator.types import Confirmation


@pytest.fixture
def case(application) -> Case:  # the shell's sentences need an application that translates
    return Case()


def test_the_engine_comes_back_and_every_target_goes_on_from_the_screen(case: Case) -> None:
    case.click(*CENTRE)
    case.settle()
    case.choose(KIDNEY)
    case.click(*BESIDE)
    case.settle()
    case.session.drafts.save()
    case.settle()
    shown = {slot: case.view.currentMask(slot) for slot in (LIVER, KIDNEY)}
    case.client.close()
    case.client = case.session.client = FakeEngineClient(case.campaign)  # another engine, the same campaign
    case.session.open("one", an_image(3), resume=True)
    case.settle()
    assert case.session.slot == KIDNEY
    for slot, mask in shown.items():
        case.choose(slot)
        assert np.array_equal(case.view.currentMask(slot), mask) and len(case.prompts(slot)) == 1
    case.click(10, 13, 14)
    case.settle()
    case.session.undo()
    case.settle()
    assert np.array_equal(case.view.currentMask(KIDNEY), shown[KIDNEY])


def test_work_that_the_lost_engine_never_got_is_kept_for_every_target(case: Case) -> None:
    case.click(*CENTRE)
    case.settle()
    case.choose(KIDNEY)
    case.click(*BESIDE)
    case.settle()
    for slot in (LIVER, KIDNEY):
        case.record(slot).draft = None  # as if the engine had died before it wrote them
    case.client.close()
    case.client = case.session.client = FakeEngineClient(case.campaign)
    case.session.open("one", an_image(3), resume=True)
    case.settle()
    case.session.drafts.tick()
    case.session.drafts.save()
    case.settle()
    for slot in (LIVER, KIDNEY):
        draft = case.record(slot).draft
        assert (
            draft is not None and np.array_equal(draft.mask, case.view.currentMask(slot)) and draft.mask.any()
        )


def test_an_engine_lost_while_switching_is_told_once_and_the_wanted_target_is_opened(case: Case) -> None:
    case.click(*CENTRE)
    case.settle()
    case.client.lost = True
    case.session.select(KIDNEY)
    case.settle()
    assert case.view.lost and case.session.slot == KIDNEY
    case.client.lost = False
    case.session.open("one", an_image(3), resume=True)
    case.settle()
    assert case.session.slot == KIDNEY and case.session.isOpen
    case.click(*BESIDE)
    case.settle()
    assert case.prompts(KIDNEY) == [BESIDE] and case.prompts(LIVER) == [CENTRE]


def test_a_hand_edit_of_another_target_is_kept_and_takes_its_confirmation_back(case: Case) -> None:
    case.click(*CENTRE)
    case.settle()
    case.session.confirm("Ada", "")
    case.settle()
    case.choose(KIDNEY)
    edited = case.view.currentMask(LIVER)
    edited[:10] = 0
    case.view.masks[LIVER] = edited
    case.session.edited(LIVER)
    assert not case.session.works[LIVER].decision.isConfirmed
    case.now += 1
    case.session.drafts.tick()
    case.settle()
    assert np.array_equal(case.record(LIVER).draft.mask, edited) and case.session.slot == KIDNEY


def test_a_hand_edit_of_a_target_that_was_not_opened_keeps_its_prompts(case: Case) -> None:
    case.choose(KIDNEY)
    case.click(*BESIDE)
    case.settle()
    case.session.close()
    case.session.open("one", an_image(3), slot=LIVER)
    case.settle()
    edited = case.record(KIDNEY).draft.mask.copy()
    edited[CENTRE] = 1
    case.view.masks[KIDNEY] = edited
    case.session.edited(KIDNEY)
    case.settle()
    assert case.session.slot == LIVER and case.prompts(KIDNEY) == [BESIDE]
    case.session.drafts.save()
    case.settle()
    assert case.record(KIDNEY).draft.mask[CENTRE] and len(case.record(KIDNEY).draft.prompts) == 1


def test_what_another_person_confirmed_meanwhile_is_shown_when_the_target_is_chosen_again(case: Case) -> None:
    case.choose(KIDNEY)
    case.choose(LIVER)
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:5, 2:5, 2:5] = 1
    case.campaign.take("one", "Bob", KIDNEY)
    case.campaign.confirm(Confirmation("by Bob", "one", mask, annotator="Bob", slot=KIDNEY))
    case.campaign.case("one").slot(KIDNEY).last_owner = "Bob"
    case.campaign.give_back("one", KIDNEY)
    case.choose(KIDNEY)
    assert np.array_equal(case.view.currentMask(KIDNEY), mask) and case.session.isConfirmed
