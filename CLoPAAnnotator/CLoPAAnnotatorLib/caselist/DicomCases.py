"""DICOM series become cases: scans in small steps while Slicer stays usable, asks which ones, lists them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import qt
from clopa_annotator.datasets.dicom_index import DicomIndex, ScanStep
from clopa_annotator.datasets.dicom_series import DicomSeries
from clopa_annotator.errors import ClopaError, DatasetError
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.caselist.SeriesChooser import chooseSeries, describe
from CLoPAAnnotatorLib.scene import DicomDatabase
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.Texts import tr

SLICE_S = 0.04
"""So long headers are read before Slicer is given a turn."""


class DicomCases:
    """One scan at a time."""

    def __init__(
        self, parent: Any, workspace: Workspace, onProgress: Callable[[str], None], onDone: Callable[[], None]
    ) -> None:
        """Ask in dialogs over ``parent``; ``onProgress`` gets a sentence, ``onDone`` is called at the end."""
        self._workspace, self._onProgress, self._onDone = workspace, onProgress, onDone
        self.choose = lambda series: chooseSeries(parent, series)
        self._titles: dict[str, str] = {}
        self._remarks: list[str] = []
        self._index: DicomIndex | None = None
        self._steps: Iterator[ScanStep] | None = None
        self._then: Callable[[list[DicomSeries]], None] = lambda _: None
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._tick)

    @property
    def isScanning(self) -> bool:
        """Whether headers are being read."""
        return self._steps is not None

    def fromFolder(self, folder: Path) -> None:
        """Scan a folder tree and ask which of its series become cases.

        Raises:
            DatasetError: there is no such folder.
        """
        index = DicomIndex.of_folder(folder)

        def found(series: list[DicomSeries]) -> None:
            if not series:
                raise DatasetError(tr("{folder} holds no DICOM series.").format(folder=folder))
            usable = [s for s in series if not s.refusal]
            single = len(series) == len(usable) == 1
            chosen, withPatient = (usable, False) if single else self.choose(series)
            self._add(chosen, folder, withPatient)

        self._start(index, index.scan(), found)

    def fromDatabase(self) -> None:
        """Ask which series of Slicer's database become cases, then look at their headers.

        Raises:
            DatasetError: there is no database, or nothing in it.
        """
        chosen, withPatient = self.choose(DicomDatabase.listSeries())
        if not chosen:
            return
        uids = {series.key for series in chosen}
        files = [file for uid in sorted(uids) for file in DicomDatabase.filesOf(uid)]
        index = DicomIndex(DicomDatabase.INDEX)

        def found(series: list[DicomSeries]) -> None:
            self._add([s for s in series if s.key.partition("#")[0] in uids], None, withPatient)

        self._start(index, index.scan_files(files), found)

    def cancel(self) -> None:
        """Stop scanning; what has been read is kept for the next time."""
        if self.isScanning:
            self._stop()
            self._workspace.say(tr("Stopped. The next time goes on where this one stopped."), "calm")

    def titleOf(self, source: CaseSource) -> str:
        """What a case's series is called; empty for anything but a DICOM series."""
        if source.series and source.series not in self._titles:
            self._titles[source.series] = ""
            self._recall(source.path)
        return self._titles.get(source.series, "")

    def _recall(self, folder: Path | None) -> None:
        """After a scene was loaded: what the index still knows, without looking at the files."""
        try:
            with DicomIndex(DicomDatabase.INDEX) if folder is None else DicomIndex.of_folder(folder) as index:
                self._titles.update({s.key: describe(s) for s in index.series()})
        except DatasetError:
            pass  # the folder is not there now; opening the case says so

    def _start(
        self, index: DicomIndex, steps: Iterator[ScanStep], then: Callable[[list[DicomSeries]], None]
    ) -> None:
        self._stop()
        self._index, self._steps, self._then = index, steps, then
        self._onProgress(tr("Looking for DICOM files …"))
        self._timer.start()

    def _tick(self) -> None:
        until, step = time.monotonic() + SLICE_S, None
        try:
            for step in self._steps or ():
                if time.monotonic() > until:
                    said = tr("Reading DICOM headers: {done} of {total} …")
                    self._onProgress(said.format(done=step.done, total=step.total))
                    return
        except ClopaError as error:
            self._stop()
            self._workspace.say(str(error), "error")
            return
        self._finish()

    def _finish(self) -> None:
        if self._index is None:
            return
        series, then = self._index.series(), self._then
        damaged, unreadable = self._index.damaged(), len(self._index.unreadable)
        self._remarks = []
        if damaged:
            self._remarks.append(tr("{count} DICOM files have damaged headers.").format(count=damaged))
        if unreadable:
            self._remarks.append(tr("{count} folders or files cannot be read.").format(count=unreadable))
        self._stop()
        self._workspace.attempt(lambda: then(series))

    def _stop(self) -> None:
        wasScanning = self.isScanning
        self._timer.stop()
        steps, self._steps = self._steps, None
        if steps is not None and hasattr(steps, "close"):
            steps.close()
        if self._index is not None:
            self._index.close()
            self._index = None
        if wasScanning:
            self._onDone()

    def _add(self, series: list[DicomSeries], folder: Path | None, withPatient: bool) -> None:
        usable = [s for s in series if not s.refusal]
        refused = [s.refusal for s in series if s.refusal]
        self._titles.update({s.key: describe(s) for s in usable})
        sources = tuple(CaseSource(s.case_id(with_patient=withPatient), folder, "", s.key) for s in usable)
        count = self._workspace.addSources(sources) if sources else 0
        said = [tr("1 case added.") if count == 1 else tr("{count} cases added.").format(count=count)]
        if sources and not count:
            said = [tr("These cases are in the list already.")]
        remarks = [*refused[:2], *self._remarks]
        self._workspace.say(" ".join([*said, *remarks]), "warning" if remarks else "calm")
