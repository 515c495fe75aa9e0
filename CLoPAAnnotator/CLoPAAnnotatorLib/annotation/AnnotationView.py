"""What the open case's session needs from whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from clopa_annotator.geometry import BoundsKji
from clopa_annotator.types import CaseRef, Mask, Prompt, TimedPrompt
from clopa_annotator.wire.messages import CaseRow, OpenedCase

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
        """A copy of what is on the screen, manual edits included; read-only."""

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

    def engineLost(self) -> None:
        """The engine does not answer."""
