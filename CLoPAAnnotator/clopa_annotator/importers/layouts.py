"""Datasets with their images: nnU-Net's raw layout, the Decathlon's, and what this program exported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clopa_annotator.errors import DatasetError
from clopa_annotator.importers import dicom_segments
from clopa_annotator.importers.label_files import Found, LabelFile
from clopa_annotator.importers.label_volumes import SEGMENTATION, label_file, stem, volumes_in
from clopa_annotator.importers.slicer_segments import segmentation_file

NNUNET, MSD, OURS = "nnunet", "msd", "export"
DESCRIPTION, CASES = "dataset.json", "cases.json"
_FIRST_CHANNEL = "_0000"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        DatasetError: missing, damaged, or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise DatasetError(f"{path} is damaged: {error}.") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds no JSON object.")
    return content


def is_nnunet(folder: Path) -> bool:
    """Whether a dataset's description is nnU-Net's."""
    content = read_json(folder / DESCRIPTION)
    return "channel_names" in content or "file_ending" in content


def find_nnunet(folder: Path) -> Found:
    """``labelsTr/<case>.nii.gz`` and ``imagesTr/<case>_0000.nii.gz``; names from ``dataset.json``."""
    names = label_names(read_json(folder / DESCRIPTION))
    images = {
        stem(p).removesuffix(_FIRST_CHANNEL): p
        for p in volumes_in(folder / "imagesTr")
        if stem(p).endswith(_FIRST_CHANNEL)
    }
    return _pairs(NNUNET, volumes_in(folder / "labelsTr"), images, names)


def find_msd(folder: Path) -> Found:
    """``labelsTr/<case>.nii.gz`` and ``imagesTr/<case>.nii.gz``; names from ``dataset.json`` if any."""
    description = folder / DESCRIPTION
    names = label_names(read_json(description)) if description.is_file() else {}
    images = {stem(p): p for p in volumes_in(folder / "imagesTr")} if (folder / "imagesTr").is_dir() else {}
    return _pairs(MSD, volumes_in(folder / "labelsTr"), images, names)


def _pairs(format: str, labels: list[Path], images: Mapping[str, Path], names: Mapping[int, str]) -> Found:
    found = tuple(label_file(p, format, names=names, image=images.get(stem(p))) for p in labels)
    unlabelled = sorted(set(images) - {stem(p) for p in labels})
    return Found(format, found, without_label(len(images), unlabelled))


def without_label(images: int, unlabelled: list[str]) -> tuple[str, ...]:
    """What to say about images that have no label."""
    if not unlabelled:
        return ()
    shown = ", ".join(unlabelled[:5]) + (", ..." if len(unlabelled) > 5 else "")
    return (f"{len(unlabelled)} of {images} images have no label: {shown}.",)


def label_names(description: Mapping[str, Any]) -> dict[int, str]:
    """Value to name, from nnU-Net's ``name: value`` or the Decathlon's ``value: name``; no regions."""
    labels = description.get("labels")
    found: dict[int, str] = {}
    for key, entry in labels.items() if isinstance(labels, dict) else ():
        pair = (entry, key) if isinstance(entry, int) else (key, entry)
        if isinstance(pair[1], str) and str(pair[0]).isdecimal() and int(pair[0]) > 0:
            found[int(pair[0])] = pair[1]
    return found


def is_ours(folder: Path) -> bool:
    """Whether `exporters` wrote a folder."""
    return (folder / CASES).is_file() and "clopa_annotator" in read_json(folder / CASES)


def find_ours(folder: Path) -> Found:
    """Every case that ``cases.json`` lists, under its true name and with its annotator."""
    content = read_json(folder / CASES)
    names = label_names(content) or ({1: str(content["label"])} if content.get("label") else {})
    found = []
    for row in content.get("cases", []):
        try:
            files = [folder / str(name) for name in row["files"]]
            people = [str(part.get("annotator", "")) for part in row.get("masks", [row])]
            author = ", ".join(dict.fromkeys(filter(None, people)))
            found.append(_ours(str(row["case_id"]), files, author, names))
        except (KeyError, TypeError, IndexError) as error:
            raise DatasetError(f"{folder / CASES} is damaged: a case lacks {error}.") from error
    return Found(OURS, tuple(found))


def _ours(case_id: str, files: list[Path], author: str, names: Mapping[int, str]) -> LabelFile:
    mask, image = files[-1], files[0] if len(files) > 1 else None
    if mask.suffix == ".dcm":
        (label,) = dicom_segments.find(mask).labels
    elif mask.name.endswith(SEGMENTATION):
        label = segmentation_file(mask, image)
    else:
        label = label_file(mask, OURS, names=names, image=image)
    return LabelFile(
        case_id,
        label.path,
        OURS,
        label.read,
        label.digest,
        label.image,
        label.image_source,
        author,
        label.series,
    )
