"""What happens to the open case: prompts wait their turn, answers arrive, nothing blocks, nothing is lost.

No Qt, no scene: the widget passes gestures in, an `AnnotationView` shows what comes out. One call at a time.
Everything is done to the chosen slot: a target, or one of several of a kind. What was done to another one
stays, with its own undo, until the case is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import ClopaError, EngineUnreachable, NoImage, SessionExpired
from clopa_annotator.types import CaseRef, Image, Prompt, Slot, TimedPrompt
from clopa_annotator.wire.messages import OpenedCase
from CLoPAAnnotatorLib.annotation.ActiveClock import ActiveClock
from CLoPAAnnotatorLib.annotation.AnnotationView import AnnotationView
from CLoPAAnnotatorLib.annotation.Decision import Decision
from CLoPAAnnotatorLib.annotation.DraftKeeper import DraftKeeper
from CLoPAAnnotatorLib.annotation.OpenSlots import OpenSlots
from CLoPAAnnotatorLib.annotation.PromptHistory import StepKind
from CLoPAAnnotatorLib.annotation.SlotWork import SlotWork
from CLoPAAnnotatorLib.annotation.StepSender import StepSender
from CLoPAAnnotatorLib.scene.GivenPrompt import GivenPrompt
from CLoPAAnnotatorLib.Texts import tr

T = TypeVar("T")
Done = Callable[[CaseRef], None]


class AnnotationSession:
    """The open case and its line to the engine."""

    def __init__(self, view: AnnotationView, clock: ActiveClock | None = None) -> None:
        self.view, self.clock = view, clock or ActiveClock()
        self.client: EngineClient | None = None
        self.caseId = ""
        self.image: Image | None = None
        self._generation = 0
        self.drafts = DraftKeeper(self)
        self._forgetCase()

    def _forgetCase(self) -> None:
        self._generation += 1
        self.slots = OpenSlots(self)
        self._sender = StepSender(self)
        self.drafts.forgetAll()
        self.isOpening = False

    @property
    def slot(self) -> Slot:
        """The chosen slot: what prompts, undo and decisions are for."""
        return self.slots.chosen

    @property
    def works(self) -> dict[Slot, SlotWork]:
        """What was done to every slot that was looked at."""
        return self.slots.works

    @property
    def work(self) -> SlotWork:
        """What was done to the chosen slot."""
        return self.slots.work

    @property
    def decision(self) -> Decision:
        """The chosen slot's decision."""
        return self.work.decision

    @property
    def weightsVersion(self) -> int:
        """Version that made what is shown of the chosen slot."""
        return self.work.weightsVersion

    @property
    def isOpen(self) -> bool:
        """Whether a case takes prompts."""
        return self.image is not None and not self.isOpening

    @property
    def isBusy(self) -> bool:
        """Whether an answer is awaited."""
        return self._sender.steps.running is not None or self.isOpening or self.isConfirming

    @property
    def isSettled(self) -> bool:
        """Whether nothing is awaited, nor waits to be sent."""
        return not self.isBusy and not self._sender.steps.waiting

    @property
    def isConfirming(self) -> bool:
        """Whether a confirmation is on its way."""
        return self.slots.isConfirming

    @property
    def isConfirmed(self) -> bool:
        """Whether what is on the screen of the chosen slot is stored as it is."""
        return self.decision.isConfirmed

    @property
    def answered(self) -> tuple[GivenPrompt, ...]:
        """The prompts behind the chosen slot's proposal."""
        return self.work.history.prompts

    @property
    def prompts(self) -> tuple[GivenPrompt, ...]:
        """The chosen slot's prompts on the screen: answered, under way and waiting."""
        return self._sender.steps.shown(self.slot, self.work.history)

    def secondsOf(self, slot: Slot) -> float:
        """Active time that was spent on a slot."""
        return self.slots.secondsOf(slot)

    # -- case and slot -------------------------------------------------------------------------------------

    def open(
        self, caseId: str, image: Image, source: str = "", slot: Slot | None = None, *, resume: bool = False
    ) -> None:
        """Take a case, and the first slot of it that is not decided unless one is named.

        With ``resume`` it is the case that was open when the engine went away.
        """
        client = self._needClient()
        slots = self.slots
        resume = resume and slots.isAnyShown
        self._forgetCase()
        if resume:
            self.slots, slot = slots, slots.chosen
            slots.engineLost()
        self.caseId, self.image, self.isOpening = caseId, image, True
        self.view.showBusy()

        def failed(error: ClopaError) -> None:
            self.isOpening = False
            if not resume:
                self.caseId, self.image = "", None
            self.failed(error)

        client.open_case(caseId, image, source, slot).then(
            self.whileOpen(lambda opened: self._opened(opened, resume)), self.whileOpen(failed)
        )

    def _opened(self, opened: OpenedCase, resume: bool) -> None:
        self.isOpening = False
        self.slots.chosen = self._sender.steps.chosen = opened.slot
        if not resume:
            self.clock.start()
        self.view.slotChosen(opened.slot)
        missing = self.slots.takeUp(opened)
        if missing is not None:
            self._sender.steps.ask("mask", opened.slot, missing)
        for slot in self.slots.unsaved():
            self.drafts.now(slot)
        self.view.caseOpened(opened, resume)
        self._sender.next()

    def select(self, slot: Slot) -> None:
        """Work on a slot of the open case; the chosen one again: with what others have done meanwhile."""
        self.requireCase()
        if slot != self.slot:
            self.drafts.save()
            self._show(slot)
        self._sender.choose(slot)

    def _show(self, slot: Slot) -> None:
        self.slots.choose(slot)
        self.view.slotChosen(slot)
        self.view.showPrompts(self.prompts)

    def notChosen(self, slot: Slot, chosen: Slot) -> None:
        """The engine refused a slot: back to the one that it has."""
        if self.slot == slot:
            self._show(chosen)
        if not self.slots.of(slot).isShown:
            del self.works[slot]

    def close(self) -> None:
        """Leave the case; its drafts stay with the engine."""
        if self.image is None:
            return
        self.drafts.save()
        self._forgetCase()
        self.caseId, self.image = "", None
        if self.client is not None:
            self.client.leave_case().then(on_error=self.failed)
        self.view.showPrompts(())
        self.view.showBusy()

    # -- the chosen slot -----------------------------------------------------------------------------------

    def give(self, prompt: Prompt, lineRas: npt.NDArray[np.float64]) -> None:
        """Add a prompt; it is shown at once and answered when its turn comes."""
        self.requireCase()
        given = GivenPrompt(TimedPrompt(prompt, round(self.clock.touch(), 3)), lineRas)
        self._sender.give(self.slot, given)

    def undo(self) -> None:
        """Take the last prompt back, however far it has come."""
        self.requireCase()
        steps = self._sender.steps
        if steps.takeLastPrompt(self.slot):
            self.view.showPrompts(self.prompts)
        elif steps.isRunning(self.slot):
            self.cancel()
        else:
            self.ask("undo")

    def redo(self) -> None:
        """Take an undo back."""
        self.ask("redo")

    def reset(self) -> None:
        """Start over; can be undone."""
        self.ask("reset")

    def ask(self, kind: StepKind) -> None:
        """Have a step carried out on the chosen slot when its turn comes."""
        self.requireCase()
        self.clock.touch()
        self._sender.ask(kind, self.slot)

    def edited(self, slot: Slot | None = None) -> None:
        """A mask was changed by hand; the engine hears of it before the next prompt."""
        if self.isOpen:
            self.clock.resume()  # in the Segment Editor, while this module is not shown
            self.clock.touch()
            work = self.work if slot is None else self.slots.of(slot)
            work.isEdited = True
            self.changed(work)
            if not work.isShown:
                self._sender.lookAt(work.slot, self.slot)
            self.view.showBusy()

    def changed(self, work: SlotWork) -> None:
        """What is on the screen is not what was confirmed any more."""
        work.isTouched = True
        work.decision.revoke()
        self.drafts.changed(work.slot)

    def cancel(self) -> None:
        """Drop what waits for the chosen slot and take back what is under way."""
        self._sender.cancel(self.slot)
        self.view.showPrompts(self.prompts)
        self.view.showBusy()

    def confirm(self, annotator: str, note: str, done: Done | None = None) -> None:
        """Declare what is on the screen right; ``done`` is called when the record is durable."""
        if self._isReady():
            self.decision.confirm(self._needClient(), annotator, note, done)

    def confirmAbsent(self, annotator: str, note: str, done: Done | None = None) -> None:
        """Declare that the image holds no such target; what is marked is taken off by a step of undo."""
        if not self._isReady():
            return

        def confirm() -> None:
            self.decision.confirm(self._needClient(), annotator, note, done, isAbsent=True)

        if np.count_nonzero(self.view.currentMask(self.slot)):
            self._sender.afterwards = confirm
            self.reset()
        else:
            confirm()

    def _isReady(self) -> bool:
        self.requireCase()
        if not self.isSettled:
            self.view.say(tr("One moment: the last prompt is not answered yet."), "warning")
            return False
        self.clock.touch()
        return True

    def whileOpen(self, then: Callable[[T], None]) -> Callable[[T], None]:
        """A callback that does nothing once another case is open: the answer is stale."""
        generation = self._generation
        return lambda answer: then(answer) if generation == self._generation else None

    def failed(self, error: ClopaError) -> None:
        """Tell it."""
        self.view.say(str(error), "error")
        if isinstance(error, EngineUnreachable | SessionExpired):
            self.view.engineLost()
        self.view.showBusy()

    def _needClient(self) -> EngineClient:
        if self.client is None:
            raise NoImage(tr("No engine is connected. Open the Campaign section and press Connect."))
        return self.client

    def requireCase(self) -> None:
        """Raises `NoImage` in words unless a case takes prompts."""
        self._needClient()
        if self.image is None:
            raise NoImage(tr("No case is open. Choose one from the list, or press Next case."))
        if self.isOpening:
            raise NoImage(tr("The case is still being opened; try again in a moment."))
