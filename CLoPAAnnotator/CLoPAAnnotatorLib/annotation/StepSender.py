"""Sends what waits to the engine, one step at a time, and takes in the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from clopa_annotator.client.calls import Call
from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import ClopaError, EngineUnreachable, SessionExpired
from clopa_annotator.types import MaskPrompt, Slot, SuggestionUse
from clopa_annotator.wire.messages import Answer, OpenedCase
from CLoPAAnnotatorLib.annotation.AnnotationView import AnnotationView
from CLoPAAnnotatorLib.annotation.OpenSlots import OpenSlots
from CLoPAAnnotatorLib.annotation.PromptHistory import Prompts, Step, StepKind
from CLoPAAnnotatorLib.annotation.Sentences import whatNext
from CLoPAAnnotatorLib.annotation.SlotWork import SlotWork
from CLoPAAnnotatorLib.annotation.Steps import Steps
from CLoPAAnnotatorLib.scene.GivenPrompt import GivenPrompt
from CLoPAAnnotatorLib.scene.Labelmaps import filledBox

T = TypeVar("T")


class Drafts(Protocol):
    """Where unconfirmed work is kept."""

    def save(self) -> None: ...


class Sending(Protocol):
    """`AnnotationSession`, as its queue sees it."""

    view: AnnotationView
    client: EngineClient | None
    slots: OpenSlots
    isOpening: bool

    @property
    def drafts(self) -> Drafts: ...

    @property
    def slot(self) -> Slot: ...

    @property
    def prompts(self) -> Prompts: ...

    def changed(self, work: SlotWork) -> None: ...

    def notChosen(self, slot: Slot, chosen: Slot) -> None: ...

    def whileOpen(self, then: Callable[[T], None]) -> Callable[[T], None]: ...

    def failed(self, error: ClopaError) -> None: ...


class StepSender:
    """The open case's queue.

    Attributes:
        steps: what waits and what is under way.
        afterwards: done once, when nothing waits any more; forgotten when a step fails or is cancelled.
    """

    def __init__(self, session: Sending) -> None:
        self._session = session
        self.steps = Steps()
        self.afterwards: Callable[[], None] | None = None

    def give(self, slot: Slot, given: GivenPrompt) -> None:
        """Send a prompt when its turn comes."""
        self.steps.give(slot, given)
        self.next()

    def ask(self, kind: StepKind, slot: Slot, prompts: Prompts = ()) -> None:
        """Send a step when its turn comes."""
        if kind in ("undo", "redo", "reset"):
            self._session.slots.letGo(slot, isCleared=kind == "reset")
        self.steps.ask(kind, slot, prompts)
        self.next()

    def choose(self, slot: Slot) -> None:
        """Have the engine choose a slot; choices that wait are made only if a hand edit hangs on them."""
        self.afterwards = None
        works = self._session.slots.works
        self.steps.choose(slot, lambda s: s in works and works[s].isEdited)
        self.next()

    def lookAt(self, slot: Slot, back: Slot) -> None:
        """Ask the engine what it keeps of a slot, and go back to the chosen one."""
        self.steps.ask("choose", slot)
        self.steps.ask("choose", back)
        self.next()

    def cancel(self, slot: Slot) -> None:
        """Drop what waits for a slot; a prompt of it that is under way is undone once it is answered."""
        self.afterwards = None
        self.steps.drop(slot)
        self.steps.isTakenBack = self.steps.isTakenBack or self.steps.isRunning(slot)

    def next(self) -> None:
        """Send what is next, unless something is under way."""
        session = self._session
        session.view.showPrompts(session.prompts)
        if self.steps.running is None and session.client is not None and not session.isOpening:
            works = session.slots.works
            step = self.steps.next(lambda slot: slot in works and works[slot].isEdited)
            if step is not None:
                self._send(session.client, step)
            elif self.afterwards is not None:
                afterwards, self.afterwards = self.afterwards, None
                afterwards()
        session.view.showBusy()

    def _send(self, client: EngineClient, step: Step) -> None:
        session = self._session
        if step.kind == "mask":
            session.slots.of(step.slot).isEdited = False
        session.drafts.save()  # before the prediction that it would have to wait for
        failed = session.whileOpen(lambda error: self._failed(step, error))
        if step.kind == "choose":
            client.choose(step.slot).then(session.whileOpen(self._chosen), failed)
            return
        answered = session.whileOpen(lambda answer: self._answered(step, answer))
        self._call(client, step).then(answered, failed)

    def _call(self, client: EngineClient, step: Step) -> Call[Answer]:
        if step.kind == "prompts":
            return client.add_prompts([given.timed.prompt for given in step.prompts])
        if step.kind == "mask":
            return client.add_prompts([MaskPrompt(self._session.view.currentMask(step.slot))])
        return {"redo": client.redo, "reset": client.reset}.get(step.kind, client.undo)()

    def _failed(self, step: Step, error: ClopaError) -> None:
        session, self.steps.running = self._session, None
        self.steps.isTakenBack, self.afterwards = False, None
        isLost = isinstance(error, EngineUnreachable | SessionExpired)
        work = session.slots.of(step.slot)
        if step.kind == "mask":
            work.isEdited = True
        elif work.isAtSuggestion and not work.isEdited:
            session.slots.suggest(work)  # it was let go for this step
        if isLost:
            self.steps.waiting.clear()
        elif step.kind in ("mask", "choose"):
            self.steps.drop(step.slot)  # what waits was meant for a state that is not to be had
        session.failed(error)
        if step.kind == "choose" and not isLost:
            session.notChosen(step.slot, self.steps.chosen)
        self.next()

    def _chosen(self, opened: OpenedCase) -> None:
        session, self.steps.running = self._session, None
        self.steps.chosen = opened.slot
        missing = session.slots.takeUp(opened)
        if missing is not None:
            self.steps.waiting.insert(0, Step("mask", missing, opened.slot))
        session.view.slotOpened(opened)
        self.next()

    def _answered(self, step: Step, answer: Answer) -> None:
        session, self.steps.running = self._session, None
        work = session.slots.of(step.slot)
        work.answered(answer)
        wasSuggested = work.isAtSuggestion
        work.history.follow(step)
        if self.steps.isTakenBack:
            self.steps.isTakenBack = False
            self.steps.waiting.insert(0, Step("take back", slot=step.slot))
        else:
            self._show(work, answer, wasSuggested)
            if step.kind == "prompts" and work.wantsFirst:
                work.wantsFirst = False
                work.firstShown = session.view.currentMask(step.slot)
            if step.kind != "mask" and step.slot == session.slot:
                isCleared = work.history.use is SuggestionUse.CLEARED
                session.view.say(whatNext(step, answer, isCleared=isCleared), "calm")
            session.changed(work)
        self.next()

    def _show(self, work: SlotWork, answer: Answer, wasSuggested: bool) -> None:
        """The proposal; the suggestion again if everything was undone."""
        view, proposal = self._session.view, answer.proposal
        if work.isAtSuggestion:
            self._session.slots.suggest(work)
        elif wasSuggested:  # of which the engine did not know, so that its changed box does not cover it
            view.showMask(proposal.mask, filledBox(proposal.mask), work.slot)
        else:
            view.showProposal(proposal.mask, proposal.changed_kji, work.slot)
