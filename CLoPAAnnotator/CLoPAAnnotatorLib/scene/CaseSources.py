"""Where cases come from: a folder, an MSD or nnU-Net dataset, a CSV file, or volumes of the scene.

Pure Python: a list of names and paths; no image is opened here.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.errors import DatasetError

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
_CHANNEL = re.compile(r"_(\d{4})$")


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

    A folder with ``imagesTr`` is read as an MSD or nnU-Net dataset: with nnU-Net's channel numbers
    (``_0000``) only the first channel is taken. A CSV has a column ``image`` (or ``path``) and optionally
    ``case`` (or ``id``); paths are relative to the file.

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
        raise DatasetError(f"{path} holds no images that can be read ({', '.join(SUFFIXES)}).")
    return _unique(cases)


def stem(path: Path) -> str:
    """A file's name without its image suffix."""
    name = path.name
    found = next((s for s in SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(found)] if found else path.stem


def _images(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}.") from error
    return [f for f in files if f.name.lower().endswith(SUFFIXES) and not f.name.startswith(".")]


def _oneFile(path: Path) -> CaseSource:
    if not path.name.lower().endswith(SUFFIXES):
        raise DatasetError(f"{path.name} is not an image that can be read ({', '.join(SUFFIXES)}) nor a CSV.")
    return CaseSource(stem(path), path)


def _fromDataset(folder: Path) -> tuple[CaseSource, ...]:
    description = folder / "dataset.json"
    if description.is_file():
        try:
            json.loads(description.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DatasetError(f"{description} is damaged: {error}. Repair it or choose imagesTr.") from error
    cases = []
    for file in _images(folder / "imagesTr"):
        channel = _CHANNEL.search(stem(file))
        if channel is None or channel.group(1) == "0000":
            cases.append(CaseSource(_CHANNEL.sub("", stem(file)), file))
    return tuple(cases)


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
        cases.append(CaseSource(values.get("case") or values.get("id") or stem(file), file))
    return tuple(cases)


def _unique(cases: Iterable[CaseSource]) -> tuple[CaseSource, ...]:
    seen: dict[str, CaseSource] = {}
    for case in cases:
        if case.caseId in seen:
            raise DatasetError(f"Two cases are called {case.caseId!r}. Give each image its own name.")
        seen[case.caseId] = case
    return tuple(seen.values())
