"""What happens to the open case: prompts wait their turn, answers arrive, nothing blocks, nothing is lost.

No Qt and no scene here: the widget passes gestures in, and an `AnnotationView` shows what comes out. One call
on the open case is under way at a time; prompts given meanwhile wait and go out together, with one prediction.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from clopa_annotator.engine.calls import Call
from clopa_annotator.engine.messages import Answer, CaseRow, Draft, OpenedCase
from clopa_annotator.engine.protocol import EngineClient
from clopa_annotator.errors import ClopaError, EngineUnreachable, NoImage, SessionExpired
from clopa_annotator.geometry import BoundsKji
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
from CLoPAAnnotatorLib.Texts import tr

DRAFT_AFTER_S = 0.3
Mood = Literal["calm", "good", "warning", "error"]


@dataclass(frozen=True, eq=False)
class GivenPrompt:
    """A prompt with what is drawn for it.

    Attributes:
        timed: the prompt and when it was given.
        lineRas: (n, 3) world points that show it; one point for a click.
    """

    timed: TimedPrompt
    lineRas: npt.NDArray[np.float64]


class AnnotationView(Protocol):
    """Who shows the open case."""

    def showProposal(self, mask: Mask, changed: BoundsKji | None) -> None:
        """Put the changed box of a proposal on the screen."""

    def currentMask(self) -> Mask:
        """A copy of what is on the screen, manual edits included."""

    def outlineOf(self, prompt: Prompt) -> npt.NDArray[np.float64]:
        """(n, 3) world points that show a prompt."""

    def showPrompts(self, prompts: tuple[GivenPrompt, ...]) -> None:
        """Show exactly these prompts."""

    def showBusy(self) -> None:
        """Something started or ended; look at `AnnotationSession.isBusy`."""

    def say(self, sentence: str, mood: Mood) -> None:
        """Tell the user."""

    def caseOpened(self, opened: OpenedCase, isResumed: bool) -> None:
        """A case is ready for prompts."""

    def caseConfirmed(self, ref: CaseRef) -> None:
        """The engine has answered with the record's hash."""

    def caseChanged(self, row: CaseRow) -> None:
        """A case has another state."""

    def engineLost(self, error: ClopaError) -> None:
        """The engine does not answer."""


@dataclass(frozen=True)
class _Step:
    kind: Literal["prompts", "mask", "undo", "redo", "reset", "take back"]
    prompts: tuple[GivenPrompt, ...] = ()


class AnnotationSession:
    """The open case and its line to the engine."""

    def __init__(self, view: AnnotationView, clock: ActiveClock | None = None) -> None:
        self._view = view
        self.clock = clock or ActiveClock()
        self.client: EngineClient | None = None
        self.caseId = ""
        self.image: Image | None = None
        self._source = ""
        self._generation = 0
        self._forgetCase()

    def _forgetCase(self) -> None:
        self._generation += 1
        self._history: list[tuple[GivenPrompt, ...]] = [()]
        self._position = 0
        self._waiting: list[_Step] = []
        self._running: _Step | None = None
        self._takeBack = False
        self._edited = False
        self._draftDue: float | None = None
        self._firstShown: Mask | None = None
        self.isOpening = self.isConfirming = self.isConfirmed = False
        self.canUndo = self.canRedo = False
        self.weightsVersion = 0

    # -- what the panel asks -------------------------------------------------------------------------------

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
        shown = self._history[self._position]
        steps = [self._running, *self._waiting] if not self._takeBack else self._waiting
        return (*shown, *(p for step in steps if step is not None for p in step.prompts))

    @property
    def isDirty(self) -> bool:
        """Whether there is unconfirmed work."""
        return self.isOpen and not self.isConfirmed and (bool(self.prompts) or self._edited)

    # -- opening and leaving -------------------------------------------------------------------------------

    def open(self, caseId: str, image: Image, source: str = "", *, resume: bool = False) -> None:
        """Take a case. With ``resume`` it is the case that was open when the engine went away."""
        client = self._needClient()
        history, position, first = self._history, self._position, self._firstShown
        self._forgetCase()
        if resume:
            self._history, self._position, self._firstShown = history, position, first
        self.caseId, self.image, self._source, self.isOpening = caseId, image, source, True
        self._view.showBusy()
        generation = self._generation

        def opened(answer: OpenedCase) -> None:
            if generation == self._generation:
                self._opened(answer, resume)

        def failed(error: ClopaError) -> None:
            if generation == self._generation:
                self.isOpening = False
                if not resume:
                    self.caseId, self.image = "", None
                self._failed(error)
                self._view.showBusy()

        client.open_case(caseId, image, source).then(opened, failed)

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
            self._history, self._position = [(), given] if given else [()], int(bool(given))
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

    # -- prompts -------------------------------------------------------------------------------------------

    def give(self, prompt: Prompt, lineRas: npt.NDArray[np.float64]) -> None:
        """Add a prompt; it is shown at once and answered when its turn comes."""
        self._needCase()
        self.clock.touch()
        given = GivenPrompt(TimedPrompt(prompt, round(self.clock.seconds, 3)), lineRas)
        if self._waiting and self._waiting[-1].kind == "prompts":
            self._waiting[-1] = _Step("prompts", (*self._waiting[-1].prompts, given))
        else:
            self._waiting.append(_Step("prompts", (given,)))
        self._sendNext()

    def undo(self) -> None:
        """Take the last prompt back, however far it has come."""
        self._needCase()
        if self._waiting and self._waiting[-1].kind == "prompts":
            last = self._waiting.pop()
            if len(last.prompts) > 1:
                self._waiting.append(_Step("prompts", last.prompts[:-1]))
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
        self._waiting.append(_Step(kind))
        self._sendNext()

    def _sendNext(self) -> None:
        self._view.showPrompts(self.prompts)
        if self._running is None and self._waiting and self.client is not None and not self.isOpening:
            if self._edited:
                self._edited = False
                self._waiting.insert(0, _Step("mask"))
            self._send(self._waiting.pop(0))
        self._view.showBusy()

    def _send(self, step: _Step) -> None:
        client = self._needClient()
        self._running = step
        generation = self._generation
        calls: dict[str, Callable[[], Call[Answer]]] = {
            "prompts": lambda: client.add_prompts([g.timed.prompt for g in step.prompts]),
            "mask": lambda: client.add_prompts([MaskPrompt(self._view.currentMask())]),
            "undo": client.undo,
            "take back": client.undo,
            "redo": client.redo,
            "reset": client.reset,
        }

        def answered(answer: Answer) -> None:
            if generation == self._generation:  # else: another case is open, the answer is stale
                self._answered(step, answer)

        def failed(error: ClopaError) -> None:
            if generation == self._generation:
                self._running, self._takeBack = None, False
                self._edited = self._edited or step.kind == "mask"
                self._failed(error)
                if isinstance(error, EngineUnreachable | SessionExpired):
                    self._waiting.clear()
                self._sendNext()

        calls[step.kind]().then(answered, failed)

    def _answered(self, step: _Step, answer: Answer) -> None:
        self._running = None
        self.canUndo, self.canRedo = answer.can_undo, answer.can_redo
        self.weightsVersion = answer.proposal.weights_version
        if self._takeBack:
            self._takeBack = False
            self._waiting.insert(0, _Step("take back"))
        else:
            self._remember(step)
            self._view.showProposal(answer.proposal.mask, answer.proposal.changed_kji)
            if step.kind == "prompts" and self._firstShown is None:
                self._firstShown = answer.proposal.mask.copy()
            self._tellWhatNext(step, answer)
            self.isConfirmed = False
            self._draftDue = self.clock.now() + DRAFT_AFTER_S
        self._sendNext()

    def _tellWhatNext(self, step: _Step, answer: Answer) -> None:
        if step.kind != "prompts":
            self._view.say("", "calm")
        elif answer.proposal.changed_kji is None:
            self._view.say(tr("That changed nothing. Try another place, a scribble or a lasso."), "calm")
        else:
            self._view.say(tr("Right? Confirm. Wrong? Left-click what is missing, right-click what is too much."),
                           "calm")  # fmt: skip

    def _remember(self, step: _Step) -> None:
        current = self._history[self._position]
        if step.kind == "undo":
            self._position = max(self._position - 1, 0)
        elif step.kind == "redo":
            self._position = min(self._position + 1, len(self._history) - 1)
        elif step.kind != "take back":
            after = () if step.kind == "reset" else (*current, *step.prompts)
            self._history = [*self._history[: self._position + 1], after]
            self._position += 1

    # -- keeping and deciding ------------------------------------------------------------------------------

    def tick(self) -> None:
        """To be called often: saves the draft a moment after the last change."""
        if self._draftDue is not None and self.clock.now() >= self._draftDue:
            self.saveDraftNow()

    def saveDraftNow(self) -> None:
        """Keep unconfirmed work with the engine."""
        if self._draftDue is None or not self.isOpen or self.isConfirming or self.client is None:
            return
        self._draftDue = None
        draft = Draft(self._view.currentMask(), self._timed(), round(self.clock.seconds, 3))
        self.client.save_draft(draft).then(on_error=self._failed)

    def _timed(self) -> tuple[TimedPrompt, ...]:
        return tuple(given.timed for given in self._history[self._position])

    def confirm(self, annotator: str, note: str, done: Callable[[CaseRef], None] | None = None) -> None:
        """Declare what is on the screen right; ``done`` is called when the record is durable."""
        self._needCase()
        if self.isConfirming or self.isBusy or self._waiting:
            self._view.say(tr("One moment: the last prompt is not answered yet."), "warning")
            return
        self.clock.touch()
        mask = self._view.currentMask()
        first = None if self._firstShown is None else _dice(self._firstShown, mask)
        confirmation = Confirmation(
            uuid.uuid4().hex, self.caseId, mask, self._timed(), annotator, round(self.clock.seconds, 3),
            self.weightsVersion, first, note,
        )  # fmt: skip
        self.isConfirming, self._draftDue = True, None
        generation = self._generation

        def confirmed(ref: CaseRef) -> None:
            if generation == self._generation:
                self.isConfirming, self.isConfirmed = False, True
                self._view.caseConfirmed(ref)
                self._view.showBusy()
                if done is not None:
                    done(ref)

        def failed(error: ClopaError) -> None:
            if generation == self._generation:
                self.isConfirming = False
                self._draftDue = self.clock.now()
                self._failed(error)
                self._view.showBusy()

        self._needClient().confirm(confirmation).then(confirmed, failed)
        self._view.showBusy()

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


def _dice(first: Mask, second: Mask) -> float:
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 1.0 if total == 0 else 2.0 * int(np.count_nonzero(first & second)) / total
