"""What the open case's session needs from whoever shows it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from clopa_annotator.geometry import BoundsKji
from clopa_annotator.types import CaseRef, Mask, Prompt, Slot
from clopa_annotator.wire.messages import CaseRow, OpenedCase
from CLoPAAnnotatorLib.scene.GivenPrompt import GivenPrompt
from CLoPAAnnotatorLib.Texts import Mood


class AnnotationView(Protocol):
    """Who shows the open case."""

    def showProposal(self, mask: Mask, changed: BoundsKji | None, slot: Slot) -> None:
        """Put the changed box of a slot's proposal on the screen."""

    def showMask(self, mask: Mask, box: BoundsKji | None, slot: Slot) -> None:
        """Have exactly this mask on the screen, of which ``box`` holds everything that is set."""

    def currentMask(self, slot: Slot | None = None) -> Mask:
        """A copy of what is on the screen of a slot (None: the chosen one), with manual edits; read-only."""

    def outlineOf(self, prompt: Prompt) -> npt.NDArray[np.float64]:
        """(n, 3) world points that show a prompt."""

    def showPrompts(self, prompts: tuple[GivenPrompt, ...]) -> None:
        """Show exactly these prompts."""

    def showBusy(self) -> None:
        """Something started or ended; look at `AnnotationSession.isBusy`."""

    def say(self, sentence: str, mood: Mood) -> None:
        """Tell the user."""

    def slotChosen(self, slot: Slot) -> None:
        """What is done from now on is done to this slot."""

    def slotOpened(self, opened: OpenedCase) -> None:
        """A slot of the open case is ready for prompts."""

    def caseOpened(self, opened: OpenedCase, isResumed: bool) -> None:
        """A case is ready for prompts."""

    def caseConfirmed(self, ref: CaseRef, *, isAbsent: bool) -> None:
        """The engine has answered with the record's hash; ``isAbsent``: with nothing marked."""

    def caseChanged(self, row: CaseRow) -> None:
        """A case has another state."""

    def engineLost(self) -> None:
        """The engine does not answer."""
