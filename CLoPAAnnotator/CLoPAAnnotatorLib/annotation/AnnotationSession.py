"""What happens to the open case: prompts wait their turn, answers arrive, nothing blocks, nothing is lost.

No Qt, no scene: the widget passes gestures in, an `AnnotationView` shows what comes out. One call at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from clopa_annotator.client.calls import Call
from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import ClopaError, EngineUnreachable, NoImage, SessionExpired
from clopa_annotator.types import CaseRef, CaseState, Image, Mask, MaskPrompt, Prompt, TimedPrompt
from clopa_annotator.wire.messages import Answer, OpenedCase
from CLoPAAnnotatorLib.annotation.ActiveClock import ActiveClock
from CLoPAAnnotatorLib.annotation.AnnotationView import AnnotationView, GivenPrompt
from CLoPAAnnotatorLib.annotation.Decision import Decision
from CLoPAAnnotatorLib.annotation.DraftKeeper import DraftKeeper
from CLoPAAnnotatorLib.annotation.PromptHistory import PromptHistory, Step
from CLoPAAnnotatorLib.annotation.Sentences import whatNext
from CLoPAAnnotatorLib.Texts import tr

T = TypeVar("T")


class AnnotationSession:
    """The open case and its line to the engine."""

    def __init__(self, view: AnnotationView, clock: ActiveClock | None = None) -> None:
        self.view = view
        self.clock = clock or ActiveClock()
        self.client: EngineClient | None = None
        self.caseId = ""
        self.image: Image | None = None
        self._generation = 0
        self.drafts = DraftKeeper(self)
        self._forgetCase()

    def _forgetCase(self) -> None:
        self._generation += 1
        self._history = PromptHistory()
        self._waiting: list[Step] = []
        self._running: Step | None = None
        self._takeBack = self._edited = False
        self.drafts.forget()
        self.firstShown: Mask | None = None
        self._wantsFirst = True
        self.decision = Decision(self)
        self.isOpening = self.canUndo = self.canRedo = self._isShown = False
        self.weightsVersion = 0

    @property
    def isOpen(self) -> bool:
        """Whether a case takes prompts."""
        return self.image is not None and not self.isOpening

    @property
    def isBusy(self) -> bool:
        """Whether an answer is awaited."""
        return self._running is not None or self.isOpening or self.isConfirming

    @property
    def isConfirming(self) -> bool:
        """Whether a confirmation is on its way."""
        return self.decision.isUnderWay

    @property
    def isConfirmed(self) -> bool:
        """Whether what is on the screen is stored as it is."""
        return self.decision.isConfirmed

    @property
    def answered(self) -> tuple[GivenPrompt, ...]:
        """The prompts behind the proposal."""
        return self._history.prompts

    @property
    def prompts(self) -> tuple[GivenPrompt, ...]:
        """The prompts on the screen: answered, under way and waiting."""
        steps = [step for step in (self._running, *self._waiting) if step is not None]
        isLeaving = bool(steps) and steps[0].kind == "take back"
        shown = self._history.before if isLeaving else self._history.prompts
        coming = self._waiting if self._takeBack else steps
        return (*shown, *(given for step in coming for given in step.prompts))

    def open(self, caseId: str, image: Image, source: str = "", *, resume: bool = False) -> None:
        """Take a case. With ``resume`` it is the case that was open when the engine went away."""
        client = self._needClient()
        resume = resume and self._isShown  # else nothing of it has been on the screen yet
        kept = (self._history, self.firstShown, self._wantsFirst, self.decision)
        self._forgetCase()
        if resume:
            self._history, self.firstShown, self._wantsFirst, self.decision = kept
            self.decision.isUnderWay, self._isShown = False, True
        self.caseId, self.image, self.isOpening = caseId, image, True
        self.view.showBusy()

        def failed(error: ClopaError) -> None:
            self.isOpening = False
            if not resume:
                self.caseId, self.image = "", None
            self.failed(error)

        client.open_case(caseId, image, source).then(
            self.whileOpen(lambda opened: self._opened(opened, resume)), self.whileOpen(failed)
        )

    def _opened(self, opened: OpenedCase, resume: bool) -> None:
        self.isOpening = False
        self.canUndo, self.canRedo = opened.answer.can_undo, opened.answer.can_redo
        self.weightsVersion = opened.answer.proposal.weights_version
        (self._resumed if resume else self._restored)(opened)
        self.view.caseOpened(opened, resume)
        self.view.showPrompts(self.prompts)
        self.view.showBusy()
        self._sendNext()

    def _restored(self, opened: OpenedCase) -> None:
        draft = opened.draft
        prompts = draft.prompts if draft is not None else ()
        given = tuple(GivenPrompt(timed, self.view.outlineOf(timed.prompt)) for timed in prompts)
        self._history = PromptHistory(given, opened.answer.can_undo)
        self._wantsFirst = draft is None and opened.confirmed is None
        self.clock.start(draft.seconds_active if draft is not None else 0.0)
        self.decision.isConfirmed = opened.row.state is CaseState.CONFIRMED and draft is None
        self.view.showProposal(opened.answer.proposal.mask, opened.answer.proposal.changed_kji)
        self._isShown = True

    def _resumed(self, opened: OpenedCase) -> None:
        """The screen counts. The engine gets it at once, unless that is what it kept."""
        shown, kept = self._history.prompts, opened.answer.proposal.mask
        isKept = np.array_equal(self.view.currentMask(), kept)
        isStored = opened.row.state is CaseState.CONFIRMED and opened.draft is None
        self.decision.resumed(isStored and isKept)
        self._history = PromptHistory(shown, self.canUndo)
        if not isKept and self.canUndo:
            self._waiting.append(Step("mask"))
        elif not isKept:  # it starts from nothing: the prompts come back with the mask that they led to
            self._history = PromptHistory()
            self._waiting.append(Step("mask", shown))

    def close(self) -> None:
        """Leave the case; its draft stays with the engine."""
        if self.image is None:
            return
        self.drafts.save()
        self._forgetCase()
        self.caseId, self.image = "", None
        if self.client is not None:
            self.client.leave_case().then(on_error=self.failed)
        self.view.showPrompts(())
        self.view.showBusy()

    def give(self, prompt: Prompt, lineRas: npt.NDArray[np.float64]) -> None:
        """Add a prompt; it is shown at once and answered when its turn comes."""
        self._needCase()
        given = GivenPrompt(TimedPrompt(prompt, round(self.clock.touch(), 3)), lineRas)
        if self._waiting and self._waiting[-1].kind == "prompts":
            self._waiting[-1] = Step("prompts", (*self._waiting[-1].prompts, given))
        else:
            self._waiting.append(Step("prompts", (given,)))
        self._sendNext()

    def undo(self) -> None:
        """Take the last prompt back, however far it has come."""
        self._needCase()
        if self._waiting and self._waiting[-1].kind == "prompts":
            last = self._waiting.pop()
            if len(last.prompts) > 1:
                self._waiting.append(Step("prompts", last.prompts[:-1]))
            self.view.showPrompts(self.prompts)
        elif self._running is not None and self._running.kind == "prompts":
            self.cancel()
        else:
            self._enqueue("undo")

    def redo(self) -> None:
        """Take an undo back."""
        self._enqueue("redo")

    def reset(self) -> None:
        """Start over; can be undone."""
        self._enqueue("reset")

    def edited(self) -> None:
        """The mask was changed by hand; the engine hears of it before the next prompt."""
        if self.isOpen:
            self.clock.resume()  # in the Segment Editor, while this module is not shown
            self.clock.touch()
            self._edited = True
            self._changed()
            self.view.showBusy()

    def _changed(self) -> None:
        self.decision.revoke()
        self.drafts.changed()

    def cancel(self) -> None:
        """Drop what waits and take back what is under way."""
        self._waiting.clear()
        if self._running is not None and self._running.kind == "prompts":
            self._takeBack = True
        self.view.showPrompts(self.prompts)
        self.view.showBusy()

    def _enqueue(self, kind: Literal["undo", "redo", "reset"]) -> None:
        self._needCase()
        self.clock.touch()
        self._waiting.append(Step(kind))
        self._sendNext()

    def _sendNext(self) -> None:
        self.view.showPrompts(self.prompts)
        if self._running is None and self._waiting and self.client is not None and not self.isOpening:
            if self._edited:
                self._edited = False
                self._waiting.insert(0, Step("mask"))
            self._send(self._waiting.pop(0))
        self.view.showBusy()

    def _send(self, step: Step) -> None:
        client = self._needClient()
        self.drafts.save()  # before the prediction that it would have to wait for
        self._running = step

        def failed(error: ClopaError) -> None:
            self._running, self._takeBack = None, False
            self._edited = self._edited or step.kind == "mask"
            self.failed(error)
            if step.kind == "mask" or isinstance(error, EngineUnreachable | SessionExpired):
                self._waiting.clear()  # what waits was meant for a state that is not to be had
            self._sendNext()

        self._call(client, step).then(
            self.whileOpen(lambda answer: self._answered(step, answer)), self.whileOpen(failed)
        )

    def _call(self, client: EngineClient, step: Step) -> Call[Answer]:
        if step.kind == "prompts":
            return client.add_prompts([given.timed.prompt for given in step.prompts])
        if step.kind == "mask":
            return client.add_prompts([MaskPrompt(self.view.currentMask())])
        return {"redo": client.redo, "reset": client.reset}.get(step.kind, client.undo)()

    def _answered(self, step: Step, answer: Answer) -> None:
        self._running = None
        self.canUndo, self.canRedo = answer.can_undo, answer.can_redo
        self.weightsVersion = answer.proposal.weights_version
        self._history.follow(step)
        if self._takeBack:
            self._takeBack = False
            self._waiting.insert(0, Step("take back"))
        else:
            self.view.showProposal(answer.proposal.mask, answer.proposal.changed_kji)
            if step.kind == "prompts" and self._wantsFirst:
                self._wantsFirst = False
                self.firstShown = self.view.currentMask()
            if step.kind != "mask":
                self.view.say(whatNext(step, answer), "calm")
            self._changed()
        self._sendNext()

    def confirm(self, annotator: str, note: str, done: Callable[[CaseRef], None] | None = None) -> None:
        """Declare what is on the screen right; ``done`` is called when the record is durable."""
        self._needCase()
        if self.isBusy or self._waiting:
            self.view.say(tr("One moment: the last prompt is not answered yet."), "warning")
            return
        self.clock.touch()
        self.decision.confirm(self._needClient(), annotator, note, done)

    def whileOpen(self, then: Callable[[T], None]) -> Callable[[T], None]:
        """A callback that does nothing once another case is open: the answer is stale."""
        generation = self._generation
        return lambda answer: then(answer) if generation == self._generation else None

    def failed(self, error: ClopaError) -> None:
        self.view.say(str(error), "error")
        if isinstance(error, EngineUnreachable | SessionExpired):
            self.view.engineLost()
        self.view.showBusy()

    def _needClient(self) -> EngineClient:
        if self.client is None:
            raise NoImage(tr("No engine is connected. Open the Campaign section and press Connect."))
        return self.client

    def _needCase(self) -> None:
        self._needClient()
        if self.image is None:
            raise NoImage(tr("No case is open. Choose one from the list, or press Next case."))
        if self.isOpening:
            raise NoImage(tr("The case is still being opened; try again in a moment."))
