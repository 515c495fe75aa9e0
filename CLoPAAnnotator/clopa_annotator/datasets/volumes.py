"""Reading and writing single volumes with their geometry, through SimpleITK."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from clopa_annotator.datasets.file_names import is_segmentation
from clopa_annotator.datasets.nifti_checks import check_nifti, is_nifti
from clopa_annotator.errors import DatasetError, GeometryError, ImageError
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Image, Mask

NEAR_A_LABEL = 0.01
"""How far from a whole number a stored label may be: float files carry 0.9999 for 1."""

_SPACING = re.compile(r"Refusing to change spacing from .* to \[(.*)\]")
_OBJECT = re.compile(r"\w+ ?\(0x[0-9a-f]+\): ")
"""How ITK names the object that complains."""


class _Warnings:
    """ITK's one switch for all threads: off while any of them reads, then as it was before the first."""

    def __init__(self) -> None:
        self._lock, self._readers, self._before = threading.Lock(), 0, True

    def off(self) -> None:
        with self._lock:
            if self._readers == 0:
                self._before = sitk.ProcessObject.GetGlobalWarningDisplay()
                sitk.ProcessObject.SetGlobalWarningDisplay(False)
            self._readers += 1

    def back(self) -> None:
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                sitk.ProcessObject.SetGlobalWarningDisplay(self._before)


_WARNINGS = _Warnings()


@contextmanager
def quiet_itk() -> Iterator[None]:
    """Without ITK's warnings on standard error: they quote files and headers, and are judged here."""
    _WARNINGS.off()
    try:
        yield
    finally:
        _WARNINGS.back()


def _read(path: Path) -> sitk.Image:
    if not path.is_file():
        raise DatasetError(f"There is no file {path}.")
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = str(path).encode("utf-8", "replace").decode()
        raise ImageError(f"The name of {shown} is not valid Unicode. Rename the file.") from error
    check_nifti(path)
    try:
        with quiet_itk():
            # Named, because ITK otherwise opens the file once for each format that it could be.
            return sitk.ReadImage(str(path), imageIO="NiftiImageIO" if is_nifti(path) else "")
    except RuntimeError as error:
        sizes = _SPACING.search(str(error))
        if sizes is not None:
            said = sizes.group(1).replace(", ", " x ")
            raise ImageError(
                f"{path.name} says that its voxels are {said} mm. Correct the voxel size in its header."
            ) from error
        raise ImageError(
            f"{path.name} cannot be read as a volume ({cause_of(error)}). Is the file complete?"
        ) from error


def cause_of(error: RuntimeError) -> str:
    """What ITK or SimpleITK gives as the reason, without its source lines and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Reason:", "Exception thrown", "File:"))]
    last = (told or lines or ["no reason given"])[-1]
    for mark in ("ITK ERROR:", "sitk::ERROR:", "[nrrd]"):
        last = last.rpartition(mark)[2].strip()
    return _OBJECT.sub("", last).rstrip(". ")


def geometry_of(volume: sitk.Image) -> Geometry:
    """The voxel grid of a SimpleITK volume.

    Raises:
        ImageError: the volume is not three-dimensional or has several components per voxel.
    """
    if volume.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise ImageError("It holds complex numbers. Export the magnitude.")
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


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is said about its content."""
    try:
        yield
    except (ImageError, GeometryError) as error:
        if path.name in str(error):
            raise
        raise type(error)(f"{path.name}: {error}") from error


def read_image(path: Path) -> Image:
    """Read a scalar 3D volume.

    Args:
        path: any format that SimpleITK reads (NIfTI, NRRD, MetaImage, ...).

    Returns:
        Voxels as a (k, j, i) array in the file's own dtype, with the grid in LPS.

    Raises:
        DatasetError: there is no such file.
        ImageError: not readable, cut, or not a scalar 3D volume; see `check_nifti` for NIfTI.
    """
    volume = _read(path)
    with naming(path):
        return Image(sitk.GetArrayFromImage(volume), geometry_of(volume))


def right_handed(image: Image) -> Image:
    """The image with its slices in an order that makes the axes right-handed, as 3D Slicer holds it.

    Slicer turns left-handed files over when it reads them; a case added otherwise would be another image
    to it. No voxel changes its place in the world.
    """
    grid = image.geometry
    axes = np.reshape(grid.direction, (3, 3))
    if np.linalg.det(axes) > 0:
        return image
    last = _position(grid, (grid.shape_kji[0] - 1, 0, 0))
    direction = tuple(map(float, (axes * [1.0, 1.0, -1.0]).ravel()))
    geometry = Geometry(grid.shape_kji, grid.spacing_ijk_mm, last, direction)
    return Image(np.ascontiguousarray(image.voxels[::-1]), geometry)


def whole_numbers(voxels: npt.NDArray[np.generic]) -> npt.NDArray[np.integer[Any]]:
    """Label values as whole numbers, in the type they have or one that holds them; 0.9999 is 1.

    Raises:
        ImageError: a value that is not within `NEAR_A_LABEL` of a whole number.
    """
    if np.issubdtype(voxels.dtype, np.integer):
        return np.asarray(voxels)
    if voxels.dtype.kind == "b":
        return voxels.view(np.uint8)
    if not np.issubdtype(voxels.dtype, np.floating):
        raise ImageError(f"It holds voxels of type {voxels.dtype}; labels are whole numbers.")
    rounded = np.rint(voxels)
    with np.errstate(invalid="ignore"):
        off = ~(np.abs(np.subtract(voxels, rounded)) <= NEAR_A_LABEL)
    if off.any():
        shown = ", ".join(f"{float(value):g}" for value in np.unique(voxels[off])[:4])
        raise ImageError(
            f"{int(off.sum()):,} voxels hold values that are no labels ({shown}); labels are whole numbers. "
            "Is it an image or a probability map? Threshold it, or export the labels anew."
        )
    fits = float(np.abs(rounded).max(initial=0)) < 2**31
    return np.asarray(rounded, np.int32 if fits else np.int64)


def read_labels(path: Path, like: Geometry | None = None) -> npt.NDArray[np.integer[Any]]:
    """Read a label volume as whole numbers.

    Args:
        path: label volume, or a Slicer segmentation (``.seg.nrrd``), whose extent may be smaller than the
            image's; overlapping segments are layers, and 1 stands where any of them is.
        like: grid that the label volume has to agree with.

    Returns:
        (k, j, i) labels.

    Raises:
        ImageError: a value that is not within `NEAR_A_LABEL` of a whole number.
        GeometryError: the grid is not that of ``like``.
    """
    volume = _read(path)
    with naming(path):
        voxels, geometry = _label_voxels(path, volume)
        labels = whole_numbers(voxels)
        if like is None or geometry.agrees_with(like, tolerance_mm=0.05):
            return labels
        if is_segmentation(path):
            return _placed(labels, geometry, like)
    raise GeometryError(f"{path.name} lies on another voxel grid than its image.")


def read_mask(path: Path, label: int | None = None, like: Geometry | None = None) -> Mask:
    """Read a label volume as a binary mask.

    Args:
        path: label volume, see `read_labels`.
        label: the label that is the target; None takes every label above 0.
        like: grid that the label volume has to agree with.

    Returns:
        (k, j, i) uint8 mask.

    Raises:
        ImageError: values that are no labels.
        GeometryError: the grid is not that of ``like``.
    """
    labels = read_labels(path, like)
    target = np.greater(labels, 0) if label is None else np.equal(labels, label)
    return np.asarray(target, dtype=np.uint8)


def _label_voxels(path: Path, volume: sitk.Image) -> tuple[npt.NDArray[np.generic], Geometry]:
    layers = volume.GetNumberOfComponentsPerPixel()
    if layers == 1 or not is_segmentation(path):
        return sitk.GetArrayFromImage(volume), geometry_of(volume)
    first = sitk.VectorIndexSelectionCast(volume, 0)
    return np.asarray(sitk.GetArrayFromImage(volume).max(axis=-1) > 0, np.uint8), geometry_of(first)


def _placed(
    labels: npt.NDArray[np.integer[Any]], geometry: Geometry, like: Geometry
) -> npt.NDArray[np.integer[Any]]:
    """A segmentation's voxels in the image's grid, of which it covers a part (Slicer writes the extent)."""
    corner = np.linalg.inv(like.ijk_to_lps()) @ geometry.ijk_to_lps()
    start = tuple(int(n) for n in np.rint(corner[:3, 3])[::-1])
    there = Geometry(
        geometry.shape_kji, like.spacing_ijk_mm, _position(like, start), like.direction
    )  # where it lies if it is a part
    inside = all(
        a >= 0 and a + n <= m for a, n, m in zip(start, geometry.shape_kji, like.shape_kji, strict=True)
    )
    if not inside or not geometry.agrees_with(there, tolerance_mm=0.05):
        raise GeometryError("It lies on another voxel grid than its image.")
    whole = np.zeros(like.shape_kji, labels.dtype)
    window = tuple(slice(a, a + n) for a, n in zip(start, geometry.shape_kji, strict=True))
    whole[window] = labels
    return whole


def _position(grid: Geometry, index_kji: tuple[int, ...]) -> tuple[float, float, float]:
    x, y, z, _ = grid.ijk_to_lps() @ [*index_kji[::-1], 1.0]
    return (float(x), float(y), float(z))


def write_volume(path: Path, voxels: npt.NDArray[np.generic], geometry: Geometry) -> None:
    """Write a (k, j, i) array with its grid; the format follows from the file's suffix.

    Raises:
        GeometryError: sheared axes in a NIfTI file, which would be written as others.
    """
    if path.name.endswith((".nii", ".nii.gz")) and not geometry.is_rectangular:
        raise GeometryError(f"{path.name} cannot hold sheared axes; write it as NRRD.")
    volume = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
    volume.SetSpacing(geometry.spacing_ijk_mm)
    volume.SetOrigin(geometry.origin_lps_mm)
    volume.SetDirection(geometry.direction)
    sitk.WriteImage(volume, str(path), useCompression=True)
