"""Section 5 of the panel: labels of other programs in, confirmed cases and weights out; for the lead."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
from clopa_annotator.client.calls import Call
from clopa_annotator.datasets.dicom_series import place_of
from clopa_annotator.errors import ClopaError, ConfigError, DatasetError
from clopa_annotator.types.exports import EXPORTS, Exported, ExportKind, ExportOrder, Progress
from clopa_annotator.types.imports import ImportOrder, ImportReport
from clopa_annotator.wire.messages import CaseRow
from CLoPAAnnotatorLib.annotation.AnnotationView import Mood
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.engine.Settings import Settings
from CLoPAAnnotatorLib.panels.ExportedTargets import ExportedTargets
from CLoPAAnnotatorLib.panels.Style import MOODS
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.Texts import tr

SHOWN = 4
"""Reasons that are shown; the mouse over them shows all."""
LABELS = "Labels (*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.dcm)"


def _sourceOf(row: CaseRow) -> CaseSource | None:
    """Where a case of the campaign can be opened from, if this machine has it."""
    place, uid, part = place_of(row.source)
    if not place or not Path(place).exists():
        return None
    if uid:
        return CaseSource(row.case_id, Path(place), series=f"{uid}#{part}" if part else uid)
    return CaseSource(row.case_id, Path(place)) if Path(place).is_file() else None


class TransferPanel:
    """Starts one import or export at a time, shows how far it is, and can stop it."""

    def __init__(self, ui: Any, workspace: Workspace, settings: Settings) -> None:
        self.ui, self._workspace, self._settings = ui, workspace, settings
        self._call: Call[Any] | None = None
        self._targets = ExportedTargets(ui, workspace)
        self.askForFolder = lambda: str(
            qt.QFileDialog.getExistingDirectory(ui.transferSection, tr("Export to"))
        )
        self.askForFile = lambda: str(
            qt.QFileDialog.getOpenFileName(ui.transferSection, tr("Labels"), "", tr(LABELS))
        )
        ui.labelsPath.filters = ui.labelsPath.Dirs  # or its button would ask for a file
        for label, value in (
            (tr("suggestions: shown, to be confirmed"), "suggestion"),
            (tr("confirmed: they train"), "confirmed"),
        ):
            ui.importAsBox.addItem(label, value)
        for kind in EXPORTS:
            ui.exportFormatBox.addItem(tr(kind.title), kind.name)
        for label, value in (
            (tr("All confirmed cases"), "all"),
            (tr("Accepted cases"), "accepted"),
            (tr("Selected cases"), "selected"),
        ):
            ui.exportCasesBox.addItem(label, value)
        self._wire()
        ui.transferSection.collapsed = True
        self._say("", "calm")
        workspace.listeners.engine.append(self._engineChanged)
        workspace.listeners.targets.append(self.refresh)
        self.refresh()

    def _wire(self) -> None:
        ui = self.ui
        ui.labelsFileButton.connect("clicked(bool)", lambda _=False: self.chooseFile())
        ui.importLookButton.connect("clicked(bool)", lambda _=False: self._attempt(self.look))
        ui.importButton.connect("clicked(bool)", lambda _=False: self._attempt(self.importLabels))
        ui.exportButton.connect("clicked(bool)", lambda _=False: self._attempt(self.export))
        ui.transferStopButton.connect("clicked(bool)", lambda _=False: self.stop())
        ui.exportFormatBox.connect("currentIndexChanged(int)", lambda _: self.refresh())

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except ClopaError as error:
            self._say(str(error), "warning")

    # -- labels in -----------------------------------------------------------------------------------------

    def chooseFile(self) -> None:
        """Take one file instead of a folder."""
        path = self.askForFile()
        if path:
            self.ui.labelsPath.currentPath = path

    def look(self) -> None:
        """Say what an import would do."""
        self._import(isDry=True)

    def importLabels(self) -> None:
        """Import what the fields say."""
        self._import(isDry=False)

    def _import(self, isDry: bool) -> None:
        text = str(self.ui.labelsPath.currentPath).strip()
        if not text:
            raise DatasetError(tr("Choose a folder with labels, or a label file, first."))
        order = ImportOrder(
            Path(text).expanduser(),
            self._chosen(self.ui.importAsBox) == "confirmed",
            str(self.ui.importTarget.text).strip(),
            images={s.caseId: s.path for s in self._workspace.state.sources if s.path is not None},
            resample=bool(self.ui.importResample.checked),
            dry_run=isDry,
        )
        self._say(tr("Reading the labels …"), "calm")
        call = self._client().import_labels(order, self._progressed)
        self._start(call, self._imported)

    def _imported(self, report: ImportReport) -> None:
        left = [f"{o.case_id}: {o.reason}" for o in report.of("left out")]
        self._sayAll(report.in_words, [*report.remarks, *left])
        new = {o.case_id for o in report.outcomes if o.is_new and o.became == "imported"}
        if report.dry_run:
            return
        self._workspace.refreshCases()
        if new:
            self._client().cases().then(lambda rows: self._list(rows, new), self._failed)

    def _list(self, rows: tuple[CaseRow, ...], new: set[str]) -> None:
        """Cases that came with the labels can be opened from the list like any other."""
        sources = [_sourceOf(row) for row in rows if row.case_id in new]
        found = tuple(source for source in sources if source is not None)
        self._workspace.addSources(found)
        lost = sorted(new - {source.caseId for source in found})
        if lost:
            told = tr(
                "{n} cases are in the campaign, but where their images lie is not known here ({cases}). Add "
                "the images in section 2 to open them."
            ).format(n=len(lost), cases=", ".join(lost[:SHOWN]))
            self._say(f"{self.ui.transferLabel.text}\n{told}", "warning")

    # -- cases and weights out -----------------------------------------------------------------------------

    def export(self) -> None:
        """Write what the fields say into a new folder inside the one that the user chooses."""
        kind = self._kind()
        targets, priority = self._targets.chosen(kind), self._targets.priority(kind)
        choice = self._chosen(self.ui.exportCasesBox)
        cases = self._selected() if choice == "selected" and kind.holds_cases else ()
        folder = self._folder(kind.name)
        if not folder:
            return
        which = "accepted" if choice == "accepted" else "all"
        order = ExportOrder(kind.name, folder, which, cases, targets, priority)
        self._say(tr("Exporting …"), "calm")
        self._start(self._client().export(order, self._progressed), self._exported)

    def _kind(self) -> ExportKind:
        return next(k for k in EXPORTS if k.name == self._chosen(self.ui.exportFormatBox))

    def _folder(self, format: str) -> str:
        """A new folder: here, where the user says; on a server, in its own folder for exports."""
        info = self._workspace.info
        name = re.sub(r"[^\w -]+", "_", f"{info.campaign if info else ''} {format}").strip() or format
        if self._settings.usesServer:
            return f"{name} {qt.QDateTime.currentDateTime().toString('yyyy-MM-dd hh-mm-ss')}"
        parent = self.askForFolder()
        if not parent:
            return ""
        number, folder = 2, Path(parent) / name
        while folder.exists():
            number, folder = number + 1, Path(parent) / f"{name} {number}"
        return str(folder)

    def _selected(self) -> tuple[str, ...]:
        table = self.ui.casesTable
        rows = sorted({index.row() for index in table.selectionModel().selectedRows()})
        cases = tuple(str(table.item(row, 0).text()) for row in rows)
        known = self._workspace.cases.rows
        if not cases:
            raise ConfigError(tr("Select cases in the list of section 2 first."))
        missing = [case for case in cases if case not in known or not known[case].versions]
        if len(missing) == len(cases):
            raise ConfigError(tr("None of the selected cases is confirmed."))
        return tuple(case for case in cases if case not in missing)

    def _exported(self, exported: Exported) -> None:
        where = (
            tr("Exported to {folder} on the server.")
            if self._settings.usesServer
            else tr("Exported to {folder}.")
        )
        said = where.format(folder=exported.folder)
        if exported.written or exported.left_out:
            said += " " + tr("{n} cases.").format(n=len(exported.written))
        self._sayAll(said, [f"{case}: {reason}" for case, reason in exported.left_out])

    # -- one at a time -------------------------------------------------------------------------------------

    def _client(self) -> Any:
        if not self._workspace.isConnected:
            raise ConfigError(tr("Connect first, in section 1."))
        return self._workspace.link.client

    def _start(self, call: Call[Any], done: Callable[[Any], None]) -> None:
        self._call = call
        self.ui.transferBar.maximum = self.ui.transferBar.value = 0
        self.refresh()

        def ended(result: Any) -> None:
            self._call = None
            self.refresh()
            done(result)

        call.then(ended, self._failed)

    def _progressed(self, progress: Progress) -> None:
        bar = self.ui.transferBar
        bar.maximum, bar.value = max(progress.total, progress.done), progress.done
        bar.setFormat(tr("%v of %m"))

    def _failed(self, error: ClopaError) -> None:
        self._call = None
        self.refresh()
        self._say(str(error), "error")

    def stop(self) -> None:
        """Stop what is under way; labels that were imported stay, an export leaves nothing."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
            self._say(tr("Stopped. Labels that were imported stay; a stopped export leaves nothing."), "calm")
            self.refresh()
            self._workspace.refreshCases()

    def _engineChanged(self) -> None:
        if self._call is not None and not self._workspace.isConnected:
            self._call.cancel()
            self._call = None
            self._say(tr("The connection ended before this was done. Connect and start it again."), "warning")
        self.refresh()

    # -- showing -------------------------------------------------------------------------------------------

    @staticmethod
    def _chosen(box: Any) -> str:
        return str(box.itemData(box.currentIndex) or "")

    def _say(self, sentence: str, mood: Mood) -> None:
        label = self.ui.transferLabel
        label.text, label.toolTip = sentence, ""
        label.setVisible(bool(sentence))
        label.setStyleSheet(MOODS[mood])

    def _sayAll(self, sentence: str, more: list[str]) -> None:
        rest = tr("… and {n} more.").format(n=len(more) - SHOWN)
        shown = [*more[:SHOWN], *([rest] if len(more) > SHOWN else [])]
        self._say("\n".join([sentence, *shown]), "warning" if more else "good")
        self.ui.transferLabel.toolTip = "\n".join(more)
        self._workspace.say(sentence, "warning" if more else "good")

    def refresh(self) -> None:
        """Offer what can be done now."""
        ui, workspace = self.ui, self._workspace
        isOwner = workspace.isConnected and workspace.info is not None and workspace.info.is_owner
        isFree = isOwner and self._call is None
        for name in ("importLookButton", "importButton", "exportButton"):
            getattr(ui, name).enabled = isFree
        ui.exportCasesBox.enabled = self._kind().holds_cases
        self._targets.refresh(self._kind())
        ui.transferBar.setVisible(self._call is not None)
        ui.transferStopButton.setVisible(self._call is not None)
