"""What waits for the engine, in the order in which it was asked for, whichever slot it is for."""

from __future__ import annotations

from collections.abc import Callable

from clopa_annotator.types import Slot
from clopa_annotator.types.targets import FIRST
from CLoPAAnnotatorLib.annotation.PromptHistory import PromptHistory, Prompts, Step, StepKind
from CLoPAAnnotatorLib.scene.GivenPrompt import GivenPrompt


class Steps:
    """One step is under way at a time; before a step of another slot the engine is told to choose that one.

    Attributes:
        waiting: not sent yet.
        running: sent and not answered.
        isTakenBack: what is under way was cancelled and will be undone as soon as it is answered.
        chosen: the slot to which the engine applies what it is sent.
    """

    def __init__(self, chosen: Slot = FIRST) -> None:
        self.waiting: list[Step] = []
        self.running: Step | None = None
        self.isTakenBack = False
        self.chosen = chosen

    def ask(self, kind: StepKind, slot: Slot, prompts: Prompts = ()) -> None:
        """Let a step wait its turn."""
        self.waiting.append(Step(kind, prompts, slot))

    def give(self, slot: Slot, given: GivenPrompt) -> None:
        """Let a prompt wait; those that wait already for the same slot go with it, as one step."""
        last = self.waiting[-1] if self.waiting else None
        if last is not None and last.kind == "prompts" and last.slot == slot:
            self.waiting[-1] = Step("prompts", (*last.prompts, given), slot)
        else:
            self.ask("prompts", slot, (given,))

    def choose(self, slot: Slot, isWanted: Callable[[Slot], bool]) -> None:
        """Go to a slot; of the choices that wait only those that ``isWanted`` says are kept."""
        self.waiting = [s for s in self.waiting if s.kind != "choose" or isWanted(s.slot)]
        self.ask("choose", slot)

    def takeLastPrompt(self, slot: Slot) -> bool:
        """Take the slot's last prompt back if it waits; False if none does."""
        for at in range(len(self.waiting) - 1, -1, -1):
            step = self.waiting[at]
            if step.slot == slot and step.kind != "choose":
                if step.kind != "prompts":
                    return False
                self.waiting[at : at + 1] = [Step("prompts", step.prompts[:-1], slot)] * (
                    len(step.prompts) > 1
                )
                return True
        return False

    def isRunning(self, slot: Slot) -> bool:
        """Whether a prompt of the slot is under way."""
        step = self.running
        return step is not None and step.kind == "prompts" and step.slot == slot

    def drop(self, slot: Slot) -> None:
        """Forget what waits for a slot."""
        self.waiting = [s for s in self.waiting if s.slot != slot or s.kind == "choose"]

    def next(self, isEdited: Callable[[Slot], bool]) -> Step | None:
        """The step to send now; None if nothing waits. It is under way from then on.

        Args:
            isEdited: whether a slot's mask was changed by hand since the engine heard of it.
        """
        if not self.waiting:
            return None
        first = self.waiting[0]
        if first.kind == "choose":
            self.running = self.waiting.pop(0)
        elif first.slot != self.chosen:
            self.running = Step("choose", slot=first.slot)
        elif first.kind != "mask" and isEdited(first.slot):
            self.running = Step("mask", slot=first.slot)
        else:
            self.running = self.waiting.pop(0)
        return self.running

    def shown(self, slot: Slot, history: PromptHistory) -> Prompts:
        """A slot's prompts on the screen: answered, under way and waiting."""
        under = self.running if self.running is not None and self.running.slot == slot else None
        waiting = [step for step in self.waiting if step.slot == slot and step.kind != "choose"]
        steps = ([under] if under is not None else []) + waiting
        isLeaving = bool(steps) and steps[0].kind == "take back"
        answered = history.before if isLeaving else history.prompts
        coming = waiting if self.isTakenBack and under is not None else steps
        return (*answered, *(given for step in coming for given in step.prompts))
