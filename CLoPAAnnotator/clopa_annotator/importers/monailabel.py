"""A MONAI Label datastore: images in its folder, labels in ``labels/final`` and ``labels/original``.

``datastore_v2.json`` says where images and labels lie (``images_dir``, ``labels_dir``), and of each image, by
its name, which labels it has under which tag. What an annotator submitted is "final"; "original" are first
labels of models or of the start. See monailabel/datastore/local.py of MONAI Label.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clopa_annotator.importers.label_files import Found, LabelFile
from clopa_annotator.importers.label_volumes import label_file, stem, volumes_in
from clopa_annotator.importers.labelmaps import find as find_labelmaps
from clopa_annotator.importers.layouts import read_json, without_label

FORMAT = "monailabel"
STORE = "datastore_v2.json"
FINAL, ORIGINAL = "final", "original"


def is_datastore(folder: Path) -> bool:
    """Whether a folder is a datastore."""
    return (folder / STORE).is_file() or any((folder / "labels" / tag).is_dir() for tag in (FINAL, ORIGINAL))


def find(folder: Path, confirmed: bool) -> Found:
    """The labels: of each image the final one, else, for suggestions only, the original.

    Args:
        folder: the datastore.
        confirmed: whether only what annotators submitted counts.
    """
    store = read_json(folder / STORE) if (folder / STORE).is_file() else {}
    objects = store.get("objects")
    objects = objects if isinstance(objects, dict) else {}
    labels_dir = folder / str(store.get("labels_dir") or "labels")
    images_dir = folder / str(store.get("images_dir") or ".")
    images = {stem(p): p for p in volumes_in(images_dir)} if images_dir.is_dir() else {}
    found: dict[str, LabelFile] = {}
    for tag in (FINAL,) if confirmed else (FINAL, ORIGINAL):
        if not (labels_dir / tag).is_dir():
            continue
        for label in find_labelmaps(labels_dir / tag).labels:
            author = _author(objects.get(label.name), tag)
            if label.name not in found:
                found[label.name] = _belonging(label, images.get(label.name), author)
    left = sorted(set(images) - set(found))
    return Found(FORMAT, tuple(found[name] for name in sorted(found)), without_label(len(images), left))


def _author(entry: Any, tag: str) -> str:
    """Who submitted a label: the client that its information names."""
    info = entry
    for key in ("labels", tag, "info"):
        info = info.get(key) if isinstance(info, Mapping) else None
    return str(info.get("client_id", "")) if isinstance(info, Mapping) else ""


def _belonging(label: LabelFile, image: Path | None, author: str) -> LabelFile:
    with_image = label_file(label.path, FORMAT, image=image)
    return LabelFile(
        label.name,
        label.path,
        FORMAT,
        label.read,
        label.digest,
        with_image.image,
        with_image.image_source,
        author,
    )
