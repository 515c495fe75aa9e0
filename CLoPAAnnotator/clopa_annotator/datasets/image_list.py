"""The images that become cases: of a dataset folder, a folder of images, one file, or a CSV file.

Names and paths only; no image is opened here. The command line and the panel list with these functions.
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
class ListedImage:
    """A case that can be added.

    Attributes:
        case_id: its name in the campaign.
        path: the image.
    """

    case_id: str
    path: Path


def list_images(path: Path) -> tuple[ListedImage, ...]:
    """The cases of a dataset folder, a folder of images, one image, or a CSV file.

    A folder with ``imagesTr`` is read as an MSD or nnU-Net dataset: of a case with several channels
    (nnU-Net's ``_0000``) only the first is taken, see `case_images`. Segmentations (``.seg.nrrd``) are no
    cases. A CSV has a column ``image`` (or ``path``) and optionally ``case`` (or ``id``); paths are relative
    to the file.

    Returns:
        The cases by name; none for a folder without images.

    Raises:
        DatasetError: nothing there, unreadable, or two cases of one name.
    """
    if not path.exists():
        raise DatasetError(f"{path} does not exist. Choose another folder or file.")
    if path.is_file():
        return _unique(_from_csv(path)) if path.suffix.lower() == ".csv" else (_one_file(path),)
    if (path / "imagesTr").is_dir():
        return _from_dataset(path)
    return _unique(ListedImage(stem(file), file) for file in _images(path))


def no_images(path: Path) -> DatasetError:
    """What to say of a folder without images."""
    return DatasetError(f"{path} holds no images that can be read ({', '.join(IMAGE_SUFFIXES)}).")


def _images(folder: Path) -> list[Path]:
    try:
        return [file for file in sorted(folder.iterdir()) if is_image(file)]
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}.") from error


def _one_file(path: Path) -> ListedImage:
    _refuse_segmentation(path)
    if not is_image(path):
        known = ", ".join(IMAGE_SUFFIXES)
        raise DatasetError(f"{path.name} is not an image that can be read ({known}) nor a CSV.")
    return ListedImage(stem(path), path)


def _refuse_segmentation(path: Path) -> None:
    if is_segmentation(path):
        raise DatasetError(f"{path.name} is a segmentation. Choose the image that it belongs to.")


def _from_dataset(folder: Path) -> tuple[ListedImage, ...]:
    labels = folder / "labelsTr"
    names = [stem(file) for file in labels.iterdir()] if labels.is_dir() else []
    found = case_images(_images(folder / "imagesTr"), names, describe(folder))
    return tuple(ListedImage(case, file) for case, file in found.items())


def _from_csv(path: Path) -> list[ListedImage]:
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
        found = (path.parent / image).resolve()
        if not found.is_file():
            raise DatasetError(f"Line {number} of {path.name} names {image}, which does not exist.")
        _refuse_segmentation(found)
        cases.append(ListedImage(values.get("case") or values.get("id") or stem(found), found))
    return cases


def _unique(cases: Iterable[ListedImage]) -> tuple[ListedImage, ...]:
    seen: dict[str, ListedImage] = {}
    for case in cases:
        if case.case_id in seen:
            raise DatasetError(f"Two cases are called {case.case_id!r}. Give each image its own name.")
        seen[case.case_id] = case
    return tuple(seen.values())
