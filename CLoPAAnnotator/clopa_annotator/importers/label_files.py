"""What an importer finds: labels on disk, not read yet, and what is in one once it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Image, Mask


@dataclass(frozen=True, eq=False)
class Segment:
    """One label of a file.

    Attributes:
        name: as the file or its dataset calls it; the value if it has no name.
        value: the voxel value; None where segments have names only.
        mask: gives its (k, j, i) mask on the file's grid.
        present: whether any voxel has it, as far as is known without reading.
    """

    name: str
    value: int | None
    mask: Callable[[], Mask]
    present: bool = True

    def is_called(self, wanted: str) -> bool:
        """Whether this is what somebody asked for, by value or by name (in any case of letters)."""
        return wanted == str(self.value) or wanted.casefold() == self.name.casefold()

    @property
    def in_words(self) -> str:
        """For instance ``2 (tumour)``."""
        if self.value is None or self.name == str(self.value):
            return self.name
        return f"{self.value} ({self.name})"


@dataclass(frozen=True)
class Identity:
    """Whose label it is, where DICOM says so. Compared, never shown or logged.

    Attributes:
        patient: Patient ID; empty if not known.
        frame: Frame of Reference UID; empty if not known.
        series: Series Instance UIDs of the images that were labelled.
    """

    patient: str = ""
    frame: str = ""
    series: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Content:
    """An opened label file.

    Attributes:
        geometry: its grid.
        segments: what is in it, declared but empty labels included.
        identity: whose it is; None where the format does not say.
        is_complete: whether it lists all that its author looked for (a segmentation with names does);
            otherwise a value that is not there may only be absent from this image.
    """

    geometry: Geometry
    segments: tuple[Segment, ...]
    identity: Identity | None = None
    is_complete: bool = True


@dataclass(frozen=True, eq=False)
class LabelFile:
    """One case's label on disk.

    Attributes:
        name: what the case is called here; matched with the campaign's cases.
        path: the file, or the folder of its files.
        format: name of the format.
        read: opens it.
        digest: SHA-256 of the bytes of its file, or of the files of what is wanted; hexadecimal.
        image: gives the image that comes with it; None if none does.
        image_source: where that image is, in words.
        author: who made it, as far as the source says.
        series: Series Instance UIDs of the images that were labelled; empty if not known.
    """

    name: str
    path: Path
    format: str
    read: Callable[[], Content]
    digest: Callable[[tuple[str, ...]], str]
    image: Callable[[], Image] | None = None
    image_source: str = ""
    author: str = ""
    series: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """What it is called in a message: a folder means little without its case."""
        return self.path.name if self.path.suffix else self.name


@dataclass(frozen=True)
class Found:
    """Everything under a path.

    Attributes:
        format: name of the format.
        labels: in the order of their names.
        remarks: what was passed over, in sentences: images without a label, for instance.
    """

    format: str
    labels: tuple[LabelFile, ...]
    remarks: tuple[str, ...] = field(default=())
