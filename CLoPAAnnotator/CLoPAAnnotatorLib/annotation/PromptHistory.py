"""The prompts behind each state of a case, mirrored so that the screen follows undo without asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from clopa_annotator.types import Mask, Slot, SuggestionUse
from clopa_annotator.types.targets import FIRST
from CLoPAAnnotatorLib.scene.GivenPrompt import GivenPrompt

StepKind = Literal["prompts", "mask", "undo", "redo", "reset", "take back", "choose"]
Prompts = tuple[GivenPrompt, ...]


@dataclass(frozen=True)
class Step:
    """One thing that the engine is asked to do for one slot.

    "take back" undoes a prompt that was cancelled on its way; "choose" has what follows go to that slot.
    """

    kind: StepKind
    prompts: Prompts = ()
    slot: Slot = FIRST


class PromptHistory:
    """States in a row, and the one that is shown; each knows what was made of the model's suggestion."""

    def __init__(
        self, restored: Prompts = (), canUndo: bool = False, use: SuggestionUse = SuggestionUse.NONE
    ) -> None:
        """Begin.

        Args:
            restored: prompts that came back with a draft, or stayed when the engine went away.
            canUndo: whether the engine can take them back, as one step.
            use: what was made of the suggestion so far.
        """
        self._states: list[tuple[Prompts, SuggestionUse]] = [((), use)] if canUndo else []
        self._states.append((restored, use))
        self._position = len(self._states) - 1

    @property
    def prompts(self) -> Prompts:
        """The prompts behind what is shown."""
        return self._states[self._position][0]

    @property
    def use(self) -> SuggestionUse:
        """What was made of the suggestion in what is shown."""
        return self._states[self._position][1]

    @property
    def before(self) -> Prompts:
        """The prompts one step earlier."""
        return self._states[max(self._position - 1, 0)][0]

    def follow(self, step: Step) -> None:
        """The engine has carried a step out."""
        if step.kind in ("undo", "take back"):
            self._position = max(self._position - 1, 0)
        elif step.kind == "redo":
            self._position = min(self._position + 1, len(self._states) - 1)
        else:
            isOver = step.kind == "reset"
            after = () if isOver else (*self.prompts, *step.prompts)
            use = self.use
            if use in (SuggestionUse.UNTOUCHED, SuggestionUse.TAKEN):
                use = SuggestionUse.CLEARED if isOver else SuggestionUse.TAKEN
            self._states = [*self._states[: self._position + 1], (after, use)]
            self._position += 1


def diceOf(first: Mask, second: Mask) -> float:
    """Dice of two masks; 1 if both are empty. Slice by slice: no memory of the masks' size is needed."""
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    common = sum(np.count_nonzero(a & b) for a, b in zip(first, second, strict=True) if np.count_nonzero(a))
    return 1.0 if total == 0 else 2.0 * int(common) / total
