"""Where cases come from: a folder, a dataset, a CSV file, a DICOM series, or a volume of the scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.datasets.file_names import stem
from clopa_annotator.datasets.image_list import list_images, no_images
from clopa_annotator.errors import DatasetError

__all__ = ["CaseSource", "listCases", "stem"]


@dataclass(frozen=True)
class CaseSource:
    """One case that can be opened.

    Attributes:
        caseId: its name in the campaign.
        path: image file, or the folder that was searched for DICOM series; None for a volume that is in the
            scene, and for a series of Slicer's DICOM database.
        nodeId: scene node; empty for anything else.
        series: key of a DICOM series (see `DicomSeries`); empty for anything else.
    """

    caseId: str
    path: Path | None = None
    nodeId: str = ""
    series: str = ""


def listCases(path: Path) -> tuple[CaseSource, ...]:
    """The cases of a dataset folder, a folder of images, one image, or a CSV file; see `list_images`.

    Raises:
        DatasetError: nothing there, unreadable, no images, or two cases of one name.
    """
    try:
        cases = tuple(CaseSource(image.case_id, image.path) for image in list_images(path))
    except (OSError, ValueError, RuntimeError) as error:  # names that no file can have, links in a circle
        raise DatasetError(f"{path} cannot be read: {error}. Choose another folder or file.") from error
    if not cases:
        raise no_images(path)
    return cases
