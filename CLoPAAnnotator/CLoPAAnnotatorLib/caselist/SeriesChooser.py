"""The dialog that asks which DICOM series become cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt
from clopa_annotator.datasets.dicom_series import DicomSeries
from CLoPAAnnotatorLib.Texts import tr

COLUMNS = ("Series", "No.", "Patient", "Study", "Images", "Remark")


def describe(series: DicomSeries) -> str:
    """A series in a few words, for the list of cases: never the patient."""
    title = series.title
    return " ".join(word for word in (title.modality, title.number, title.description, series.part) if word)


class SeriesChooser:
    """A table of series with a check box each; those that cannot be annotated say why."""

    def __init__(self, parent: Any, series: Sequence[DicomSeries]) -> None:
        self._series = series
        self.dialog = qt.QDialog(parent)
        self.dialog.setWindowTitle(tr("Which DICOM series?"))
        self.dialog.resize(900, 420)
        layout = qt.QVBoxLayout(self.dialog)
        self.table = qt.QTableWidget(len(series), len(COLUMNS))
        self.table.setHorizontalHeaderLabels([tr(name) for name in COLUMNS])
        self.table.verticalHeader().setVisible(False)
        self.table.horizontalHeader().setStretchLastSection(True)
        for row, one in enumerate(series):
            self._fill(row, one)
        self.table.resizeColumnsToContents()
        layout.addWidget(self.table)
        self.names = qt.QCheckBox(tr("Put the patient's name into the case's name"))
        layout.addWidget(self.names)
        buttons = qt.QDialogButtonBox(qt.QDialogButtonBox.Ok | qt.QDialogButtonBox.Cancel)
        buttons.connect("accepted()", self.dialog.accept)
        buttons.connect("rejected()", self.dialog.reject)
        layout.addWidget(buttons)

    def _fill(self, row: int, series: DicomSeries) -> None:
        title = series.title
        about = " ".join(word for word in (title.modality, title.description, series.part) if word)
        patient = title.patient.replace("^", " ").strip() or title.patient_id
        remark = series.refusal or "; ".join(word for word in (series.size, series.note) if word)
        study = f"{title.date} {title.study}".strip()
        texts = (about, title.number, patient, study, str(series.images), remark)
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(text)
            item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
            if column == 0 and not series.refusal:
                item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable | qt.Qt.ItemIsUserCheckable)
                item.setCheckState(qt.Qt.Checked)
            self.table.setItem(row, column, item)

    def chosen(self) -> list[DicomSeries]:
        """The checked series."""
        rows = range(len(self._series))
        checked = [self.table.item(row, 0).checkState() == qt.Qt.Checked for row in rows]
        usable = zip(self._series, checked, strict=True)
        return [series for series, isChecked in usable if isChecked and not series.refusal]

    def withPatient(self) -> bool:
        """Whether case names shall have the patient's name."""
        return bool(self.names.checked)


def chooseSeries(parent: Any, series: Sequence[DicomSeries]) -> tuple[list[DicomSeries], bool]:
    """Ask; nothing is chosen if the dialog is dismissed.

    Returns:
        The series, and whether their cases are called by the patient too.
    """
    chooser = SeriesChooser(parent, series)
    if not chooser.dialog.exec_():
        return [], False
    return chooser.chosen(), chooser.withPatient()
