"""Reading and writing single volumes with their geometry, through SimpleITK."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from clopa_annotator.errors import DatasetError, GeometryError, ImageError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Image, Mask


def _read(path: Path) -> sitk.Image:
    if not path.is_file():
        raise DatasetError(f"There is no file {path}.")
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise ImageError(f"{path.name} cannot be read as a volume; is the file complete?") from error


def geometry_of(volume: sitk.Image) -> Geometry:
    """The voxel grid of a SimpleITK volume.

    Raises:
        ImageError: the volume is not three-dimensional or has several components per voxel.
    """
    if volume.GetDimension() != 3 or volume.GetNumberOfComponentsPerPixel() != 1:
        raise ImageError(
            f"Only scalar 3D volumes can be annotated, but this one has {volume.GetDimension()} axes and "
            f"{volume.GetNumberOfComponentsPerPixel()} values per voxel. Split it into its parts first."
        )
    i, j, k = volume.GetSize()
    spacing, origin = volume.GetSpacing(), volume.GetOrigin()
    return Geometry(
        (k, j, i),
        (spacing[0], spacing[1], spacing[2]),
        (origin[0], origin[1], origin[2]),
        tuple(volume.GetDirection()),
    )


def read_image(path: Path) -> Image:
    """Read a scalar 3D volume.

    Args:
        path: any format that SimpleITK reads (NIfTI, NRRD, MetaImage, ...).

    Returns:
        Voxels as a (k, j, i) array in the file's own dtype, with the grid in LPS.

    Raises:
        DatasetError: there is no such file.
        ImageError: not readable, or not a scalar 3D volume.
    """
    volume = _read(path)
    geometry = geometry_of(volume)
    return Image(sitk.GetArrayFromImage(volume), geometry)


def read_mask(path: Path, label: int | None = None, like: Geometry | None = None) -> Mask:
    """Read a label volume as a binary mask.

    Args:
        path: label volume.
        label: the label that is the target; None takes every label above 0.
        like: grid that the label volume has to agree with.

    Returns:
        (k, j, i) uint8 mask.

    Raises:
        GeometryError: the grid is not that of ``like``.
    """
    image = read_image(path)
    if like is not None and not image.geometry.agrees_with(like, tolerance_mm=0.05):
        raise GeometryError(f"{path.name} lies on another voxel grid than its image.")
    target = np.greater(image.voxels, 0) if label is None else np.equal(image.voxels, label)
    return np.asarray(target, dtype=np.uint8)


def write_volume(path: Path, voxels: npt.NDArray[np.generic], geometry: Geometry) -> None:
    """Write a (k, j, i) array with its grid; the format follows from the file's suffix."""
    volume = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
    volume.SetSpacing(geometry.spacing_ijk_mm)
    volume.SetOrigin(geometry.origin_lps_mm)
    volume.SetDirection(geometry.direction)
    sitk.WriteImage(volume, str(path), useCompression=True)
