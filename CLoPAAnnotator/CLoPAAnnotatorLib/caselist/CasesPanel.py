"""Section 2 of the panel: the list of cases."""

from __future__ import annotations

import math
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
from CLoPAAnnotatorLib.caselist.CaseColumns import WORDS, CaseLine, KnownCells, cellsOf, lineOf
from CLoPAAnnotatorLib.caselist.CaseOrderBox import CaseOrderBox
from CLoPAAnnotatorLib.caselist.CaseTable import CaseTable
from CLoPAAnnotatorLib.caselist.DicomCases import DicomCases
from CLoPAAnnotatorLib.engine.Places import typedPath
from CLoPAAnnotatorLib.panels.Questions import askForSlot, askForText
from CLoPAAnnotatorLib.panels.Style import MOODS
from CLoPAAnnotatorLib.scene.CaseScene import OWNED
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource, listCases
from CLoPAAnnotatorLib.Texts import Mood, tr

FILES = "Lists and images (*.csv *.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd)"


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
        self._known: dict[str, tuple[tuple[object, ...], CaseLine]] = {}
        ui.casesPath.filters = ui.casesPath.Dirs  # or its button would ask for a file
        self.table = CaseTable(ui.casesTable, ui.sortBox, self.refresh)
        self.orderBox = CaseOrderBox(ui.orderBox, workspace)
        ui.casesTable.connect("cellDoubleClicked(int,int)", self._onDoubleClick)
        ui.casesTable.connect("itemSelectionChanged()", self.refreshButtons)
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
        self.table.select(self._workspace.session.caseId)

    def _say(self, sentence: str, mood: Mood) -> None:
        """What section 3 says is said here too while it is closed: nobody would see it there."""
        shown = bool(self.ui.annotateSection.collapsed) and bool(sentence)
        if shown:
            self.ui.casesLabel.text = sentence
        self.ui.casesLabel.setStyleSheet(MOODS[mood] if shown else "")

    # -- showing -------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the list as it stands."""
        workspace, sources = self._workspace, self._workspace.state.sources
        self.table.show([self._line(source) for source in sources], workspace.session.caseId)
        done = sum(workspace.cases.stateOf(s.caseId) is CaseState.CONFIRMED for s in sources)
        self.ui.casesLabel.text = (
            tr("{done} of {total} confirmed.").format(done=done, total=len(sources))
            if sources
            else tr("No cases yet. Choose a folder above and press Add.")
        )
        self.refreshButtons()

    def _line(self, source: CaseSource) -> CaseLine:
        """The line about a case, made anew only if anything that it says has changed."""
        workspace, caseId = self._workspace, source.caseId
        row = workspace.cases.rows.get(caseId)
        isOpen, title = caseId == workspace.session.caseId, self.dicom.titleOf(source)
        now = (row, isOpen, title, self._me(), workspace.targets.targets)
        known = self._known.get(caseId)
        if known is None or any(a is not b and a != b for a, b in zip(known[0], now, strict=True)):
            known = self._known[caseId] = (now, self._newLine(caseId, row, title, isOpen))
        return known[1]

    def _newLine(self, caseId: str, row: CaseRow | None, title: str, isOpen: bool) -> CaseLine:
        state = self._workspace.cases.stateOf(caseId)
        words = tr(self._workspace.cases.verdictOn(caseId) or WORDS[state])
        if row is not None and row.versions > 1 and self._workspace.targets.isSingle:
            words += f" (v{row.versions})"
        ready = "" if row is None or isOpen else Sentences.suggestionsReady(row)
        note = (row.note or ready) if row is not None else ""
        if row is not None and row.owner and row.owner != self._me():
            note = tr("open at {owner}").format(owner=row.owner)
        return lineOf(caseId, state, words, note, title, self._cells(row), isOpen)

    def _cells(self, row: CaseRow | None) -> KnownCells:
        """What follows from the engine's row of a case alone."""
        targets = self._workspace.targets.targets
        names = {target.key: target.name for target in targets} if len(targets) > 1 else {}
        if row is None:
            return KnownCells(f"0/{len(targets)}" if names else "", "", math.nan, "", "", "")
        return cellsOf(row, names)

    def _me(self) -> str:
        return self._workspace.info.annotator if self._workspace.info is not None else ""

    def selectedCase(self) -> str:
        """The selected case's name; empty if none is."""
        return self.table.selectedCase

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
        caseId = self.table.caseOf(row)
        if caseId:
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
