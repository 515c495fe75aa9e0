"""What happens to the open case: prompts wait their turn, answers arrive, nothing blocks, nothing is lost.

No Qt, no scene: the widget passes gestures in, an `AnnotationView` shows what comes out. One call at a time.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from clopa_annotator.engine.calls import Call
from clopa_annotator.engine.messages import Answer, Draft, OpenedCase
from clopa_annotator.engine.protocol import EngineClient
from clopa_annotator.errors import ClopaError, EngineUnreachable, NoImage, SessionExpired
from clopa_annotator.types import (
    CaseRef,
    CaseState,
    Confirmation,
    Image,
    Mask,
    MaskPrompt,
    Prompt,
    TimedPrompt,
)
from CLoPAAnnotatorLib.ActiveClock import ActiveClock
from CLoPAAnnotatorLib.AnnotationView import AnnotationView, GivenPrompt
from CLoPAAnnotatorLib.PromptHistory import PromptHistory, Step, diceOf, whatNext
from CLoPAAnnotatorLib.Texts import tr

T = TypeVar("T")
DRAFT_AFTER_S = 0.3


class AnnotationSession:
    """The open case and its line to the engine."""

    def __init__(self, view: AnnotationView, clock: ActiveClock | None = None) -> None:
        self._view = view
        self.clock = clock or ActiveClock()
        self.client: EngineClient | None = None
        self.caseId = ""
        self.image: Image | None = None
        self._generation = 0
        self._forgetCase()

    def _forgetCase(self) -> None:
        self._generation += 1
        self._history = PromptHistory()
        self._waiting: list[Step] = []
        self._running: Step | None = None
        self._takeBack = False
        self._edited = False
        self._draftDue: float | None = None
        self._firstShown: Mask | None = None
        self._wantsFirst = True
        self.isOpening = self.isConfirming = self.isConfirmed = False
        self.canUndo = self.canRedo = False
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
    def prompts(self) -> tuple[GivenPrompt, ...]:
        """The prompts on the screen: answered, under way and waiting."""
        shown = self._history.prompts
        steps = [self._running, *self._waiting] if not self._takeBack else self._waiting
        return (*shown, *(p for step in steps if step is not None for p in step.prompts))

    def open(self, caseId: str, image: Image, source: str = "", *, resume: bool = False) -> None:
        """Take a case. With ``resume`` it is the case that was open when the engine went away."""
        client = self._needClient()
        kept = (self._history, self._firstShown, self._wantsFirst)
        self._forgetCase()
        if resume:
            self._history, self._firstShown, self._wantsFirst = kept
        self.caseId, self.image, self.isOpening = caseId, image, True
        self._view.showBusy()

        def failed(error: ClopaError) -> None:
            self.isOpening = False
            if not resume:
                self.caseId, self.image = "", None
            self._failed(error)
            self._view.showBusy()

        client.open_case(caseId, image, source).then(
            self._whileOpen(lambda opened: self._opened(opened, resume)), self._whileOpen(failed)
        )

    def _opened(self, opened: OpenedCase, resume: bool) -> None:
        self.isOpening = False
        draft = opened.draft
        self.canUndo, self.canRedo = opened.answer.can_undo, opened.answer.can_redo
        self.weightsVersion = opened.answer.proposal.weights_version
        if resume:
            self._edited = True  # the screen is newer than what the engine kept
            self._draftDue = self.clock.now()
        else:
            prompts = draft.prompts if draft is not None else ()
            given = tuple(GivenPrompt(timed, self._view.outlineOf(timed.prompt)) for timed in prompts)
            self._history = PromptHistory(given)
            self._wantsFirst = draft is None and opened.confirmed is None
            self.clock.start(draft.seconds_active if draft is not None else 0.0)
            self._view.showProposal(opened.answer.proposal.mask, opened.answer.proposal.changed_kji)
        self.isConfirmed = opened.row.state is CaseState.CONFIRMED and draft is None and not resume
        self._view.caseOpened(opened, resume)
        self._view.showPrompts(self.prompts)
        self._view.showBusy()

    def close(self) -> None:
        """Leave the case; its draft stays with the engine."""
        if self.image is None:
            return
        self.saveDraftNow()
        self._forgetCase()
        self.caseId, self.image = "", None
        if self.client is not None:
            self.client.leave_case().then(on_error=self._failed)
        self._view.showPrompts(())
        self._view.showBusy()

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
            self._view.showPrompts(self.prompts)
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
            self.clock.touch()
            self._edited, self.isConfirmed = True, False
            self._draftDue = self.clock.now() + DRAFT_AFTER_S
            self._view.showBusy()

    def cancel(self) -> None:
        """Drop what waits and take back what is under way."""
        self._waiting.clear()
        if self._running is not None and self._running.kind == "prompts":
            self._takeBack = True
        self._view.showPrompts(self.prompts)
        self._view.showBusy()

    def _enqueue(self, kind: Literal["undo", "redo", "reset"]) -> None:
        self._needCase()
        self.clock.touch()
        self._waiting.append(Step(kind))
        self._sendNext()

    def _sendNext(self) -> None:
        self._view.showPrompts(self.prompts)
        if self._running is None and self._waiting and self.client is not None and not self.isOpening:
            if self._edited:
                self._edited = False
                self._waiting.insert(0, Step("mask"))
            self._send(self._waiting.pop(0))
        self._view.showBusy()

    def _send(self, step: Step) -> None:
        client = self._needClient()
        self._running = step

        def failed(error: ClopaError) -> None:
            self._running, self._takeBack = None, False
            self._edited = self._edited or step.kind == "mask"
            self._failed(error)
            if isinstance(error, EngineUnreachable | SessionExpired):
                self._waiting.clear()
            self._sendNext()

        self._call(client, step).then(
            self._whileOpen(lambda answer: self._answered(step, answer)), self._whileOpen(failed)
        )

    def _call(self, client: EngineClient, step: Step) -> Call[Answer]:
        if step.kind == "prompts":
            return client.add_prompts([given.timed.prompt for given in step.prompts])
        if step.kind == "mask":
            return client.add_prompts([MaskPrompt(self._view.currentMask())])
        return {"redo": client.redo, "reset": client.reset}.get(step.kind, client.undo)()

    def _answered(self, step: Step, answer: Answer) -> None:
        self._running = None
        self.canUndo, self.canRedo = answer.can_undo, answer.can_redo
        self.weightsVersion = answer.proposal.weights_version
        if self._takeBack:
            self._takeBack = False
            self._waiting.insert(0, Step("take back"))
        else:
            self._history.follow(step)
            self._view.showProposal(answer.proposal.mask, answer.proposal.changed_kji)
            if step.kind == "prompts" and self._wantsFirst:
                self._wantsFirst = False
                self._firstShown = answer.proposal.mask.copy()
            self._view.say(whatNext(step, answer), "calm")
            self.isConfirmed = False
            self._draftDue = self.clock.now() + DRAFT_AFTER_S
        self._sendNext()

    def tick(self) -> None:
        """To be called often: saves the draft a moment after the last change."""
        if self._draftDue is not None and self.clock.now() >= self._draftDue:
            self.saveDraftNow()

    def saveDraftNow(self) -> None:
        """Keep unconfirmed work with the engine."""
        if self._draftDue is None or not self.isOpen or self.isConfirming or self.client is None:
            return
        self._draftDue = None
        draft = Draft(self._view.currentMask(), self._history.timed, round(self.clock.seconds, 3))
        self.client.save_draft(draft).then(on_error=self._failed)

    def confirm(self, annotator: str, note: str, done: Callable[[CaseRef], None] | None = None) -> None:
        """Declare what is on the screen right; ``done`` is called when the record is durable."""
        self._needCase()
        if self.isConfirming or self.isBusy or self._waiting:
            self._view.say(tr("One moment: the last prompt is not answered yet."), "warning")
            return
        self.clock.touch()
        mask = self._view.currentMask()
        first = None if self._firstShown is None else diceOf(self._firstShown, mask)
        confirmation = Confirmation(
            uuid.uuid4().hex, self.caseId, mask, self._history.timed, annotator, round(self.clock.seconds, 3),
            self.weightsVersion, first, note,
        )  # fmt: skip
        self.isConfirming, self._draftDue = True, None

        def confirmed(ref: CaseRef) -> None:
            self.isConfirming, self.isConfirmed = False, True
            self._view.caseConfirmed(ref)
            self._view.showBusy()
            if done is not None:
                done(ref)

        def failed(error: ClopaError) -> None:
            self.isConfirming, self._draftDue = False, self.clock.now()
            self._failed(error)
            self._view.showBusy()

        self._needClient().confirm(confirmation).then(self._whileOpen(confirmed), self._whileOpen(failed))
        self._view.showBusy()

    def _whileOpen(self, then: Callable[[T], None]) -> Callable[[T], None]:
        """A callback that does nothing once another case is open: the answer is stale."""
        generation = self._generation
        return lambda answer: then(answer) if generation == self._generation else None

    def _failed(self, error: ClopaError) -> None:
        self._view.say(str(error), "error")
        if isinstance(error, EngineUnreachable | SessionExpired):
            self._view.engineLost(error)

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
