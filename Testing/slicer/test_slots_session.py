"""Several targets in one case: each keeps its own prompts, undo, decision, time and draft.

The open case's session without Slicer: a view that remembers a mask per slot, an in-process engine.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
from test_annotation_session import SHAPE, an_image

from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient
from clopa_annotator.types import Confirmation, PointPrompt, Slot, Target, Targets

TARGETS = Targets((Target("liver"), Target("kidney", "kidney"), Target("lesion", "lesion", instances=True)))
LIVER, KIDNEY, LESION, SECOND = Slot(), Slot("kidney"), Slot("lesion"), Slot("lesion", 2)
CENTRE, BESIDE = (10, 12, 14), (3, 3, 3)


class View:
    """Keeps a mask for each slot, and what it is told."""

    def __init__(self) -> None:
        self.masks: dict[Slot, np.ndarray] = {}
        self.chosen = LIVER
        self.said: list[str] = []
        self.prompts: tuple = ()
        self.confirmed: list[tuple[Slot, bool]] = []
        self.lost = False

    def showProposal(self, mask, changed, slot):
        self.masks[slot] = mask.copy()

    showMask = showProposal

    def currentMask(self, slot=None):
        return self.masks.get(self.chosen if slot is None else slot, np.zeros(SHAPE, np.uint8)).copy()

    def outlineOf(self, prompt):
        return np.zeros((1, 3))

    def say(self, sentence, mood):
        self.said.append(sentence)

    def showPrompts(self, prompts):
        self.prompts = prompts

    def slotChosen(self, slot):
        self.chosen = slot

    def caseConfirmed(self, ref, *, isAbsent):
        self.confirmed.append((ref.slot, isAbsent))

    def engineLost(self):
        self.lost = True

    def showBusy(self): ...
    def slotOpened(self, opened): ...
    def caseOpened(self, opened, isResumed): ...
    def caseChanged(self, row): ...


class Case:
    """A session with an open case of three targets."""

    def __init__(self, campaign: FakeCampaign | None = None) -> None:
        from CLoPAAnnotatorLib.annotation.ActiveClock import ActiveClock
        from CLoPAAnnotatorLib.annotation.AnnotationSession import AnnotationSession

        self.campaign, self.view, self.now = campaign or FakeCampaign(targets=TARGETS), View(), 100.0
        self.client = FakeEngineClient(self.campaign)
        self.session = AnnotationSession(self.view, ActiveClock(now=lambda: self.now))
        self.session.client = self.client
        self.session.open("one", an_image(3))
        self.settle()

    def click(self, *kji: int, positive: bool = True) -> None:
        self.session.give(PointPrompt(kji, positive), np.zeros((1, 3)))

    def settle(self) -> None:
        until = time.monotonic() + 20
        while self.client.pending or not self.session.isSettled:
            assert time.monotonic() < until, "no answer"
            self.client.poll(0.01)

    def choose(self, slot: Slot) -> None:
        self.session.select(slot)
        self.settle()

    def record(self, slot: Slot):
        return self.campaign.case("one").slot(slot)

    def engineHas(self, slot: Slot):
        return [prompt.position_kji for prompt in self.client._works[slot][0].prompts]

    def prompts(self, slot: Slot):
        return [given.timed.prompt.position_kji for given in self.session.works[slot].history.prompts]


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
