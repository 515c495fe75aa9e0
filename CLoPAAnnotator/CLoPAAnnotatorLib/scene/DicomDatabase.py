"""The series in Slicer's own DICOM database, through its documented interface only."""

from __future__ import annotations

from typing import Any

import slicer

from clopa_annotator.datasets.dicom_headers import Title
from clopa_annotator.datasets.dicom_series import DicomSeries
from clopa_annotator.errors import DatasetError
from CLoPAAnnotatorLib.Texts import tr

INDEX = "Slicer's DICOM database"
"""What the index of the database's files is called."""
_TAGS = {
    "patient": "0010,0010",
    "patient_id": "0010,0020",
    "study": "0008,1030",
    "date": "0008,0020",
    "description": "0008,103E",
    "number": "0020,0011",
    "modality": "0008,0060",
}


def database() -> Any:
    """Slicer's database.

    Raises:
        DatasetError: this Slicer was built without DICOM, or no database is open.
    """
    found = getattr(slicer, "dicomDatabase", None)
    if found is None:
        raise DatasetError(
            tr("This Slicer has no DICOM database. Choose a folder of DICOM files above and press Add.")
        )
    if not found.isOpen:
        raise DatasetError(
            tr("Slicer's DICOM database is not open. Open the module DICOM once, or choose a folder of DICOM "
               "files above.")
        )  # fmt: skip
    return found


def filesOf(seriesUid: str) -> list[str]:
    """The files of a series.

    Raises:
        DatasetError: see `database`; or the series is not in it any more.
    """
    files = [str(file) for file in database().filesForSeries(seriesUid)]
    if not files:
        raise DatasetError(tr("The series is not in Slicer's DICOM database any more. Import it again."))
    return files


def listSeries() -> list[DicomSeries]:
    """Every series, as the database describes it; no file is read.

    Raises:
        DatasetError: see `database`; or it is empty.
    """
    source, found = database(), []
    for patient in source.patients():
        for study in source.studiesForPatient(patient):
            for uid in source.seriesForStudy(study):
                files = source.filesForSeries(uid)
                if files:
                    values = {key: str(source.fileValue(files[0], tag)) for key, tag in _TAGS.items()}
                    title = Title(study_uid=str(study), **values)
                    found.append(DicomSeries(str(uid), title, images=len(files)))
    if not found:
        raise DatasetError(
            tr("Slicer's DICOM database is empty. Import DICOM files in the module DICOM first.")
        )
    return found
