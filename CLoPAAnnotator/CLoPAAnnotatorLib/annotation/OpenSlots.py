"""The slots of the open case: which one is chosen, what was done to each, and how it goes with the engine."""

from __future__ import annotations

import numpy as np

from clopa_annotator.types import Slot, SuggestionUse
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.messages import OpenedCase
from CLoPAAnnotatorLib.annotation.OpenCase import OpenCase
from CLoPAAnnotatorLib.annotation.PromptHistory import Prompts
from CLoPAAnnotatorLib.annotation.SlotWork import SlotWork
from CLoPAAnnotatorLib.scene.GivenPrompt import GivenPrompt
from CLoPAAnnotatorLib.scene.Labelmaps import filledBox


class OpenSlots:
    """What was done to each slot stays, with its own undo and its own time, until the case is left.

    Attributes:
        chosen: what prompts, undo and decisions are for.
        works: what was done to every slot that was looked at.
    """

    def __init__(self, session: OpenCase) -> None:
        self._session = session
        self.chosen = FIRST
        self.works: dict[Slot, SlotWork] = {}

    def of(self, slot: Slot) -> SlotWork:
        """What was done to a slot; begun with the first question."""
        if slot not in self.works:
            self.works[slot] = SlotWork(self._session, slot)
        return self.works[slot]

    @property
    def work(self) -> SlotWork:
        """What was done to the chosen slot."""
        return self.of(self.chosen)

    @property
    def isAnyShown(self) -> bool:
        """Whether something of the case has been on the screen."""
        return any(work.isShown for work in self.works.values())

    @property
    def isConfirming(self) -> bool:
        """Whether a confirmation is on its way."""
        return any(work.decision.isUnderWay for work in self.works.values())

    def secondsOf(self, slot: Slot) -> float:
        """Active time that was spent on a slot."""
        return self._session.clock.seconds if slot == self.chosen else self.of(slot).seconds

    def choose(self, slot: Slot) -> None:
        """Go to another slot; the clock counts for it from now on."""
        left, clock = self.work, self._session.clock
        left.seconds, self.chosen = clock.seconds, slot
        clock.start(self.work.seconds)

    def engineLost(self) -> None:
        """The engine went away."""
        for work in self.works.values():
            work.engineLost()

    def unsaved(self) -> list[Slot]:
        """Slots besides the chosen one of which the engine may have gone before it had the newest draft."""
        others = (work for work in self.works.values() if work.slot != self.chosen)
        return [work.slot for work in others if work.isStale and work.isBegun]

    def takeUp(self, opened: OpenedCase) -> Prompts | None:
        """The engine has chosen a slot: what was done here counts, else what the engine keeps.

        Returns:
            The prompts with which the engine has to be given the mask on the screen; None if it has it.
        """
        work, view, mask = self.of(opened.slot), self._session.view, opened.answer.proposal.mask
        work.answered(opened.answer)
        if work.isShown and work.isStale:
            isKept = np.array_equal(view.currentMask(work.slot), mask)
            return work.resumed(opened, isKept)
        if not work.isShown:
            self._restore(work, opened)
            if opened.draft is not None:
                self._add(work, opened.draft.seconds_active)
        elif not work.isEdited and not np.array_equal(view.currentMask(work.slot), mask):
            self._follow(work, opened)
        return None

    def _restore(self, work: SlotWork, opened: OpenedCase) -> None:
        prompts = opened.draft.prompts if opened.draft is not None else ()
        view = self._session.view
        given = tuple(GivenPrompt(p, view.outlineOf(p.prompt)) for p in prompts)
        work.restored(opened, given)
        if work.isAtSuggestion:
            self.suggest(work)
        elif not work.isEdited:
            self._show(opened)

    def suggest(self, work: SlotWork) -> None:
        """Put the suggestion on the screen; the engine hears of it before the first prompt."""
        if work.suggested is not None:
            mask = work.suggested.mask
            self._session.view.showMask(mask, filledBox(mask), work.slot)
            work.isEdited = True

    def letGo(self, slot: Slot, *, isCleared: bool) -> None:
        """The next step does not start from the suggestion, unless it was changed by hand."""
        work, view = self.of(slot), self._session.view
        if work.isAtSuggestion and work.useOf(view.currentMask(slot)) is SuggestionUse.UNTOUCHED:
            work.isEdited = False
            if isCleared and work.suggested is not None:
                view.showMask(np.zeros_like(work.suggested.mask), None, slot)

    def _follow(self, work: SlotWork, opened: OpenedCase) -> None:
        """The engine has another mask: voxels went to another target, or somebody else has worked on it."""
        if work.isBegun:
            self._show(opened)
            self._session.drafts.now(work.slot)
        else:
            self._restore(work, opened)

    def _show(self, opened: OpenedCase) -> None:
        proposal = opened.answer.proposal
        self._session.view.showMask(proposal.mask, proposal.changed_kji, opened.slot)

    def _add(self, work: SlotWork, seconds: float) -> None:
        if work.slot == self.chosen:
            self._session.clock.start(self._session.clock.seconds + seconds)
        else:
            work.seconds += seconds
