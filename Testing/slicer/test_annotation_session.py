"""What a confirmation says: this case, this mask, these prompts, these weights, and only once it is stored.

The open case's session without Slicer: a view that remembers, an in-process engine.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from clopa_annotator.errors import StorageFull
from clopa_annotator.geometry import Geometry
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient
from clopa_annotator.types import Image, PointPrompt

SHAPE = (20, 24, 28)


def an_image(seed: int) -> Image:
    distance = np.sqrt(sum((g - n // 2) ** 2.0 for g, n in zip(np.indices(SHAPE), SHAPE, strict=True)))
    noise = np.random.default_rng(seed).normal(0, 0.05, SHAPE)
    return Image((noise + (distance < 5)).astype(np.float32), Geometry(SHAPE))


class View:
    """Keeps what it is told to show."""

    def __init__(self) -> None:
        self.mask = np.zeros(SHAPE, np.uint8)
        self.said: list[str] = []
        self.confirmed: list[str] = []

    def showProposal(self, mask, changed, slot):
        self.mask = mask.copy()

    showMask = showProposal

    def currentMask(self, slot=None):
        return self.mask.copy()

    def outlineOf(self, prompt):
        return np.zeros((1, 3))

    def say(self, sentence, mood):
        self.said.append(sentence)

    def caseConfirmed(self, ref, *, isAbsent):
        self.confirmed.append(ref.case_id)

    def showPrompts(self, prompts): ...
    def showBusy(self): ...
    def slotChosen(self, slot): ...
    def slotOpened(self, opened): ...
    def caseOpened(self, opened, isResumed): ...
    def caseChanged(self, row): ...
    def engineLost(self): ...


class Case:
    """A session with an open case, and the confirmations that reached the engine."""

    def __init__(self) -> None:
        from CLoPAAnnotatorLib.annotation.ActiveClock import ActiveClock
        from CLoPAAnnotatorLib.annotation.AnnotationSession import AnnotationSession

        self.campaign, self.view = FakeCampaign(), View()
        self.client = FakeEngineClient(self.campaign)
        self.session = AnnotationSession(self.view, ActiveClock(now=lambda: self.now))
        self.session.client = self.client
        self.now = 100.0
        self.stored = []
        store = self.campaign.confirm
        self.campaign.confirm = lambda confirmation: self.stored.append(confirmation) or store(confirmation)

    def open(self, name: str) -> None:
        self.session.open(name, an_image(len(name)))
        self.settle()

    def click(self, *kji: int, positive: bool = True) -> None:
        self.session.give(PointPrompt(kji, positive), np.zeros((1, 3)))

    def settle(self) -> None:
        until = time.monotonic() + 20
        while self.client.pending or self.session.isBusy:
            assert time.monotonic() < until, "no answer"
            self.client.poll(0.01)

    def points(self):
        return [timed.prompt.position_kji for timed in self.stored[-1].prompts]


@pytest.fixture
def case(application) -> Case:  # the shell's sentences need an application that translates
    case = Case()
    case.open("one")
    return case


def test_a_confirmation_says_what_was_on_the_screen_and_what_led_there(case: Case) -> None:
    case.campaign.learning.current = 3
    case.click(10, 12, 14)
    case.settle()
    case.now += 7
    case.session.confirm("Ada", "thin slices")
    case.settle()
    (sent,) = case.stored
    assert (sent.case_id, sent.annotator, sent.note) == ("one", "Ada", "thin slices")
    assert np.array_equal(sent.mask, case.view.mask) and sent.mask.any()
    assert case.points() == [(10, 12, 14)]
    assert sent.weights_version == 3 and sent.first_shown_dice == 1.0
    assert sent.seconds_active == 7.0
    assert case.view.confirmed == ["one"] and case.session.isConfirmed


def test_prompts_that_were_taken_back_are_in_no_record(case: Case) -> None:
    for position in ((10, 12, 14), (3, 3, 3)):
        case.click(*position)
        case.settle()
    case.session.undo()
    case.settle()
    case.click(11, 12, 14)
    case.settle()
    case.session.confirm("Ada", "")
    case.settle()
    assert case.points() == [(10, 12, 14), (11, 12, 14)]


def test_the_first_proposal_is_compared_with_what_was_confirmed(case: Case) -> None:
    case.click(10, 12, 14)
    case.settle()
    first = case.view.mask
    case.view.mask = np.roll(first, 2, axis=0)
    case.session.edited()
    case.session.confirm("Ada", "")
    case.settle()
    expected = 2 * np.count_nonzero(first & case.view.mask) / (2 * np.count_nonzero(first))
    assert case.stored[-1].first_shown_dice == pytest.approx(expected) and expected < 1


def test_nothing_is_confirmed_while_a_prompt_is_not_answered(case: Case) -> None:
    case.click(10, 12, 14)
    case.settle()
    case.click(3, 3, 3, positive=False)
    case.session.confirm("Ada", "")
    assert "One moment" in case.view.said[-1]
    case.settle()
    assert case.stored == [], "the mask on the screen was that of the prompt before"
    case.session.confirm("Ada", "")
    case.settle()
    assert len(case.stored) == 1 and len(case.stored[0].prompts) == 2


def test_confirmed_is_said_only_after_the_engine_has_stored_it(case: Case) -> None:
    case.click(10, 12, 14)
    case.settle()
    case.session.confirm("Ada", "")
    assert not case.session.isConfirmed and case.view.confirmed == []
    case.settle()
    assert case.session.isConfirmed


def test_a_confirmation_that_fails_is_none_and_the_work_is_kept_as_a_draft(case: Case) -> None:
    case.click(10, 12, 14)
    case.settle()

    def full(confirmation):
        raise StorageFull("The disk is full. Free some space and try again.")

    case.campaign.confirm = full
    case.session.confirm("Ada", "")
    case.settle()
    assert not case.session.isConfirmed and case.view.confirmed == []
    assert "disk is full" in case.view.said[-1]
    case.session.drafts.tick()
    case.settle()
    draft = case.campaign.case("one").draft
    assert draft is not None and np.array_equal(draft.mask, case.view.mask)


def test_an_answer_for_the_case_before_does_not_reach_the_open_one(case: Case) -> None:
    case.client.delay_s = 0.05
    case.click(10, 12, 14)
    case.session.open("two", an_image(2))
    case.settle()
    assert not case.view.mask.any() and case.session.prompts == ()
    case.click(9, 12, 14)
    case.settle()
    case.session.confirm("Ada", "")
    case.settle()
    assert case.stored[-1].case_id == "two" and case.points() == [(9, 12, 14)]


def test_a_confirmation_of_the_case_before_does_not_confirm_the_open_one(case: Case) -> None:
    case.click(10, 12, 14)
    case.settle()
    case.client.delay_s = 0.05
    case.session.confirm("Ada", "")
    case.session.open("two", an_image(2))
    case.settle()
    assert [sent.case_id for sent in case.stored] == ["one"]
    assert not case.session.isConfirmed and case.view.confirmed == []


def test_a_change_after_a_confirmation_is_not_confirmed(case: Case) -> None:
    case.click(10, 12, 14)
    case.settle()
    case.session.confirm("Ada", "")
    case.settle()
    case.session.edited()
    assert not case.session.isConfirmed


def test_an_empty_mask_is_asked_about_once(case: Case) -> None:
    case.session.confirm("Ada", "")
    assert "Nothing is marked" in case.view.said[-1]
    case.settle()
    assert case.stored == []
    case.session.confirm("Ada", "")
    case.settle()
    assert not case.stored[-1].mask.any()


def test_work_on_a_case_that_is_left_stays_with_the_engine(case: Case) -> None:
    case.click(10, 12, 14)
    case.settle()
    mask = case.view.mask
    case.session.close()
    case.settle()
    draft = case.campaign.case("one").draft
    assert draft is not None and np.array_equal(draft.mask, mask)
    assert [timed.prompt.position_kji for timed in draft.prompts] == [(10, 12, 14)]
    case.open("one")
    assert np.array_equal(case.view.mask, mask) and len(case.session.answered) == 1


def test_a_confirmed_case_leaves_no_draft_that_would_come_back(case: Case) -> None:
    case.click(10, 12, 14)
    case.settle()
    case.session.confirm("Ada", "")
    case.session.drafts.tick()
    case.now += 10
    case.session.drafts.tick()
    case.settle()
    case.session.close()
    case.settle()
    assert case.campaign.case("one").draft is None
