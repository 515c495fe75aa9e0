"""The open case on the screen: what the session says becomes segments, markers and sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import ClopaError
from clopa_annotator.geometry import BoundsKji
from clopa_annotator.types import CaseRef, Event, Mask, Prompt, Slot
from clopa_annotator.types.review import ReviewRow
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.messages import CaseRow, OpenedCase, SlotRow
from CLoPAAnnotatorLib.annotation import Sentences
from CLoPAAnnotatorLib.annotation.AnnotationSession import AnnotationSession
from CLoPAAnnotatorLib.annotation.CaseList import CaseList
from CLoPAAnnotatorLib.annotation.Listeners import Listeners
from CLoPAAnnotatorLib.annotation.TargetList import TargetList
from CLoPAAnnotatorLib.scene.CaseScene import CaseScene
from CLoPAAnnotatorLib.scene.GivenPrompt import GivenPrompt
from CLoPAAnnotatorLib.scene.Labelmaps import filledBox
from CLoPAAnnotatorLib.scene.ParameterState import ParameterState
from CLoPAAnnotatorLib.scene.PromptShapes import outlineOfPrompt
from CLoPAAnnotatorLib.Texts import Mood


class Surroundings(Protocol):
    """What is asked of the workspace."""

    state: ParameterState
    listeners: Listeners
    session: AnnotationSession
    case: CaseScene
    cases: CaseList
    targets: TargetList

    def say(self, sentence: str, mood: Mood) -> None: ...

    def tell(self, listeners: list[Callable[[], object]]) -> None: ...

    def refreshCases(self) -> None: ...

    def caseReady(self) -> None: ...

    def engineLost(self) -> None: ...


class CaseView:
    """Fulfils `AnnotationView` on Slicer's scene."""

    def __init__(self, workspace: Surroundings) -> None:
        self._workspace = workspace
        self._versions: dict[str, int] = {}
        self._seen: dict[Slot, SlotRow] = {}
        self._told: Slot | None = None  # of which slot it was said last how it stands
        self._confirmed = ""  # what was confirmed just now, to be said with what is chosen next
        self.returned: dict[Slot, ReviewRow] = {}
        """What a reviewer said of each returned target of the open case."""

    def showProposal(self, mask: Mask, changed: BoundsKji | None, slot: Slot = FIRST) -> None:
        """Put the changed box on the screen."""
        try:
            self._workspace.case.write(mask, changed, slot)
        except ClopaError as error:
            self.say(str(error), "error")

    def showMask(self, mask: Mask, box: BoundsKji | None, slot: Slot) -> None:
        """Have exactly this mask on the screen."""
        try:
            self._workspace.case.show(mask, box, slot)
        except ClopaError as error:
            self.say(str(error), "error")

    def currentMask(self, slot: Slot | None = None) -> Mask:
        """What is on the screen."""
        return self._workspace.case.mask(slot)

    def outlineOf(self, prompt: Prompt) -> npt.NDArray[np.float64]:
        """World points that show a prompt."""
        grid = self._workspace.case.grid
        return outlineOfPrompt(prompt, grid) if grid is not None else np.zeros((0, 3))

    def showPrompts(self, prompts: tuple[GivenPrompt, ...]) -> None:
        """Show exactly these prompts."""
        self._workspace.case.markers.show(prompts)

    def showBusy(self) -> None:
        """Tell the panels, and draw every segment as what it is."""
        self._dress()
        self._workspace.tell(self._workspace.listeners.busy)

    def edited(self, slot: Slot) -> None:
        """A segment was changed by hand; that of another target is told if it was confirmed."""
        session = self._workspace.session
        work = session.works.get(slot)
        wasConfirmed = slot in self._workspace.targets.confirmed() or (work and work.decision.isConfirmed)
        session.edited(slot)
        if slot != session.slot and wasConfirmed:
            self.say(*Sentences.otherEdited(self._workspace.targets.nameOf(slot)))

    def _dress(self) -> None:
        workspace = self._workspace
        if workspace.case.proposal is not None:
            workspace.case.dress(workspace.targets.looks(), workspace.targets.confirmed())

    def say(self, sentence: str, mood: Mood) -> None:
        """Tell the panels a sentence."""
        self._workspace.say(sentence, mood)

    def slotChosen(self, slot: Slot) -> None:
        """Prompts and edits change this slot's segment; what was begun for nothing goes."""
        workspace = self._workspace
        if workspace.case.proposal is None:
            return
        workspace.state.slot = slot
        workspace.case.choose(slot)
        workspace.case.keepOnly(workspace.targets.slots())
        self._dress()
        workspace.tell(workspace.listeners.targets)

    def slotOpened(self, opened: OpenedCase) -> None:
        """Say how it stands, unless another one was chosen meanwhile."""
        workspace = self._workspace
        self._took(opened)
        isNew, self._told = opened.slot != self._told, opened.slot
        if opened.slot == workspace.session.slot and isNew:
            name, work = workspace.targets.nameOf(opened.slot), workspace.session.work
            version, isBack = self._newVersion(opened), work.isBegun
            said = Sentences.slotOpened(opened, name, version, isBack=isBack)
            self.say(*(Sentences.andNext(self._confirmed, said) if self._confirmed else said))
            self._confirmed = ""
        workspace.tell(workspace.listeners.targets)

    def caseOpened(self, opened: OpenedCase, isResumed: bool) -> None:
        """Say what came back."""
        workspace = self._workspace
        self._confirmed, self._told = "", opened.slot
        if not isResumed:
            self._seen, self.returned = {}, {}
        self._took(opened)
        changed = self._newVersion(opened)
        if isResumed:
            self.say(*Sentences.resumed(opened, workspace.session.isConfirmed))
        elif workspace.targets.isSingle:
            self.say(*Sentences.opened(opened, changed))
        else:
            self.say(*Sentences.slotOpened(opened, workspace.targets.nameOf(opened.slot), changed))
        workspace.caseReady()
        workspace.tell(workspace.listeners.opened)
        workspace.tell(workspace.listeners.cases)
        workspace.tell(workspace.listeners.targets)

    def _took(self, opened: OpenedCase) -> None:
        workspace = self._workspace
        workspace.cases.rows[opened.row.case_id] = opened.row
        self.returned.pop(opened.slot, None)
        if opened.returned is not None:
            self.returned[opened.slot] = opened.returned
        self._showOthers(opened)
        self._dress()

    def _newVersion(self, opened: OpenedCase) -> int | None:
        """The weights' version, if it is another than the last that was seen of this target."""
        version = opened.answer.proposal.weights_version
        before = self._versions.get(opened.slot.target, version)
        self._versions[opened.slot.target] = version
        self._workspace.targets.versions[opened.slot.target] = version
        return version if before != version else None

    def _showOthers(self, opened: OpenedCase) -> None:
        """Draw what the engine keeps of the other slots; what was done to them here stays as it is."""
        workspace, masks = self._workspace, dict(opened.others)
        rows = {row.slot: row for row in opened.row.slots}
        nothing = np.zeros(opened.answer.proposal.mask.shape, np.uint8)
        for slot in workspace.targets.slots():
            work, row = workspace.session.works.get(slot), rows.get(slot)
            isOurs = work is not None and (work.isShown or work.isEdited)
            if slot == opened.slot or isOurs or slot == workspace.session.slot:
                continue
            if row is not None and self._seen.get(slot) == row:
                continue  # looking through a whole mask takes some milliseconds each time
            mask = masks.get(slot, nothing)
            self.showMask(mask, filledBox(mask), slot)
            if row is not None:
                self._seen[slot] = row

    def heard(self, event: Event) -> None:
        """Somebody else confirmed a target of the open case: draw it, and keep out of it."""
        workspace, data = self._workspace, event.data
        session = workspace.session
        if event.name != "confirmed" or data.get("case_id") != session.caseId or not session.isSettled:
            return
        ours = (work.slot for work in session.works.values() if work.decision.isConfirmed)
        if Slot(str(data.get("target", "")), int(data.get("instance", 1))) not in {*ours, session.slot}:
            session.select(session.slot)

    def caseConfirmed(self, ref: CaseRef, *, isAbsent: bool) -> None:
        """Say it only now."""
        workspace = self._workspace
        workspace.cases.confirmed(ref, isAbsent=isAbsent)
        self.returned.pop(ref.slot, None)
        single = workspace.targets.isSingle
        name = "" if single else workspace.targets.nameOf(ref.slot)
        self.say(*Sentences.confirmed(ref, name, isAbsent=isAbsent and not single))
        self._confirmed = name
        workspace.tell(workspace.listeners.targets)
        workspace.refreshCases()

    def caseChanged(self, row: CaseRow) -> None:
        """Show a case's new state."""
        workspace = self._workspace
        workspace.cases.rows[row.case_id] = row
        self._dress()
        workspace.tell(workspace.listeners.cases)
        workspace.tell(workspace.listeners.targets)

    def engineLost(self) -> None:
        """The engine panel offers Restart."""
        self._workspace.engineLost()
