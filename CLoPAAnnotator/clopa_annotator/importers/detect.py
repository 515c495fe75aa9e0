"""Which format a path has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from clopa_annotator.errors import ConfigError, DatasetError
from clopa_annotator.importers import (
    dicom_segments,
    labelmaps,
    layouts,
    monailabel,
    other_campaign,
    structures,
)
from clopa_annotator.importers.label_files import Found
from clopa_annotator.importers.label_volumes import SUFFIXES, is_volume, volumes_in

FORMATS = (
    labelmaps.FORMAT,
    dicom_segments.FORMAT,
    layouts.NNUNET,
    layouts.MSD,
    monailabel.FORMAT,
    structures.FORMAT,
    other_campaign.FORMAT,
    layouts.OURS,
)


def find_labels(path: Path, confirmed: bool = True, format: str = "") -> Found:
    """The labels under a path.

    Args:
        path: a file or a folder.
        confirmed: whether they are to count as confirmed; a MONAI Label datastore keeps unfinished ones too.
        format: one of `FORMATS`; found out if empty.

    Raises:
        ConfigError: an unknown format.
        DatasetError: nothing there that can be read.
    """
    if format and format not in FORMATS:
        raise ConfigError(f"There is no label format {format!r}; there are {', '.join(FORMATS)}.")
    if not path.exists():
        raise DatasetError(f"{path} does not exist. Choose another folder or file.")
    try:
        found = _finders(path, confirmed)[format or detect(path)]()
    except OSError as error:
        raise DatasetError(f"{error.filename or path} cannot be read: {error.strerror}.") from error
    if not found.labels:
        raise DatasetError(f"{path} holds no labels that can be read ({', '.join(SUFFIXES)}, DICOM SEG).")
    return found


def _finders(path: Path, confirmed: bool) -> dict[str, Callable[[], Found]]:
    return {
        labelmaps.FORMAT: lambda: labelmaps.find(path),
        dicom_segments.FORMAT: lambda: dicom_segments.find(path),
        layouts.NNUNET: lambda: layouts.find_nnunet(path),
        layouts.MSD: lambda: layouts.find_msd(path),
        monailabel.FORMAT: lambda: monailabel.find(path, confirmed),
        structures.FORMAT: lambda: structures.find(path),
        other_campaign.FORMAT: lambda: other_campaign.find(path),
        layouts.OURS: lambda: layouts.find_ours(path),
    }


def detect(path: Path) -> str:
    """The format of a path, by what lies there.

    Raises:
        DatasetError: no format has such files.
    """
    if path.is_file():
        if is_volume(path):
            return labelmaps.FORMAT
        if dicom_segments.is_segmentation(path):
            return dicom_segments.FORMAT
        raise DatasetError(f"{path.name} is neither a label volume ({', '.join(SUFFIXES)}) nor a DICOM SEG.")
    if other_campaign.is_campaign(path):
        return other_campaign.FORMAT
    if layouts.is_ours(path):
        return layouts.OURS
    if (path / "labelsTr").is_dir():
        described = (path / layouts.DESCRIPTION).is_file()
        return layouts.NNUNET if described and layouts.is_nnunet(path) else layouts.MSD
    if monailabel.is_datastore(path):
        return monailabel.FORMAT
    if structures.is_case(path):
        return structures.FORMAT
    if volumes_in(path):
        return labelmaps.FORMAT
    if any(p.is_dir() and (structures.is_case(p) or volumes_in(p)) for p in sorted(path.iterdir())):
        return structures.FORMAT
    if dicom_segments.segmentations_in(path):
        return dicom_segments.FORMAT
    raise DatasetError(f"{path} holds no labels that can be read ({', '.join(SUFFIXES)}, DICOM SEG).")
