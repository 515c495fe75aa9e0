"""3D Slicer's segmentations (``.seg.nrrd``): segments with names, which may overlap in layers.

The keys are those of vtkMRMLSegmentationStorageNode. Files of Slicer before 4.11 have no layers: their
segment number n is component n of the voxels, with value 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from clopa_annotator.datasets.volumes import naming, read_image, whole_numbers
from clopa_annotator.errors import DatasetError, ImageError
from clopa_annotator.geometry import Geometry
from clopa_annotator.importers.label_files import Content, LabelFile, Segment
from clopa_annotator.importers.label_volumes import Whole, file_digest, mask_of, stem

FORMAT = "segnrrd"
_FIRST_BYTES = 1 << 16


def has_segments(path: Path) -> bool:
    """Whether a NRRD file is a segmentation, by its header."""
    try:
        with path.open("rb") as file:
            head = file.read(_FIRST_BYTES).partition(b"\n\n")[0]
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
    return b"\nSegment0_ID:=" in head or b"\nSegment0_Name:=" in head


def segmentation_file(path: Path, image: Path | None = None) -> LabelFile:
    """A segmentation, with the image that lies beside it."""
    return LabelFile(
        stem(path),
        path,
        FORMAT,
        lambda: read_segments(path),
        lambda _: file_digest((path,)),
        None if image is None else (lambda: read_image(image)),
        "" if image is None else str(image),
    )


def read_segments(path: Path) -> Content:
    """The segments of a file.

    Raises:
        ImageError: not readable, or not a segmentation.
    """
    try:
        volume = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise ImageError(f"{path.name} cannot be read as a segmentation; is the file complete?") from error
    if volume.GetDimension() != 3:
        raise ImageError(f"{path.name} has {volume.GetDimension()} axes; a segmentation has three.")
    keys = {key: volume.GetMetaData(key) for key in volume.GetMetaDataKeys()}
    voxels = sitk.GetArrayFromImage(volume)
    layers = np.moveaxis(voxels, -1, 0) if volume.GetNumberOfComponentsPerPixel() > 1 else voxels[None]
    with naming(path):
        whole = [whole_numbers(layer) for layer in layers]
    i, j, k = volume.GetSize()
    geometry = Geometry((k, j, i), volume.GetSpacing(), volume.GetOrigin(), tuple(volume.GetDirection()))
    return Content(geometry, tuple(_segments(keys, whole, path.name)))


def _segments(keys: Mapping[str, str], layers: list[Whole], name: str) -> list[Segment]:
    found: list[Segment] = []
    while f"Segment{len(found)}_ID" in keys or f"Segment{len(found)}_Name" in keys:
        start = f"Segment{len(found)}_"
        try:
            layer = int(keys.get(f"{start}Layer", len(found) if len(layers) > 1 else 0))
            value = int(keys.get(f"{start}LabelValue", 1))
            voxels = layers[layer]
        except (ValueError, IndexError) as error:
            raise ImageError(f"{name} is damaged: segment {len(found)} is in no layer of it.") from error
        title = keys.get(f"{start}Name") or keys.get(f"{start}ID") or str(value)
        found.append(
            Segment(title, None, lambda v=voxels, value=value: mask_of(v, (value,)))  # type: ignore[misc]
        )
    if not found:
        raise ImageError(f"{name} names no segments; import it as a label map (.nrrd).")
    return found
