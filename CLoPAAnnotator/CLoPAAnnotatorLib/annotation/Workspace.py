"""The module's state and its operations: cases, the open one, the engine. Panels show it and call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import ClopaError, NoImage
from clopa_annotator.types import Event, Mask, Slot
from clopa_annotator.types.targets import Targets
from clopa_annotator.wire.messages import CaseRow, EngineInfo
from CLoPAAnnotatorLib.annotation import Sentences
from CLoPAAnnotatorLib.annotation.AnnotationSession import AnnotationSession
from CLoPAAnnotatorLib.annotation.CaseList import CaseList
from CLoPAAnnotatorLib.annotation.CaseView import CaseView
from CLoPAAnnotatorLib.annotation.Listeners import Listeners
from CLoPAAnnotatorLib.annotation.Prefetch import Prefetch
from CLoPAAnnotatorLib.annotation.TargetList import TargetList
from CLoPAAnnotatorLib.engine.EngineLink import EngineLink
from CLoPAAnnotatorLib.scene.CaseLoading import sourceText
from CLoPAAnnotatorLib.scene.CaseScene import CaseScene
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.scene.ParameterState import ParameterState
from CLoPAAnnotatorLib.scene.PromptShapes import SlicePlane, Tool, promptFromGesture
from CLoPAAnnotatorLib.Texts import Mood, tr


class Workspace:
    """Owns the session, the scene side and the engine link."""

    def __init__(self, scene: Any, state: ParameterState) -> None:
        self.state, self.listeners = state, Listeners()
        self.view = CaseView(self)
        self.session = AnnotationSession(self.view)
        self.case = CaseScene(scene, state, self.view.edited)
        self.link = EngineLink(self._heard, self._ticked)
        self.info: EngineInfo | None = None
        self.isLost = False
        self.annotator = ""
        self.cases = CaseList(state)
        self.targets = TargetList(self.session, self.cases)
        self._segmentation: Any = None
        self._prefetch = Prefetch(self)

    # -- engine --------------------------------------------------------------------------------------------

    def connectTo(
        self,
        client: EngineClient,
        done: Callable[[EngineInfo], None] | None = None,
        refused: Callable[[ClopaError], None] | None = None,
    ) -> None:
        """Talk to an engine; a case that was open stays open."""
        self.link.use(client)
        self.session.client = client

        def failed(error: ClopaError) -> None:
            self.info = None
            self.say(str(error), "error")
            self.tell(self.listeners.engine)
            if refused is not None:
                refused(error)

        def connected(info: EngineInfo) -> None:
            self._connected(info)
            if done is not None:
                done(info)

        client.connect().then(connected, failed)

    def _connected(self, info: EngineInfo) -> None:
        self.isLost = False
        self.infoIs(info)
        self.refreshCases()
        self.tell(self.listeners.engine)
        self._resume()

    def infoIs(self, info: EngineInfo) -> None:
        """What the engine says of itself and its campaign, anew."""
        self.info, self.targets.targets, self.cases.settings = info, info.targets, info.cases
        self.targets.identities = {"", self.annotator, info.annotator}
        if self.session.isOpen and self.session.slot not in self.targets.slots():  # it was taken out
            self.attempt(lambda: self.session.select(self.targets.slots()[0]))
        self.tell(self.listeners.targets)

    def setTargets(self, targets: Targets, refused: Callable[[ClopaError], None]) -> None:
        """Have the campaign segment these targets from now on; the owner alone may."""

        def changed(info: EngineInfo) -> None:
            self.infoIs(info)
            self.refreshCases()
            self.view.showBusy()

        self.link.client.set_targets(targets).then(changed, refused)

    def _resume(self) -> None:
        session = self.session
        if session.image is not None:
            session.open(session.caseId, session.image, resume=True)
        elif self.state.caseId and self.state.volume is not None:
            self.attempt(self._openKept)

    def disconnect(self) -> None:
        """Leave the engine; the open case's draft is kept."""
        self.closeCase()
        if not self.isLost:
            self.link.flush()
        self.link.drop()
        self.session.client = None
        self.info, self.isLost = None, False
        self.tell(self.listeners.engine)

    @property
    def isConnected(self) -> bool:
        """Whether an engine has said who it is and still answers."""
        return self.info is not None and not self.isLost

    def _heard(self, event: Event) -> None:
        if event.name in ("case_changed", "confirmed", "gap", "suggested"):
            self.refreshCases()
        elif event.name in ("targets_changed", "case_settings_changed") and self.link.client is not None:
            self.link.client.connect().then(self.infoIs, lambda error: self.say(str(error), "error"))
            self.refreshCases()
        elif event.name == "connection" and event.data.get("up", True) and self.isLost:
            self.link.client.connect().then(self._connected, lambda error: self.say(str(error), "error"))
        self.view.heard(event)
        said = Sentences.ofEvent(event)
        if said is not None and not (event.name == "connection" and self.isLost):
            self.say(*said)  # a lost engine has been told already, with what to do
        for listener in self.listeners.events:
            listener(event)

    def _ticked(self) -> None:
        self.session.drafts.tick()
        self.tell(self.listeners.ticks)

    # -- cases ---------------------------------------------------------------------------------------------

    def addSources(self, sources: tuple[CaseSource, ...]) -> int:
        """List more cases; returns how many are new."""
        count = self.cases.add(sources)
        self.tell(self.listeners.cases)
        return count

    def refreshCases(self) -> None:
        """Ask the engine for the cases' states."""
        if self.link.client is not None:
            self.link.client.cases().then(self._gotCases, lambda error: self.say(str(error), "error"))

    def _gotCases(self, rows: tuple[CaseRow, ...]) -> None:
        self.cases.rows = {row.case_id: row for row in rows}
        self.tell(self.listeners.cases)
        self.tell(self.listeners.targets)

    def nextSource(self) -> CaseSource | None:
        """The next case that is not done, after the open one; None if all are."""
        identities = {"", self.annotator, self.info.annotator if self.info is not None else ""}
        return self.cases.nextAfter(self.session.caseId, identities)

    def selectNumber(self, number: int) -> None:
        """Work on the n-th target of the list, counted from 1; nothing happens if there is none."""
        slots = self.targets.slots()
        if self.session.image is not None and not self.targets.isSingle and number <= len(slots):
            self.session.select(slots[number - 1])

    def selectNextOpen(self) -> bool:
        """Work on the next target that is not decided; False if every one is."""
        slot = self.targets.nextOpen()
        if slot is not None:
            self.session.select(slot)
        return slot is not None

    def openNext(self) -> None:
        """Open the next case that is not done."""
        source = self.nextSource()
        if source is None:
            everything = (
                tr("Every case in the list is done.") if self.state.sources else tr("Add cases first.")
            )
            self.say(everything, "good" if self.state.sources else "warning")
        else:
            self.openCase(source.caseId)

    def openCase(self, caseId: str, slot: Slot | None = None) -> None:
        """Load a case and give it to the engine; a failure leaves what was open as it was."""
        source = next((s for s in self.state.sources if s.caseId == caseId), None)
        if source is None:
            raise NoImage(tr("{case} is not in the list of cases.").format(case=caseId))
        if not self.isConnected:
            raise NoImage(tr("No engine is connected. Open the Campaign section and press Connect."))
        volume = self._prefetch.take(caseId) or self.case.load(source)
        try:
            self.case.image(volume)
        except ClopaError:
            self.case.removeIfOwned(volume)
            raise
        self.closeCase()
        self._openVolume(caseId, volume, sourceText(source, volume), self._segmentation, slot)

    def _openKept(self) -> None:
        """Open the case that the scene was saved with."""
        state = self.state
        self._openVolume(state.caseId, state.volume, "", state.segmentation, state.slot)

    def _openVolume(
        self, caseId: str, volume: Any, source: str, segmentation: Any, slot: Slot | None = None
    ) -> None:
        image = self.case.image(volume)
        self.case.begin(volume, image, segmentation)
        self.case.display()
        self.state.caseId = caseId
        self.cases.opened(caseId)
        self.say(tr("Opening {case} …").format(case=caseId), "calm")
        self.session.open(caseId, image, source, slot)

    def closeCase(self) -> None:
        """Leave the open case."""
        self._prefetch.stop()
        if self.session.image is not None:
            self.session.close()
        if self.case.grid is not None:
            self.case.end()
        self.state.caseId = ""
        self.tell(self.listeners.opened)

    def useSegmentation(self, node: Any) -> None:
        """Write the proposal into this segmentation; None for one of its own."""
        self._segmentation = node
        if node is not None and self.session.isOpen:
            self.case.moveTo(node)

    def sceneClosed(self) -> None:
        """The scene was emptied: the case is left, its draft kept."""
        if self.session.image is not None:
            self.say(*Sentences.sceneClosed(self.session.caseId, self.session.isConfirmed))
        self.case.forget()
        self._prefetch.forget()
        self._segmentation = None
        self.session.close()
        self.tell(self.listeners.opened)
        self.tell(self.listeners.cases)

    def sceneLoaded(self) -> None:
        """A scene was read: take up the case that it was saved with."""
        self.tell(self.listeners.cases)
        volume = self.state.volume
        if self.state.caseId and volume is not None and self.isConnected:
            self._openVolume(self.state.caseId, volume, "", self.state.segmentation)
        elif self.state.caseId:
            self.say(tr("Connect to go on with {case}.").format(case=self.state.caseId), "calm")

    # -- prompts -------------------------------------------------------------------------------------------

    def gesture(self, tool: Tool, positive: bool, xy: npt.NDArray[np.float64], plane: SlicePlane) -> None:
        """A click or drawing in a slice view; anything wrong with it is said in words."""
        try:
            if self.isLost:
                raise NoImage(tr("The engine does not answer. Press Restart in section 1, then go on here."))
            prompt, line = promptFromGesture(tool, positive, xy, plane, self.case.requireGrid())
            if self.info is not None and prompt.kind not in self.info.supported:
                raise NoImage(
                    tr("This model does not take a {kind}; use points.").format(kind=prompt.kind.value)
                )
            self.session.give(prompt, line)
        except ClopaError as error:
            self.say(str(error), "warning")

    def attempt(self, action: Callable[[], object]) -> None:
        """Do something on a button's behalf; a refusal becomes a sentence."""
        try:
            action()
        except ClopaError as error:
            self.say(str(error), "warning")

    def currentMask(self) -> Mask:
        """What is on the screen of the chosen target."""
        return self.case.mask()

    def say(self, sentence: str, mood: Mood) -> None:
        """Tell the panels a sentence."""
        for listener in self.listeners.said:
            listener(sentence, mood)

    def caseReady(self) -> None:
        """The open case takes prompts: there is time to get the next one ready."""
        self._prefetch.soon()

    def engineLost(self) -> None:
        """The engine panel offers Restart."""
        self.isLost = True
        self.tell(self.listeners.engine)

    @staticmethod
    def tell(listeners: list[Callable[[], object]]) -> None:
        for listener in listeners:
            listener()
