"""An open case of three targets without Slicer: a view with a mask per slot, an in-process engine."""

from __future__ import annotations

import time

import numpy as np
from test_annotation_session import SHAPE, an_image

from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_engine import FakeEngineClient
from clopa_annotator.types import PointPrompt, Slot, Target, Targets

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
