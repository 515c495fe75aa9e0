"""What was done to one target of the open case, or to one of several of a kind."""

from __future__ import annotations

import numpy as np

from clopa_annotator.types import CaseState, Mask, Slot, SuggestionUse
from clopa_annotator.wire.messages import Answer, OpenedCase
from clopa_annotator.wire.suggestion_messages import Suggested
from CLoPAAnnotatorLib.annotation.Decision import Decision
from CLoPAAnnotatorLib.annotation.OpenCase import OpenCase
from CLoPAAnnotatorLib.annotation.PromptHistory import PromptHistory, Prompts


class SlotWork:
    """Prompts, undo, decision and time of one slot; kept while the case is open, whichever slot is chosen.

    Attributes:
        slot: which target, and which of several of a kind.
        history: the prompts behind each state.
        decision: whether it was declared right.
        canUndo: whether the engine has an earlier state.
        canRedo: whether the engine has an undone state.
        weightsVersion: version that made what is shown.
        suggested: what the model suggested when nobody had begun; None if there was nothing to show.
        firstShown: the suggestion, or the first proposal if somebody began with nothing; else None.
        wantsFirst: whether the next proposal is the first.
        isShown: whether what the engine keeps has been put on the screen.
        isStale: the engine went away since; what is on the screen counts.
        isEdited: changed by hand, and the engine has not heard of it.
        isTouched: changed here in any way.
        seconds: active time until the slot was last left.
    """

    def __init__(self, session: OpenCase, slot: Slot) -> None:
        self.slot, self.history = slot, PromptHistory()
        self.decision = Decision(session, self)
        self.canUndo = self.canRedo = False
        self.weightsVersion = 0
        self.suggested: Suggested | None = None
        self.firstShown: Mask | None = None
        self.wantsFirst = True
        self.isShown = self.isStale = self.isEdited = self.isTouched = False
        self.seconds = 0.0

    def answered(self, answer: Answer) -> None:
        """The engine's newest word about it."""
        self.canUndo, self.canRedo = answer.can_undo, answer.can_redo
        self.weightsVersion = answer.proposal.weights_version

    def restored(self, opened: OpenedCase, prompts: Prompts) -> None:
        """Begin with what the engine keeps; of a withheld suggestion it is noted that there was one."""
        isNew = opened.draft is None and opened.confirmed is None and opened.returned is None
        self.suggested = opened.suggestion if isNew and not self.isEdited else None
        use = opened.draft.suggestion if opened.draft is not None else SuggestionUse.NONE
        if self.suggested is not None:
            use, self.firstShown = SuggestionUse.UNTOUCHED, self.suggested.mask
        elif isNew and opened.is_withheld:
            use = SuggestionUse.WITHHELD
        self.history = PromptHistory(prompts, opened.answer.can_undo, use)
        self.wantsFirst = isNew and self.suggested is None
        self.decision.revoke()
        self.decision.isConfirmed = isStored(opened)
        self.isShown = True

    def resumed(self, opened: OpenedCase, isKept: bool) -> Prompts | None:
        """The engine is back; ``isKept`` says whether it has what is on the screen.

        Returns:
            The prompts with which the engine has to be given the mask; None if it has it.
        """
        shown = self.history.prompts
        self.decision.resumed(isStored(opened) and isKept)
        self.isStale = False
        startsAnew = not isKept and not self.canUndo  # then the prompts come back with their mask
        use = self.history.use
        self.history = PromptHistory(use=use) if startsAnew else PromptHistory(shown, self.canUndo, use)
        if isKept:
            return None
        return shown if startsAnew else ()

    def engineLost(self) -> None:
        """The engine went away: what it knew of the slot is gone, what is on the screen counts."""
        self.isStale, self.isEdited = self.isShown, False
        self.decision.isUnderWay = False

    @property
    def isAtSuggestion(self) -> bool:
        """Whether the suggestion is what the work begins with; the engine has not heard of it."""
        return self.suggested is not None and self.history.use is SuggestionUse.UNTOUCHED

    @property
    def isSuggestionShown(self) -> bool:
        """Whether what is seen is a suggestion that nobody has decided about."""
        return self.isAtSuggestion and not self.decision.isConfirmed

    @property
    def isSuggestionOnScreen(self) -> bool:
        """Whether what is seen is a suggestion, or was made from one."""
        use = self.history.use
        return not self.decision.isConfirmed and use in (SuggestionUse.UNTOUCHED, SuggestionUse.TAKEN)

    def useOf(self, mask: Mask) -> SuggestionUse:
        """What was made of the suggestion, with this mask on the screen."""
        use = self.history.use
        if self.suggested is None or use is SuggestionUse.CLEARED:
            return use
        return SuggestionUse.UNTOUCHED if np.array_equal(mask, self.suggested.mask) else SuggestionUse.TAKEN

    @property
    def isBegun(self) -> bool:
        """Whether there is something that was not confirmed."""
        return self.isTouched and not self.decision.isConfirmed


def isStored(opened: OpenedCase) -> bool:
    """Whether what the engine answered is a record that stands."""
    rows = {row.slot: row.state for row in opened.row.slots}
    return rows.get(opened.slot, opened.row.state) is CaseState.CONFIRMED and opened.draft is None
