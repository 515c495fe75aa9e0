"""Section 6 of the panel: a second person looks at what is confirmed, and accepts or returns it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer

import qt
from clopa_annotator.types.review import Comparison
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.panels.ReturnedNote import ReturnedNote
from CLoPAAnnotatorLib.panels.Style import MOODS, PRIMARY
from CLoPAAnnotatorLib.review.Reviewing import Reviewing
from CLoPAAnnotatorLib.review.ReviewList import ReviewList
from CLoPAAnnotatorLib.scene.PromptShapes import SlicePlane, Tool
from CLoPAAnnotatorLib.scene.ReviewMarks import ReviewMarks, placeOfWorld
from CLoPAAnnotatorLib.scene.SegmentLook import SegmentLook
from CLoPAAnnotatorLib.scene.SliceGestures import SliceGestures
from CLoPAAnnotatorLib.Texts import Mood, tr

EARLIER, SUGGESTED = (0.95, 0.85, 0.2), (0.75, 0.45, 0.95)


class ReviewPanel:
    """Wires list, keys and buttons to a `Reviewing`."""

    def __init__(self, ui: Any, workspace: Workspace, gestures: SliceGestures) -> None:
        """Make it; ``gestures`` are those of section 3, which stand back while a place is marked."""
        self.ui, self._workspace, self._tools = ui, workspace, gestures
        self.reviewing = Reviewing(workspace, lambda: workspace.link.client)
        self.marks = ReviewMarks(slicer.mrmlScene)
        self.note = ReturnedNote(ui, workspace, self.marks)
        self._clicks = SliceGestures(self._placed, lambda: True)
        self._shortcuts: list[Any] = []
        self.list = ReviewList(ui, workspace, self.reviewing)
        self._isShown = False
        self._connect()
        self.reviewing.onChange.append(self.refresh)
        listeners = workspace.listeners
        for listener in (listeners.engine, listeners.cases):
            listener.append(self._outdated)
        listeners.opened.append(self._onOpened)
        listeners.busy.append(self._refreshButtons)
        listeners.said.append(self._say)
        self.refresh()

    def _connect(self) -> None:
        ui, workspace = self.ui, self._workspace
        for button, action in (
            (ui.reviewAcceptButton, self.accept), (ui.reviewReturnButton, self.sendBack),
            (ui.reviewNextButton, lambda: self.reviewing.go(1)),
            (ui.reviewPreviousButton, lambda: self.reviewing.go(-1)),
        ):  # fmt: skip
            button.connect("clicked(bool)", lambda _=False, action=action: workspace.attempt(action))
        ui.reviewCompareButton.connect("toggled(bool)", self._onCompare)
        ui.reviewPlaceButton.connect("toggled(bool)", self._onPlaceButton)
        ui.reviewComment.connect("returnPressed()", lambda: workspace.attempt(self.sendBack))
        ui.reviewSection.connect("contentsCollapsed(bool)", lambda _collapsed: self._onSection())
        ui.reviewAcceptButton.setStyleSheet(PRIMARY)

    # -- shown and hidden ----------------------------------------------------------------------------------

    @property
    def isActive(self) -> bool:
        """Whether its keys are its own: the module is shown and the section open."""
        return self._isShown and not bool(self.ui.reviewSection.collapsed)

    def enter(self) -> None:
        """The module is shown."""
        self._isShown = True
        self._onSection()

    def exit(self) -> None:
        """The module is left."""
        self._isShown = False
        self._onSection()

    def _onSection(self) -> None:
        """Keys go with the section, so that nobody accepts a case by a letter typed while annotating."""
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts = []
        window = slicer.util.mainWindow()
        for keys, action in self._keys() if self.isActive and window is not None else ():
            shortcut = qt.QShortcut(qt.QKeySequence(keys), window)
            for signal in ("activated()", "activatedAmbiguously()"):
                shortcut.connect(signal, lambda action=action: self._workspace.attempt(action))
            self._shortcuts.append(shortcut)
        if not self.isActive:
            self.ui.reviewPlaceButton.checked = self.ui.reviewCompareButton.checked = False
        elif self._isOutdated:
            self._outdated()

    _isOutdated = True

    def _keys(self) -> list[tuple[str, Callable[[], object]]]:
        ui = self.ui
        return [
            ("Y", self.accept),
            ("R", self.sendBack),
            ("PgDown", lambda: self.reviewing.go(1)),
            ("PgUp", lambda: self.reviewing.go(-1)),
            ("V", ui.reviewCompareButton.toggle),
            ("M", ui.reviewPlaceButton.toggle),
        ]

    def _outdated(self) -> None:
        """The list is asked for when somebody sees it: a campaign is long, and most people do not review."""
        self._isOutdated = not self.isActive
        if self.isActive:
            self.reviewing.refresh()
            if self._mayReview:
                self.reviewing.askAgreement()

    # -- showing -------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Write the list, and offer what can be done."""
        self.list.refresh()
        self._refreshButtons()

    @property
    def _mayReview(self) -> bool:
        info = self._workspace.info
        return self._workspace.isConnected and info is not None and info.may_review

    def _refreshButtons(self) -> None:
        ui, reviewing = self.ui, self.reviewing
        mayReview = self._mayReview
        ready = mayReview and reviewing.isLooking and self._workspace.session.isSettled
        ui.reviewComment.enabled = mayReview
        whose = tr("What has to be mended") if mayReview else tr("Your token is an annotator's: look only")
        ui.reviewComment.placeholderText = whose
        for name in ("Accept", "Return", "Compare", "Place"):
            getattr(ui, f"review{name}Button").enabled = ready
        for name in ("Next", "Previous"):
            getattr(ui, f"review{name}Button").enabled = self._workspace.isConnected and bool(reviewing.rows)

    def _say(self, sentence: str, mood: Mood) -> None:
        """What section 3 says is said here too while this section is open."""
        isShown = self.isActive and bool(sentence)
        self.ui.reviewLabel.text = sentence if isShown else ""
        self.ui.reviewLabel.setStyleSheet(MOODS[mood] if isShown else "")

    def _onOpened(self) -> None:
        """Another case: what was marked and compared in the one before is gone."""
        if not self.reviewing.isLooking:
            self.ui.reviewPlaceButton.checked = self.ui.reviewCompareButton.checked = False
            self.marks.showOutlines(None, ())
        elif self.ui.reviewCompareButton.checked:
            self._onCompare(True)
        self._refreshButtons()

    # -- acting --------------------------------------------------------------------------------------------

    def accept(self) -> None:
        """Accept what is looked at."""
        self.reviewing.accept(str(self.ui.reviewComment.text).strip())
        self._forgetInput()

    def sendBack(self) -> None:
        """Return what is looked at; without a comment the cursor goes where it is typed."""
        if not str(self.ui.reviewComment.text).strip():
            self.ui.reviewComment.setFocus()
        self.reviewing.sendBack(str(self.ui.reviewComment.text))
        self._forgetInput()

    def _forgetInput(self) -> None:
        self.ui.reviewComment.text = ""
        self.ui.reviewPlaceButton.checked = False
        self.marks.showPlace(None, jump=False)
        window = slicer.util.mainWindow()
        if window is not None:
            window.setFocus()  # or the next key would be typed into the comment

    # -- the marked place ----------------------------------------------------------------------------------

    def _onPlaceButton(self, isOn: bool) -> None:
        """The next click in a slice view marks a place instead of giving a prompt."""
        self._clicks.stop()
        self._tools.setTool(None if isOn else self._workspace.state.tool or "point")
        if isOn:
            self._clicks.start()
            self._clicks.setTool("point")
            self._workspace.say(tr("Click where the annotator shall look."), "calm")

    def _placed(self, _tool: Tool, _positive: bool, xy: npt.NDArray[np.float64], plane: SlicePlane) -> None:
        self._workspace.attempt(lambda: self._mark(plane.world(plane.planeMm(xy))[-1:]))

    def _mark(self, world: npt.NDArray[np.float64]) -> None:
        grid = self._workspace.case.requireGrid()
        self.reviewing.place = placeOfWorld(grid, world)
        self.marks.showPlace(world[0], jump=False)
        self.ui.reviewPlaceButton.checked = False
        self._workspace.say(
            tr("The place is marked. Say what has to be mended, and return the case."), "calm"
        )

    # -- comparing -----------------------------------------------------------------------------------------

    def _onCompare(self, isOn: bool) -> None:
        self.marks.showOutlines(None, ())
        if isOn:
            self._workspace.attempt(lambda: self.reviewing.compare(self._compared))

    def _compared(self, found: Comparison) -> None:
        if not self.ui.reviewCompareButton.checked:
            return
        shown, said = [], []
        if found.earlier is not None:
            words = tr("version {n}, yellow").format(n=found.earlier_version)
            shown.append(("earlier", SegmentLook(words, EARLIER, fill=0.0), found.earlier))
            said.append(words)
        if found.suggestion is not None:
            words = tr("the suggestion, violet")
            shown.append(("suggestion", SegmentLook(words, SUGGESTED, fill=0.0), found.suggestion))
            said.append(words)
        self.marks.showOutlines(self._workspace.case.volume, shown)
        nothing = tr("There is no earlier version, and no suggestion is kept.")
        compared = tr("Outlined: {what}.").format(what=", ".join(said))
        self._workspace.say(compared if said else nothing, "calm")
