"""Section 2 of the panel: the list of cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

import qt
from clopa_annotator.datasets.dicom_headers import holds_dicom
from clopa_annotator.datasets.image_list import list_images
from clopa_annotator.errors import DatasetError, NoImage
from clopa_annotator.types import CaseState
from clopa_annotator.wire.messages import CaseRow
from CLoPAAnnotatorLib.annotation import Sentences
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.engine.Places import typedPath
from CLoPAAnnotatorLib.panels.DicomCases import DicomCases
from CLoPAAnnotatorLib.panels.Questions import askForSlot, askForText
from CLoPAAnnotatorLib.panels.Style import MOODS, STATE_COLOURS
from CLoPAAnnotatorLib.scene.CaseScene import OWNED
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource, listCases
from CLoPAAnnotatorLib.Texts import Mood, tr

Line = tuple[tuple[str, str, str, str, str], str, bool]
"""Texts, colour of the state, and whether the case is open."""
SERIES, TARGETS = 3, 4
FILES = "Lists and images (*.csv *.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd)"
WORDS = {
    CaseState.TODO: "to do",
    CaseState.IN_PROGRESS: "in progress",
    CaseState.CONFIRMED: "confirmed",
    CaseState.SKIPPED: "skipped",
    CaseState.NEEDS_REVIEW: "needs another look",
}


class CasesPanel:
    """Shows the cases and their states; opens, reopens, withdraws."""

    def __init__(self, ui: Any, workspace: Workspace) -> None:
        self.ui, self._workspace = ui, workspace
        self.askForText = askForText
        self.askForSlot = lambda case, title, question: askForSlot(
            ui.casesTable, workspace, case, title, question.format(case=case)
        )
        self.askForFile = lambda: str(
            qt.QFileDialog.getOpenFileName(ui.casesTable, tr("Cases"), "", tr(FILES))
        )
        self._lines: list[Line] = []
        self._longest: dict[int, int] = {}
        self._counted: dict[str, tuple[CaseRow, str]] = {}
        ui.casesPath.filters = ui.casesPath.Dirs  # or its button would ask for a file
        table = ui.casesTable
        table.setColumnCount(5)
        table.setHorizontalHeaderLabels([tr("Case"), tr("State"), tr("Note"), tr("Series"), tr("Targets")])
        table.horizontalHeader().moveSection(TARGETS, 2)  # beside the state
        table.horizontalHeader().setStretchLastSection(True)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(22)
        table.connect("cellDoubleClicked(int,int)", self._onDoubleClick)
        table.connect("itemSelectionChanged()", self.refreshButtons)
        self.dicom = DicomCases(ui.casesTable, workspace, self._scanning, self._scanned)
        self._addText = str(ui.addCasesButton.text)
        ui.addCasesButton.connect("clicked(bool)", lambda _=False: workspace.attempt(self.addFromPath))
        ui.addDicomButton.connect("clicked(bool)", lambda _=False: workspace.attempt(self.addFromDatabase))
        ui.addFileButton.connect("clicked(bool)", lambda _=False: workspace.attempt(self.addFromFile))
        ui.addSceneButton.connect("clicked(bool)", lambda _=False: workspace.attempt(self.addFromScene))
        ui.nextCaseButton.connect("clicked(bool)", lambda _=False: workspace.attempt(workspace.openNext))
        ui.reopenButton.connect("clicked(bool)", lambda _=False: workspace.attempt(self._reopen))
        ui.withdrawButton.connect("clicked(bool)", lambda _=False: workspace.attempt(self._withdraw))
        workspace.listeners.cases.append(self.refresh)
        workspace.listeners.opened.append(self._onOpened)
        workspace.listeners.engine.append(self.refresh)
        workspace.listeners.said.append(self._say)
        self.refresh()

    def addFromPath(self) -> None:
        """List the cases of the folder or file in the path field; while DICOM is read, stop that."""
        if self.dicom.isScanning:
            self.dicom.cancel()
            return
        text = self.ui.casesPath.currentPath.strip()
        if not text:
            raise DatasetError(tr("Choose a folder of images, a dataset folder or a CSV file first."))
        path = typedPath(text)
        if path.is_dir() and not list_images(path) and holds_dicom(path):
            self.dicom.fromFolder(path)
        else:
            self._added(self._workspace.addSources(listCases(path)))
        self.ui.casesPath.addCurrentPathToHistory()

    def addFromDatabase(self) -> None:
        """List series of Slicer's own DICOM database."""
        if not self.dicom.isScanning:
            self.dicom.fromDatabase()

    def _scanning(self, sentence: str) -> None:
        self.ui.addCasesButton.text = tr("Stop")
        self.ui.casesLabel.text = sentence

    def _scanned(self) -> None:
        self.ui.addCasesButton.text = self._addText
        self.refresh()

    def addFromFile(self) -> None:
        """List the images of a CSV file, or one image."""
        path = self.askForFile()
        if path:
            self._added(self._workspace.addSources(listCases(Path(path))))

    def addFromScene(self) -> None:
        """List the volumes that are open in Slicer."""
        nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        usable = [
            n for n in nodes if not n.IsA("vtkMRMLLabelMapVolumeNode") and n.GetAttribute(OWNED) is None
        ]
        if not usable:
            raise DatasetError(tr("No volume is open in Slicer. Load one first, or choose a folder."))
        known = {s.caseId: s.nodeId for s in self._workspace.state.sources}
        sources = []
        for node in usable:
            name, number = node.GetName(), 2
            while known.get(name, node.GetID()) != node.GetID():
                name, number = f"{node.GetName()} ({number})", number + 1
            known[name] = node.GetID()
            sources.append(CaseSource(name, None, node.GetID()))
        self._added(self._workspace.addSources(tuple(sources)))

    def _added(self, count: int) -> None:
        said = tr("{count} cases added.") if count else tr("These cases are in the list already.")
        if count == 1:
            said = tr("1 case added.")
        self._workspace.say(said.format(count=count), "calm")

    def _onOpened(self) -> None:
        self.refresh()
        ids = [source.caseId for source in self._workspace.state.sources]
        if self._workspace.session.caseId in ids:
            self.ui.casesTable.clearSelection()  # where several rows may be selected, a row is added
            self.ui.casesTable.selectRow(ids.index(self._workspace.session.caseId))

    def _say(self, sentence: str, mood: Mood) -> None:
        """What section 3 says is said here too while it is closed: nobody would see it there."""
        shown = bool(self.ui.annotateSection.collapsed) and bool(sentence)
        if shown:
            self.ui.casesLabel.text = sentence
        self.ui.casesLabel.setStyleSheet(MOODS[mood] if shown else "")

    # -- showing -------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Write what has changed: a list of a thousand cases must not be written for each confirmation."""
        table, workspace = self.ui.casesTable, self._workspace
        selected = self.selectedCase()
        sources = workspace.state.sources
        lines = [self._line(source) for source in sources]
        table.blockSignals(True)
        if table.rowCount != len(lines):
            table.setRowCount(len(lines))
        changed = [row for row, line in enumerate(lines) if self._lines[row : row + 1] != [line]]
        for row in changed:
            self._fillRow(row, lines[row])
        self._lines = lines
        for column in (SERIES, TARGETS):
            table.setColumnHidden(column, not any(line[0][column] for line in lines))
        ids = [source.caseId for source in sources]
        if (selected or workspace.session.caseId) in ids:
            row = ids.index(selected or workspace.session.caseId)
            if row not in {index.row() for index in table.selectionModel().selectedRows()}:
                table.clearSelection()
                table.selectRow(row)  # and leave a selection of several, for an export, as it is
        table.blockSignals(False)
        self._widen([lines[row][0] for row in changed])
        done = sum(workspace.cases.stateOf(s.caseId) is CaseState.CONFIRMED for s in sources)
        self.ui.casesLabel.text = (
            tr("{done} of {total} confirmed.").format(done=done, total=len(sources))
            if sources
            else tr("No cases yet. Choose a folder above and press Add.")
        )
        self.refreshButtons()

    def _widen(self, texts: list[tuple[str, ...]]) -> None:
        """Fit columns with a longer text than ever; measuring 1,000 rows takes longer than writing one."""
        for column in (0, 1, TARGETS):
            longest = max((len(text[column]) for text in texts), default=0)
            if longest > self._longest.get(column, 0):
                self._longest[column] = longest
                self.ui.casesTable.resizeColumnToContents(column)

    def _line(self, source: CaseSource) -> Line:
        workspace, caseId = self._workspace, source.caseId
        state = workspace.cases.stateOf(caseId)
        known = workspace.cases.rows.get(caseId)
        words = tr(WORDS[state])
        several = not workspace.targets.isSingle
        decided = self._decided(known) if several else ""
        if known is not None and known.versions > 1 and not several:
            words += f" (v{known.versions})"
        note = known.note if known is not None else ""
        if known is not None and caseId != workspace.session.caseId:
            note = note or Sentences.suggestionsReady(known)
        if known is not None and known.owner and known.owner != self._me():
            note = tr("open at {owner}").format(owner=known.owner)
        return (
            (caseId, words, note, self.dicom.titleOf(source), decided),
            STATE_COLOURS[state.value],
            caseId == workspace.session.caseId,
        )

    def _decided(self, row: CaseRow | None) -> str:
        """How many of a case's targets are decided; counted once for each row that the engine gave."""
        if row is None:
            return f"0/{len(self._workspace.targets.targets)}"
        known = self._counted.get(row.case_id)
        if known is None or known[0] is not row:
            known = self._counted[row.case_id] = (row, f"{row.decided}/{len(row.slots)}")
        return known[1]

    def _fillRow(self, row: int, line: Line) -> None:
        texts, colour, isOpen = line
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            if column == 1:
                item.setForeground(qt.QBrush(qt.QColor(colour)))
            if isOpen:
                font = item.font()
                font.setBold(True)
                item.setFont(font)
            self.ui.casesTable.setItem(row, column, item)

    def _me(self) -> str:
        return self._workspace.info.annotator if self._workspace.info is not None else ""

    def selectedCase(self) -> str:
        """The selected case's name; empty if none is."""
        row = self.ui.casesTable.currentRow()
        item = self.ui.casesTable.item(row, 0) if row >= 0 else None
        return str(item.text()) if item is not None else ""

    def refreshButtons(self) -> None:
        """Offer what can be done."""
        workspace, case = self._workspace, self.selectedCase()
        connected = workspace.isConnected
        state = workspace.cases.stateOf(case)
        self.ui.nextCaseButton.enabled = connected and bool(workspace.state.sources)
        row = workspace.cases.rows.get(case)
        found = {state, *(slot.state for slot in (row.slots if row is not None else ()))}
        self.ui.reopenButton.enabled = connected and bool(found & {CaseState.CONFIRMED, CaseState.SKIPPED})
        self.ui.withdrawButton.enabled = connected and CaseState.CONFIRMED in found

    # -- acting --------------------------------------------------------------------------------------------

    def _onDoubleClick(self, row: int, _column: int) -> None:
        item = self.ui.casesTable.item(row, 0)
        if item is not None:
            caseId = str(item.text())
            self._workspace.attempt(lambda: self._workspace.openCase(caseId))

    def _reopen(self) -> None:
        case = self._needSelection()
        workspace = self._workspace
        slot = self.askForSlot(case, tr("Reopen"), tr("Which target of {case} shall be corrected?"))
        if slot is None:
            return

        def reopened(row: Any) -> None:
            workspace.view.caseChanged(row)
            if workspace.session.caseId == case:
                workspace.session.slots.of(slot).decision.revoke()
                workspace.session.select(slot)
                workspace.view.showBusy()
            else:
                workspace.attempt(lambda: workspace.openCase(case, slot))

        workspace.link.client.reopen(case, slot).then(reopened, lambda e: workspace.say(str(e), "error"))

    def _withdraw(self) -> None:
        case = self._needSelection()
        slot = self.askForSlot(case, tr("Withdraw"), tr("Which target of {case} shall not train any more?"))
        if slot is None:
            return
        workspace = self._workspace
        what = case if workspace.targets.isSingle else f"{case}, {workspace.targets.nameOf(slot)}"
        question = tr("Why shall {case} not train any more?").format(case=what)
        reason = self.askForText(self.ui.casesTable, tr("Withdraw"), question)
        if reason:
            workspace.link.client.withdraw(case, reason, slot).then(
                workspace.view.caseChanged, lambda e: workspace.say(str(e), "error")
            )

    def _needSelection(self) -> str:
        case = self.selectedCase()
        if not case or not self._workspace.isConnected:
            raise NoImage(tr("Select a case in the list first."))
        return case
