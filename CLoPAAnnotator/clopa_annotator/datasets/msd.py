"""The folder layout of the Medical Segmentation Decathlon: ``dataset.json``, ``imagesTr``, ``labelsTr``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import overload

import numpy as np

from clopa_annotator.datasets.dicom_headers import holds_dicom
from clopa_annotator.datasets.file_names import (
    LABEL_SUFFIXES,
    case_images,
    describe,
    is_image,
    stem,
)
from clopa_annotator.datasets.parts import part_of_mask, parts_before
from clopa_annotator.datasets.volumes import read_image, read_labels, read_mask, write_volume
from clopa_annotator.errors import DatasetError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Image, Mask

DESCRIPTION = "dataset.json"


@dataclass(frozen=True)
class LabelledCase:
    """One case on disk with its reference segmentation.

    Attributes:
        case_id: file name without suffix.
        image_path: scalar volume.
        label_path: label volume on the same grid.
        label: the label that is the target; None takes every label above 0.
        others: labels of targets that are segmented already; a proposal takes none of their voxels.
        part: which of several of a kind is meant, the largest first, from 1; None takes all as one mask.
    """

    case_id: str
    image_path: Path
    label_path: Path
    label: int | None = None
    others: tuple[int, ...] = ()
    part: int | None = None

    @property
    def name(self) -> str:
        """The case, with the number of the part from the second on."""
        return self.case_id if self.part in (None, 1) else f"{self.case_id} ({self.part})"

    def read(self) -> tuple[Image, Mask]:
        """The image and its reference mask, both (k, j, i).

        Raises:
            DatasetError, ImageError, GeometryError: a file is missing, damaged, or on another grid.
        """
        image = read_image(self.image_path)
        mask = read_mask(self.label_path, self.label, image.geometry)
        return image, mask if self.part is None else part_of_mask(mask, self.part)

    def read_others(self, like: Geometry) -> Mask | None:
        """The (k, j, i) union of ``others`` and of the parts before; None if there are none.

        Raises as `read` does.

        Args:
            like: the image's grid.
        """
        if not self.others and self.part in (None, 1):
            return None
        others = np.isin(read_labels(self.label_path, like), self.others).astype(np.uint8)
        if self.part is not None:
            others |= parts_before(read_mask(self.label_path, self.label, like), self.part)
        return others


class MsdDataset(Sequence[LabelledCase]):
    """The labelled cases of a folder, in the order of their names, so that every machine agrees on it."""

    def __init__(self, folder: Path, label: int | None = None) -> None:
        """Read the list of cases; no volume is opened.

        `unlabelled` names the images that have no label; `remarks` says so.

        Args:
            folder: holds ``dataset.json`` (optional), ``imagesTr`` and ``labelsTr``.
            label: the target's label; None takes every label above 0.

        Raises:
            DatasetError: the folder lacks images or labels, or no image has a label.
        """
        self.folder = folder
        images, labels = folder / "imagesTr", folder / "labelsTr"
        if not images.is_dir() and folder.is_dir() and holds_dicom(folder):
            raise DatasetError(
                f"{folder} holds DICOM files, and this needs images with labels. Its series become the cases "
                "of a campaign with: clopa cases add DIR --dicom FOLDER"
            )
        if not images.is_dir() or not labels.is_dir():
            raise DatasetError(
                f"{folder} is not a dataset in the layout of the Medical Segmentation Decathlon: it needs "
                "the folders imagesTr and labelsTr."
            )
        about = describe(folder)
        self.name = about.name
        by_id = _labels(labels)
        found = case_images((p for p in images.iterdir() if is_image(p)), by_id, about)
        self.unlabelled = tuple(case_id for case_id in found if case_id not in by_id)
        self._cases = tuple(
            LabelledCase(case_id, path, by_id[case_id], label)
            for case_id, path in found.items()
            if case_id in by_id
        )
        if not self._cases:
            raise DatasetError(f"No image in {images} has a label of the same name in {labels}.")

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences about what is in the folder and not among the cases."""
        if not self.unlabelled:
            return ()
        shown = ", ".join(self.unlabelled[:5]) + (", ..." if len(self.unlabelled) > 5 else "")
        total = len(self.unlabelled) + len(self._cases)
        verb = "has" if len(self.unlabelled) == 1 else "have"
        return (f"{len(self.unlabelled)} of {total} images {verb} no label: {shown}",)

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[LabelledCase]:
        return iter(self._cases)

    @overload
    def __getitem__(self, index: int) -> LabelledCase: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[LabelledCase, ...]: ...

    def __getitem__(self, index: int | slice) -> LabelledCase | tuple[LabelledCase, ...]:
        return self._cases[index]


def _labels(folder: Path) -> dict[str, Path]:
    """Label files by the name of the case that they belong to.

    Raises:
        DatasetError: two files for one case.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda p: p.name):
        if path.name.startswith(".") or not path.name.lower().endswith(LABEL_SUFFIXES):
            continue
        if stem(path) in found:
            raise DatasetError(
                f"{folder} holds two labels for {stem(path)!r}: {found[stem(path)].name} and {path.name}. "
                "Keep the one that is right."
            )
        found[stem(path)] = path
    return found


def split_stream(
    cases: Sequence[LabelledCase], limit: int | None, test_limit: int | None, seed: int
) -> tuple[list[LabelledCase], list[LabelledCase]]:
    """Draw a stream and, from the rest, test cases that are disjoint from it.

    Args:
        cases: all cases, in a fixed order.
        limit: length of the stream; None takes all that the test set leaves.
        test_limit: number of test cases; None takes all that the stream leaves.
        seed: decides which cases and in which order.

    Returns:
        The stream in its order of arrival, and the test cases.

    Raises:
        DatasetError: there are fewer cases than asked for.
    """
    wanted = (limit or 0) + (test_limit or 0)
    if wanted > len(cases):
        raise DatasetError(
            f"The dataset has {len(cases)} cases, but {limit or 0} for the stream and "
            f"{test_limit or 0} for the test were asked for."
        )
    order = [cases[i] for i in np.random.default_rng(seed).permutation(len(cases))]
    n_stream = limit if limit is not None else len(cases) - (test_limit or 0)
    n_test = test_limit if test_limit is not None else len(cases) - n_stream
    return order[:n_stream], order[n_stream : n_stream + n_test]


def files_of(case_id: str) -> tuple[str, str]:
    """Image and mask of a case that `write_msd_dataset` wrote, relative to the dataset's folder."""
    return f"imagesTr/{case_id}.nii.gz", f"labelsTr/{case_id}.nii.gz"


def write_msd_dataset(
    folder: Path,
    name: str,
    cases: Iterable[tuple[str, Image, Mask]],
    labels: Mapping[int, str] = MappingProxyType({1: "target"}),
) -> MsdDataset:
    """Write cases as a dataset folder; existing files of the same names are replaced.

    Args:
        folder: made if it is not there.
        name: goes into ``dataset.json``.
        cases: (case id, image, mask) one at a time, so that a generator needs memory for one only; with
            several labels the mask is a label map.
        labels: names of the values in the masks.
    """
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    ids = []
    for case_id, volume, target in cases:
        image_file, mask_file = files_of(case_id)
        write_volume(folder / image_file, volume.voxels, volume.geometry)
        write_volume(folder / mask_file, target, volume.geometry)
        ids.append(case_id)
    training = [{"image": f"./{image}", "label": f"./{mask}"} for image, mask in map(files_of, ids)]
    content = {
        "name": name,
        "tensorImageSize": "3D",
        "labels": {"0": "background", **{str(value): name for value, name in labels.items()}},
        "numTraining": len(ids),
        "training": training,
    }
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=1), encoding="utf-8")
    return MsdDataset(folder)
