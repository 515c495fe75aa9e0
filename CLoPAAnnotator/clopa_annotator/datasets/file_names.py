"""Which files of a folder are images, what their cases are called, and which are channels of one case.

Names only, standard library only: the command line and the panel list cases with the same rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clopa_annotator.errors import DatasetError

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
SEGMENTATION_SUFFIXES = (".seg.nrrd", ".seg.nhdr", ".seg.nii.gz", ".seg.nii", ".seg.mha", ".seg.mhd")
LABEL_SUFFIXES = (*SEGMENTATION_SUFFIXES, *IMAGE_SUFFIXES)
_CHANNEL = re.compile(r"(.+)_(\d{4})")


def is_image(path: Path) -> bool:
    """Whether a file is called as an image: a segmentation that lies beside one is none."""
    name = path.name.lower()
    # "._x.nii.gz" are macOS' resource forks, which many archives carry.
    return name.endswith(IMAGE_SUFFIXES) and not is_segmentation(path) and not name.startswith(".")


def is_segmentation(path: Path) -> bool:
    """Whether a file is called as a Slicer segmentation."""
    return path.name.lower().endswith(SEGMENTATION_SUFFIXES)


def stem(path: Path) -> str:
    """A file's name without its suffix; ``a.seg.nrrd`` belongs to ``a``."""
    name = path.name.lower()
    found = next((suffix for suffix in LABEL_SUFFIXES if name.endswith(suffix)), None)
    return path.name[: -len(found)] if found else path.stem


@dataclass(frozen=True)
class Description:
    """What ``dataset.json`` says about names.

    Attributes:
        name: the dataset's.
        channels: number of channels per case that nnU-Net's ``channel_names`` declares; 0 if it does not.
        training: stems of the images that MSD's ``training`` lists.
    """

    name: str = ""
    channels: int = 0
    training: frozenset[str] = field(default_factory=frozenset)


def describe(folder: Path) -> Description:
    """Read ``dataset.json`` of a dataset folder, if there is one.

    Raises:
        DatasetError: it is damaged.
    """
    file = folder / "dataset.json"
    if not file.is_file():
        return Description(folder.name)
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as error:
        raise DatasetError(
            f"{file} is damaged: it is not valid JSON ({error}). Repair it, or move it away."
        ) from error
    if not isinstance(content, Mapping):
        return Description(folder.name)
    names = content.get("channel_names")
    listed = content.get("training")
    entries = listed if isinstance(listed, list) else []
    images = (e.get("image") if isinstance(e, Mapping) else e for e in entries)
    return Description(
        name=str(content.get("name", folder.name)),
        channels=len(names) if isinstance(names, Mapping) else 0,
        training=frozenset(stem(Path(i)) for i in images if isinstance(i, str)),
    )


def case_images(images: Iterable[Path], labels: Iterable[str], about: Description) -> dict[str, Path]:
    """The image of each case; of a case with several channels (nnU-Net's ``_0000``) the first.

    ``x_0001`` is channel 1 of ``x`` only if something says so: a label or an entry of ``dataset.json`` called
    ``x`` and none called ``x_0001``, or declared channel names. Otherwise it is a case of that name.

    Args:
        images: files called as images.
        labels: stems of the label files; none where there are none.
        about: see `describe`.

    Returns:
        Case id to image, in the order of the files' names.

    Raises:
        DatasetError: two files of one case's name.
    """
    files, known = sorted(images, key=lambda p: p.name), frozenset(labels) | about.training
    whole = [stem(path) for path in files]
    only_first = len(files) > 1 and all(name.endswith("_0000") for name in whole)
    found: dict[str, Path] = {}
    for path, name in zip(files, whole, strict=True):
        case, channel = _split(name, known, about.channels, only_first)
        if channel:
            continue
        if case in found:
            raise DatasetError(
                f"Two cases are called {case!r}: {found[case].name} and {path.name}. "
                "Give each image its own name."
            )
        found[case] = path
    return found


def _split(name: str, known: frozenset[str], channels: int, only_first: bool) -> tuple[str, int]:
    """A file's case and its channel."""
    match = _CHANNEL.fullmatch(name)
    if match is None or name in known:
        return name, 0
    base, number = match.group(1), int(match.group(2))
    if base in known or number < channels or only_first:
        return base, number
    return name, 0
