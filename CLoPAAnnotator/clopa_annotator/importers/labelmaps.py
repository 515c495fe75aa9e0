"""Folders of label maps (NIfTI, NRRD, MetaImage), one file per case; or one such file."""

from __future__ import annotations

from pathlib import Path

from clopa_annotator.importers.label_files import Found, LabelFile
from clopa_annotator.importers.label_volumes import SEGMENTATION, label_file, stem, volumes_in, without_tail
from clopa_annotator.importers.nifti_names import names_in
from clopa_annotator.importers.slicer_segments import has_segments, segmentation_file

FORMAT = "labelmap"


def find(path: Path) -> Found:
    """The labels of a file or folder.

    Where some files are marked as labels (``a.seg.nrrd``, ``a_seg.nii.gz``) and their images lie beside them,
    the others are taken to be images.
    """
    files = [path] if path.is_file() else volumes_in(path)
    labels, images = _told_apart(files)
    found = tuple(_label(file, images.get(without_tail(stem(file)))) for file in labels)
    return Found(FORMAT, found)


def _told_apart(files: list[Path]) -> tuple[list[Path], dict[str, Path]]:
    """The labels, and the images by name."""
    by_name = {stem(f): f for f in files if not f.name.lower().endswith(SEGMENTATION)}
    marked = [f for f in files if f.name.lower().endswith(SEGMENTATION)]
    marked += [
        f for name, f in by_name.items() if without_tail(name) != name and without_tail(name) in by_name
    ]
    if not marked:
        return files, {}
    return sorted(marked), {name: f for name, f in by_name.items() if f not in marked}


def _label(path: Path, image: Path | None) -> LabelFile:
    if path.name.lower().endswith((".nrrd", ".nhdr")) and has_segments(path):
        return segmentation_file(path, image)
    return label_file(path, FORMAT, names=names_in(path), image=image)
