"""Section 3 of the panel: tools, history, the decision; and its keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

import qt
from clopa_annotator.types import CaseRef
from CLoPAAnnotatorLib.annotation.Surface3D import Surface3D
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.panels.Marks import Marks
from CLoPAAnnotatorLib.panels.Style import MOODS, NEGATIVE_ON, POSITIVE_ON, PRIMARY, TITLE, TOOL_ON
from CLoPAAnnotatorLib.panels.SuggestionPanel import SuggestionPanel
from CLoPAAnnotatorLib.panels.TargetsPanel import TargetsPanel
from CLoPAAnnotatorLib.scene.PromptShapes import TOOLS, Tool
from CLoPAAnnotatorLib.scene.SliceGestures import SliceGestures
from CLoPAAnnotatorLib.Texts import Mood, tr

SPINNER_AFTER_MS = 80
HINTS = {
    "point": "Click on the target in any slice view.",
    "box": "Hold the mouse button and draw a box around the target.",
    "scribble": "Hold the mouse button and draw a line over the target.",
    "lasso": "Hold the mouse button and draw around the target.",
}


class AnnotatePanel:
    """Wires tools, buttons and keys to the session."""

    def __init__(self, ui: Any, workspace: Workspace) -> None:
        self.ui, self._workspace, self._session = ui, workspace, workspace.session
        self.marks = Marks(ui, workspace, self._next)
        self.targets = TargetsPanel(ui, workspace)
        self.suggestion = SuggestionPanel(ui, workspace)
        self.gestures = SliceGestures(workspace.gesture, lambda: workspace.state.isPositive)
        self.surface = Surface3D(workspace)
        self._shortcuts: list[Any] = []
        self._spinner = qt.QTimer()
        self._spinner.setSingleShot(True)
        self._spinner.setInterval(SPINNER_AFTER_MS)
        self._spinner.connect("timeout()", self._showSpinner)
        self._connect()
        self._style()
        workspace.listeners.said.append(self.say)
        workspace.listeners.busy.append(self.refresh)
        workspace.listeners.opened.append(self._onOpened)
        workspace.listeners.targets.append(self.refresh)
        workspace.listeners.engine.append(self.refresh)
        workspace.listeners.ticks.append(self._refreshClock)
        self.refresh()

    def _style(self) -> None:
        ui = self.ui
        ui.confirmNextButton.setStyleSheet(PRIMARY)
        ui.caseTitle.setStyleSheet(TITLE)
        ui.positiveButton.setStyleSheet(POSITIVE_ON)
        ui.negativeButton.setStyleSheet(NEGATIVE_ON)
        for tool in TOOLS:
            self.toolButton(tool).setStyleSheet(TOOL_ON)
        ui.busyBar.setFixedHeight(10)
        self.say("", "calm")

    def toolButton(self, tool: Tool) -> Any:
        """The button of a tool."""
        return getattr(self.ui, f"{tool}Tool")

    def _connect(self) -> None:
        ui, workspace, session = self.ui, self._workspace, self._session
        for tool in TOOLS:
            self.toolButton(tool).connect(
                "clicked(bool)", lambda on=False, tool=tool: self.setTool(tool if on else "")
            )
        ui.positiveButton.connect("clicked(bool)", lambda _=False: self.setPositive(True))
        ui.negativeButton.connect("clicked(bool)", lambda _=False: self.setPositive(False))
        for button, action in (
            (ui.undoButton, session.undo), (ui.redoButton, session.redo), (ui.resetButton, session.reset),
            (ui.cancelButton, session.cancel), (ui.confirmButton, self.confirm),
            (ui.confirmNextButton, self.confirmAndNext), (ui.absentButton, self.confirmAbsent),
            (ui.skipButton, self.marks.skip), (ui.skipCaseButton, self.marks.skipCase),
            (ui.flagButton, self.marks.flag),
        ):  # fmt: skip
            button.connect("clicked(bool)", lambda _=False, action=action: workspace.attempt(action))
        ui.show3D.connect("toggled(bool)", self.surface.setShown)
        ui.showPrompts.connect("toggled(bool)", workspace.case.markers.setVisible)
        ui.opacitySlider.connect("valueChanged(int)", lambda value: workspace.case.setOpacity(value / 100))
        ui.segmentationSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._onSegmentation)

    def _onSegmentation(self, node: Any) -> None:
        self._workspace.attempt(lambda: self._workspace.useSegmentation(node))

    # -- tools ---------------------------------------------------------------------------------------------

    def setTool(self, tool: Tool) -> None:
        """Choose a tool; an empty name leaves the mouse to Slicer."""
        self._workspace.state.tool = tool
        self.gestures.setTool(tool or None)
        for name in TOOLS:
            self.toolButton(name).checked = name == tool
        if tool and self._session.isOpen and not self._session.prompts:
            self.say(tr(HINTS[tool]), "calm")

    def setPositive(self, positive: bool) -> None:
        """Choose the sign of the next prompts."""
        self._workspace.state.isPositive = positive
        self.ui.positiveButton.checked = positive
        self.ui.negativeButton.checked = not positive

    def _keys(self) -> list[tuple[str, Callable[[], object]]]:
        session = self._session
        tools = {"O": "point", "B": "box", "C": "scribble", "L": "lasso"}
        return [
            *((key, lambda tool=tool: self.setTool(tool)) for key, tool in tools.items()),
            ("T", lambda: self.setPositive(not self._workspace.state.isPositive)),
            ("Ctrl+Z", session.undo),
            ("Ctrl+Y", session.redo),
            ("Shift+R", session.reset),
            ("Esc", session.cancel),
            ("H", self.ui.showPrompts.toggle),
            ("D", self.ui.show3D.toggle),
            ("N", self._workspace.openNext),
            ("Ctrl+Return", self.confirmAndNext),
            ("Ctrl+Shift+Return", self.confirm),
            ("Ctrl+Shift+N", self.confirmAbsent),
            *self.targets.keys(),
            *self.suggestion.keys(),
        ]

    def enter(self) -> None:
        """The module is shown: listen to mouse and keys; harmless if it was shown already."""
        self._dropKeys()
        self.gestures.start()
        self.setTool(self._workspace.state.tool or "point")
        self.setPositive(self._workspace.state.isPositive)
        self._session.clock.resume()
        window = slicer.util.mainWindow()
        for keys, action in self._keys() if window is not None else ():
            shortcut = qt.QShortcut(qt.QKeySequence(keys), window)
            for signal in ("activated()", "activatedAmbiguously()"):
                shortcut.connect(signal, lambda action=action: self._workspace.attempt(action))
            self._shortcuts.append(shortcut)

    def exit(self) -> None:
        """The module is left: mouse and keys are Slicer's again."""
        self.gestures.stop()
        self._dropKeys()
        self._session.drafts.save()
        self._session.clock.pause()

    def _dropKeys(self) -> None:
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []

    # -- decisions -----------------------------------------------------------------------------------------

    def confirm(self) -> None:
        """Store what is on the screen, and go on to the case's next target if there is one."""
        self._session.confirm(self._workspace.annotator, "", self._nextTarget)

    def confirmAndNext(self) -> None:
        """Store what is on the screen, then go on to what is open next: a target of this case, or a case."""
        if self._session.isConfirmed:
            self._next()
        else:
            self._session.confirm(self._workspace.annotator, "", self._nextAfter)

    def confirmAbsent(self) -> None:
        """Store that the image holds nothing of the chosen target."""
        if not self._workspace.targets.isSingle and self._session.isOpen:
            self._session.confirmAbsent(self._workspace.annotator, "", self._nextTarget)

    def _nextTarget(self, ref: CaseRef) -> None:
        """Go on within the case, unless somebody has gone on already; the last one stays on the screen."""
        if not self._workspace.targets.isSingle and self._session.slot == ref.slot:
            self._workspace.attempt(self._workspace.selectNextOpen)

    def _nextAfter(self, ref: CaseRef) -> None:
        if self._session.slot == ref.slot:
            self._workspace.attempt(self._next)

    def _next(self) -> None:
        workspace = self._workspace
        if not workspace.targets.isSingle and workspace.selectNextOpen():
            return
        if workspace.nextSource() is None:
            workspace.say(tr("Done. Every case in the list is confirmed or skipped."), "good")
        else:
            workspace.openNext()

    # -- showing -------------------------------------------------------------------------------------------

    def say(self, sentence: str, mood: Mood) -> None:
        """Show a sentence under the tools."""
        self.ui.statusLabel.text = sentence
        self.ui.statusLabel.setStyleSheet(MOODS[mood])
        self.ui.statusLabel.setVisible(bool(sentence))

    def _onOpened(self) -> None:
        window = slicer.util.mainWindow()
        if window is not None:
            window.setFocus()  # a text field that kept the focus would swallow the keys
        self.refresh()

    def refresh(self) -> None:
        """Offer what can be done now."""
        ui, session = self.ui, self._session
        ready = session.isOpen and self._workspace.isConnected
        free = ready and not session.isBusy
        ui.undoButton.enabled = ready and (session.work.canUndo or bool(session.prompts))
        ui.redoButton.enabled = free and session.work.canRedo
        ui.resetButton.enabled = free and (bool(session.prompts) or session.work.isSuggestionOnScreen)
        ui.confirmButton.enabled = free and not session.isConfirmed
        ui.confirmNextButton.enabled = free
        ui.confirmNextButton.text = self._whatNext()
        several = not self._workspace.targets.isSingle
        ui.skipButton.text = tr("Skip target…") if several else tr("Skip…")
        ui.skipCaseButton.setVisible(several)
        for name in ("skipButton", "skipCaseButton", "flagButton"):
            getattr(ui, name).enabled = free
        for name in ("pointTool", "boxTool", "scribbleTool", "lassoTool", "positiveButton", "negativeButton"):
            getattr(ui, name).enabled = ready
        if session.isBusy and not self._spinner.active and not ui.busyBar.visible:
            self._spinner.start()
        elif not session.isBusy:
            self._spinner.stop()
            ui.busyBar.setVisible(False)
            ui.cancelButton.setVisible(False)
        self._refreshClock()

    def _whatNext(self) -> str:
        targets = self._workspace.targets
        isLast = targets.isSingle or self._session.image is None or targets.nextOpen() is None
        if self._session.isConfirmed:
            return tr("Next case") if isLast else tr("Next target")
        return tr("Confirm and next case") if isLast else tr("Confirm and next target")

    def _showSpinner(self) -> None:
        if self._session.isBusy:
            self.ui.busyBar.setVisible(True)
            self.ui.cancelButton.setVisible(not self._session.isOpening and not self._session.isConfirming)

    def _refreshClock(self) -> None:
        session = self._session
        if session.image is None:
            text = tr("No case is open.")
        else:
            seconds = int(session.clock.seconds)
            paused = "  " + tr("(paused)") if session.clock.isPaused else ""
            count = len(session.prompts)
            prompts = tr("1 prompt") if count == 1 else tr("{n} prompts").format(n=count)
            minutes = f"{seconds // 60}:{seconds % 60:02d}{paused}"
            targets = self._workspace.targets
            what = session.caseId if targets.isSingle else f"{session.caseId}: {targets.nameOf(session.slot)}"
            text = f"{what}   ·   {prompts}   ·   {minutes}"
        if self.ui.caseTitle.text != text:
            self.ui.caseTitle.text = text
