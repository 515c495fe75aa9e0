"""Label volumes as whole numbers, and files by their names and hashes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clopa_annotator.datasets.volumes import naming, read_image, whole_numbers
from clopa_annotator.errors import DatasetError, ImageError
from clopa_annotator.importers.label_files import Content, LabelFile, Segment
from clopa_annotator.types import Image, Mask

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
SEGMENTATION = ".seg.nrrd"
_MOST_VALUES = 1000
_TAIL = re.compile(r"(?i)[ _.-](seg|segmentation|label|labels|labelmap|mask)$")

Whole = npt.NDArray[np.integer]


def is_volume(path: Path) -> bool:
    """Whether a file's name is that of a volume; macOS' resource forks and hidden files are none."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def volumes_in(folder: Path) -> list[Path]:
    """The volumes directly in a folder, by name.

    Raises:
        DatasetError: the folder cannot be read.
    """
    try:
        return sorted((p for p in folder.iterdir() if is_volume(p) and p.is_file()), key=lambda p: p.name)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}.") from error


def stem(path: Path) -> str:
    """A file's name without its suffix, and without ``.seg``."""
    lower = path.name.lower()
    found = next((s for s in (SEGMENTATION, *SUFFIXES) if lower.endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(found)]


def without_tail(name: str) -> str:
    """A name without what often marks a label: ``case_seg`` is ``case``."""
    return _TAIL.sub("", name)


def file_digest(paths: Iterable[Path]) -> str:
    """SHA-256 of a file's bytes; of several files, over the lines ``<hash>  <name>``."""
    rows = []
    for path in paths:
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
        rows.append((digest.hexdigest(), path.name))
    if len(rows) == 1:
        return rows[0][0]
    return hashlib.sha256("".join(f"{d}  {name}\n" for d, name in rows).encode()).hexdigest()


def values_of(voxels: Whole) -> tuple[int, ...]:
    """The values above 0, in order; slice by slice, so that no copy of the volume is made."""
    highest, lowest = int(voxels.max()), int(voxels.min())
    if highest >= 1 << 16 or lowest < 0:
        return tuple(int(v) for v in np.unique(voxels) if v > 0)
    if highest <= 1:
        return (1,) * highest  # most label files are masks, and counting took longer than unpacking
    counts = np.zeros(highest + 1, np.int64)
    for plane in voxels:
        counts += np.bincount(plane.ravel(), minlength=counts.size)
    return tuple(int(v) for v in np.flatnonzero(counts) if v > 0)


def mask_of(voxels: Whole, values: Iterable[int]) -> Mask:
    """Where a label volume has one of these values."""
    chosen = np.zeros(voxels.shape, bool)
    for value in values:
        chosen |= voxels == value
    return chosen.view(np.uint8)


def labelled(image: Image, name: str, names: Mapping[int, str] | None = None) -> Content:
    """A label volume as segments: one for each value that it has, or that its dataset names.

    Args:
        image: the volume.
        name: how to call it in an error.
        names: the dataset's names of values; a named value that the volume lacks is an empty segment.

    Raises:
        ImageError: the voxels are no labels.
    """
    with naming(Path(name)):
        voxels = whole_numbers(image.voxels)
    known = dict(names or {})
    present = values_of(voxels)
    if len(present) > _MOST_VALUES:
        raise ImageError(f"{name} has {len(present)} different values; is it an image instead of a label?")
    segments = tuple(
        Segment(
            known.get(value, str(value)),
            value,
            lambda value=value: mask_of(voxels, (value,)),  # type: ignore[misc]
            value in present,
        )
        for value in sorted({*present, *known})
    )
    return Content(image.geometry, segments, is_complete=False)


def label_file(
    path: Path,
    format: str,
    name: str = "",
    names: Mapping[int, str] | None = None,
    image: Path | None = None,
    author: str = "",
) -> LabelFile:
    """A label volume, with the image that lies beside it."""
    return LabelFile(
        name or stem(path),
        path,
        format,
        lambda: labelled(read_image(path), path.name, names),
        lambda _: file_digest((path,)),
        None if image is None else (lambda: read_image(image)),
        "" if image is None else str(image),
        author,
    )
