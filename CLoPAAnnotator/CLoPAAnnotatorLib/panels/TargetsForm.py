"""Section 1's form of what a campaign segments: before it is made, and later by its owner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import qt
from clopa_annotator.errors import ClopaError, ConfigError
from clopa_annotator.types import Target
from clopa_annotator.types.targets import COLOURS, Targets
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.engine.Places import isCampaign
from CLoPAAnnotatorLib.panels.Style import MOODS, swatch
from CLoPAAnnotatorLib.scene.Terminology import findTerm, readTerm, termText
from CLoPAAnnotatorLib.Texts import Mood, tr

COLUMNS = ("Name", "Colour", "Coded term", "Several", "Overlaps")
MOST_ROWS, AFTER_TYPING_MS = 7, 300
NAME, COLOUR, TERM, SEVERAL, OVERLAPS = range(5)
TIPS = (
    "Double-click to rename.",
    "Double-click to choose a colour.",
    "Scheme, code and meaning, for instance SCT:10200004:Liver; DICOM exports use it.",
    "There may be several in one image, each a segment of its own: lesions, nodes, vertebrae.",
    "Its voxels may belong to other targets too; otherwise a proposal takes none from another target.",
)


def askForColour(parent: Any, colour: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """A colour from the user; None if the question was dismissed."""
    chosen = qt.QColorDialog.getColor(qt.QColor(*colour), parent)
    return (chosen.red(), chosen.green(), chosen.blue()) if chosen.isValid() else None


class TargetsForm:
    """A table of targets; each change is checked and, once a campaign is connected, made at once."""

    def __init__(self, ui: Any, workspace: Workspace) -> None:
        self.ui, self._workspace = ui, workspace
        self.askForColour = askForColour
        self._planned: Targets | None = None  # for a campaign that is not made yet, and the folder it is for
        self._folder = ""
        self._written: object = None
        self._isTableDirty = False  # holds what was typed and cannot be
        table = ui.targetsFormTable
        table.setColumnCount(len(COLUMNS))
        table.setHorizontalHeaderLabels([tr(c) for c in COLUMNS])
        table.horizontalHeader().setSectionResizeMode(TERM, qt.QHeaderView.Stretch)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(22)
        table.connect("cellChanged(int,int)", self._onCell)
        table.connect("cellDoubleClicked(int,int)", self._onDoubleClick)
        table.connect("itemSelectionChanged()", self._refreshButtons)
        ui.targetsForm.setVisible(False)
        self.say("", "calm")
        ui.segmentsButton.connect(
            "clicked(bool)", lambda _=False: ui.targetsForm.setVisible(not ui.targetsForm.visible)
        )
        for button, action in (
            (ui.addTargetButton, self.add), (ui.removeTargetButton, self.remove),
            (ui.targetUpButton, lambda: self.move(-1)), (ui.targetDownButton, lambda: self.move(1)),
        ):  # fmt: skip
            button.connect("clicked(bool)", lambda _=False, action=action: action())
        ui.localRadio.connect("toggled(bool)", lambda _on: self.refresh())
        self._typed = qt.QTimer()  # a slow disk is not asked for every letter
        self._typed.setSingleShot(True)
        self._typed.setInterval(AFTER_TYPING_MS)
        self._typed.connect("timeout()", self.refresh)
        ui.campaignPath.connect("currentPathChanged(QString)", lambda _path: self._typed.start())
        workspace.listeners.engine.append(self._onEngine)
        workspace.listeners.targets.append(self.refresh)
        self.refresh()

    # -- what is shown -------------------------------------------------------------------------------------

    @property
    def targets(self) -> Targets:
        """What the table shows."""
        if self._workspace.isConnected or self._planned is None:
            return Targets(self._workspace.targets.targets)
        return self._planned

    @property
    def _isOwner(self) -> bool:
        info = self._workspace.info
        return self._workspace.isConnected and info is not None and info.is_owner

    @property
    def isNew(self) -> bool:
        """Whether the chosen folder will become a campaign."""
        isLocal = bool(self.ui.localRadio.checked) and not self._workspace.isConnected
        return isLocal and not isCampaign(str(self.ui.campaignPath.currentPath))

    def refresh(self) -> None:
        """Write the table and the line above it."""
        ui, workspace = self.ui, self._workspace
        ui.segmentsBox.setVisible(workspace.isConnected or self.isNew)
        if not (workspace.isConnected or self.isNew):
            ui.targetsForm.setVisible(False)
        names = self.targets.in_words
        ui.segmentsLabel.text = tr("Segments: {names}").format(names=names)
        self._refreshButtons()
        mayEdit = self._isOwner or self.isNew
        if not self._isTableDirty and self._written == (self.targets, mayEdit):
            return
        self._written, self._isTableDirty = (self.targets, mayEdit), False
        table = ui.targetsFormTable
        table.blockSignals(True)
        table.setRowCount(len(self.targets))
        for row, target in enumerate(self.targets):
            self._writeRow(row, target, mayEdit)
        table.blockSignals(False)
        for column in (NAME, COLOUR, SEVERAL, OVERLAPS):
            table.resizeColumnToContents(column)
        rows = min(len(self.targets), MOST_ROWS)
        table.setMinimumHeight(22 * rows + table.horizontalHeader().sizeHint.height() + 6)
        self._refreshButtons()

    def _writeRow(self, row: int, target: Target, isEditable: bool) -> None:
        table = self.ui.targetsFormTable
        for column, text in enumerate((target.name, "", termText(target.code), "", "")):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(tr(TIPS[column]))
            flags = qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled
            if column in (NAME, TERM) and isEditable:
                flags = flags | qt.Qt.ItemIsEditable
            elif column in (SEVERAL, OVERLAPS):
                isOn = target.instances if column == SEVERAL else target.overlaps
                item.setCheckState(qt.Qt.Checked if isOn else qt.Qt.Unchecked)
                flags = flags | qt.Qt.ItemIsUserCheckable if isEditable else qt.Qt.ItemIsSelectable
            item.setFlags(flags)
            if column == COLOUR:
                red, green, blue = target.colour
                item.setIcon(swatch((red / 255, green / 255, blue / 255)))
            table.setItem(row, column, item)

    def _refreshButtons(self) -> None:
        ui, row, mayEdit = self.ui, self._row(), self.isNew or self._isOwner
        ui.addTargetButton.enabled = mayEdit
        ui.removeTargetButton.enabled = mayEdit and row >= 0 and len(self.targets) > 1
        ui.targetUpButton.enabled = mayEdit and row > 0
        ui.targetDownButton.enabled = mayEdit and 0 <= row < len(self.targets) - 1

    def _row(self) -> int:
        row = int(self.ui.targetsFormTable.currentRow())
        return row if row < len(self.targets) else -1

    def say(self, sentence: str, mood: Mood) -> None:
        """A sentence below the table."""
        self.ui.targetsFormLabel.text = sentence
        self.ui.targetsFormLabel.setVisible(bool(sentence))
        self.ui.targetsFormLabel.setStyleSheet(MOODS[mood] if sentence else "")

    # -- changes -------------------------------------------------------------------------------------------

    def add(self) -> None:
        """One more target, with a name that can be changed at once."""
        names, number = {t.name.casefold() for t in self.targets}, len(self.targets) + 1
        while tr("target {n}").format(n=number).casefold() in names:
            number += 1
        colour = next((c for c in COLOURS if c not in {t.colour for t in self.targets}), COLOURS[number % 20])
        new = Target(tr("target {n}").format(n=number), colour=colour)
        self._change(lambda: self.targets.with_new(new))
        if not self._workspace.isConnected:
            table = self.ui.targetsFormTable
            table.setCurrentCell(len(self.targets) - 1, NAME)
            table.editItem(table.item(len(self.targets) - 1, NAME))

    def remove(self) -> None:
        """Take the selected target out; the engine refuses one that has masks."""
        row = self._row()
        self._change(lambda: Targets(t for n, t in enumerate(self.targets) if n != row))

    def move(self, by: int) -> None:
        """Move the selected target up or down."""
        row, order = self._row(), list(self.targets)
        if 0 <= row + by < len(order):
            order[row], order[row + by] = order[row + by], order[row]
            self._change(lambda: Targets(order))
            self.ui.targetsFormTable.setCurrentCell(row + by, NAME)

    def _onDoubleClick(self, row: int, column: int) -> None:
        if column == COLOUR and self.ui.addTargetButton.enabled:
            colour = self.askForColour(self.ui.targetsFormTable, self.targets[row].colour)
            if colour is not None:
                self._replace(row, lambda target: replace(target, colour=colour))

    def _onCell(self, row: int, column: int) -> None:
        item = self.ui.targetsFormTable.item(row, column)
        text, isOn = str(item.text()), item.checkState() == qt.Qt.Checked
        if column == NAME:
            self._replace(row, lambda target: _renamed(target, text.strip()))
        elif column == TERM:
            self._replace(row, lambda target: replace(target, code=readTerm(text), category=None))
        elif column == SEVERAL:
            self._replace(row, lambda target: replace(target, instances=isOn))
        elif column == OVERLAPS:
            self._replace(row, lambda target: replace(target, overlaps=isOn))

    def _replace(self, row: int, change: Callable[[Target], Target]) -> None:
        targets = self.targets
        self._change(lambda: Targets(change(t) if n == row else t for n, t in enumerate(targets)))

    def _change(self, make: Callable[[], Sequence[Target]]) -> None:
        try:
            targets = Targets(make())
        except ConfigError as error:
            self.say(str(error), "warning")
            self._isTableDirty = True
            qt.QTimer.singleShot(0, self.refresh)  # not while the table still has the cell in hand
            return
        self.say("", "calm")
        self._isTableDirty = True
        if self._workspace.isConnected:
            self._workspace.setTargets(targets, self._refused)
        else:
            self._planned, self._folder = targets, str(self.ui.campaignPath.currentPath)
        qt.QTimer.singleShot(0, self.refresh)

    def _refused(self, error: ClopaError) -> None:
        self.say(str(error), "error")
        self._isTableDirty = True
        self.refresh()

    def _onEngine(self) -> None:
        """A campaign that was just made segments what was planned; any other keeps what it has."""
        planned, workspace = self._planned, self._workspace
        if workspace.isConnected and planned is not None:
            self._planned = None
            isHere = bool(self.ui.localRadio.checked)
            isOurs = isHere and self._folder == str(self.ui.campaignPath.currentPath)
            if isOurs and workspace.targets.isSingle and not workspace.cases.rows:
                workspace.setTargets(planned, self._refused)
        self.refresh()


def _renamed(target: Target, name: str) -> Target:
    """Under its new name, with the term that Slicer has for it if nobody chose one."""
    found = findTerm(name) if target.code is None else None
    if found is None:
        return replace(target, name=name)
    return replace(target, name=name, category=found[0], code=found[1])
