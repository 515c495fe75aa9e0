"""Where cases come from: a folder, an MSD or nnU-Net dataset, a CSV file, or volumes of the scene.

Pure Python: a list of names and paths; no image is opened here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.datasets.file_names import (
    IMAGE_SUFFIXES,
    case_images,
    describe,
    is_image,
    is_segmentation,
    stem,
)
from clopa_annotator.errors import DatasetError


@dataclass(frozen=True)
class CaseSource:
    """One case that can be opened.

    Attributes:
        caseId: its name in the campaign.
        path: image file; None for a volume that is in the scene.
        nodeId: scene node; empty for a file.
    """

    caseId: str
    path: Path | None = None
    nodeId: str = ""


def listCases(path: Path) -> tuple[CaseSource, ...]:
    """The cases of a dataset folder, a folder of images, one image, or a CSV file.

    A folder with ``imagesTr`` is read as an MSD or nnU-Net dataset: of a case with several channels
    (nnU-Net's ``_0000``) only the first is taken, see `case_images`. Segmentations (``.seg.nrrd``) are no
    cases. A CSV has a column ``image`` (or ``path``) and optionally ``case`` (or ``id``); paths are relative
    to the file.

    Raises:
        DatasetError: nothing there, unreadable, no images, or two cases of one name.
    """
    if not path.exists():
        raise DatasetError(f"{path} does not exist. Choose another folder or file.")
    if path.is_file():
        cases = _fromCsv(path) if path.suffix.lower() == ".csv" else (_oneFile(path),)
    elif (path / "imagesTr").is_dir():
        cases = _fromDataset(path)
    else:
        cases = tuple(CaseSource(stem(file), file) for file in _images(path))
    if not cases:
        raise DatasetError(f"{path} holds no images that can be read ({', '.join(IMAGE_SUFFIXES)}).")
    return _unique(cases)


def _images(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}.") from error
    return [file for file in files if is_image(file)]


def _oneFile(path: Path) -> CaseSource:
    _refuseSegmentation(path)
    if not path.name.lower().endswith(IMAGE_SUFFIXES):
        known = ", ".join(IMAGE_SUFFIXES)
        raise DatasetError(f"{path.name} is not an image that can be read ({known}) nor a CSV.")
    return CaseSource(stem(path), path)


def _refuseSegmentation(path: Path) -> None:
    if is_segmentation(path):
        raise DatasetError(f"{path.name} is a segmentation. Choose the image that it belongs to.")


def _fromDataset(folder: Path) -> tuple[CaseSource, ...]:
    labels = folder / "labelsTr"
    names = [stem(file) for file in labels.iterdir()] if labels.is_dir() else []
    found = case_images(_images(folder / "imagesTr"), names, describe(folder))
    return tuple(CaseSource(case, file) for case, file in found.items())


def _fromCsv(path: Path) -> tuple[CaseSource, ...]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path.name} cannot be read as a CSV file: {error}.") from error
    cases = []
    for number, row in enumerate(rows, 2):
        values = {str(key).strip().lower(): (value or "").strip() for key, value in row.items() if key}
        image = values.get("image") or values.get("path")
        if not image:
            raise DatasetError(f"Line {number} of {path.name} names no image; it needs a column 'image'.")
        file = (path.parent / image).resolve()
        if not file.is_file():
            raise DatasetError(f"Line {number} of {path.name} names {image}, which does not exist.")
        _refuseSegmentation(file)
        cases.append(CaseSource(values.get("case") or values.get("id") or stem(file), file))
    return tuple(cases)


def _unique(cases: Iterable[CaseSource]) -> tuple[CaseSource, ...]:
    seen: dict[str, CaseSource] = {}
    for case in cases:
        if case.caseId in seen:
            raise DatasetError(f"Two cases are called {case.caseId!r}. Give each image its own name.")
        seen[case.caseId] = case
    return tuple(seen.values())
