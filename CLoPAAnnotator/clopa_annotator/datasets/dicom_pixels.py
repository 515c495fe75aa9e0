"""The voxels of a DICOM volume, decoded and rescaled by GDCM through SimpleITK.

GDCM because it decodes what hospitals send (JPEG, JPEG-LS, JPEG 2000, RLE, deflated) without further
packages, and because Slicer's Python has it. The grid is not GDCM's but that of the headers (`dicom_grid`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from clopa_annotator.datasets.dicom_headers import Plane
from clopa_annotator.datasets.dicom_series import DicomVolume
from clopa_annotator.datasets.volumes import cause_of, quiet_itk
from clopa_annotator.errors import ImageError
from clopa_annotator.types import Image

Voxels = npt.NDArray[np.generic]

GDCM = "GDCMImageIO"
"""Named, or ITK would look at every file's beginning, and not take one without the usual preamble."""


def read_volume(volume: DicomVolume) -> Image:
    """Read a volume.

    Returns:
        (k, j, i) voxels, rescaled (Hounsfield units for a CT), on the volume's grid.

    Raises:
        ImageError: an image is missing, damaged, compressed in a way that GDCM does not know, or there
            twice with different content.
    """
    name = volume.series.name
    try:
        with quiet_itk():
            framed = any(plane.frame for plane in volume.planes)
            voxels = _frames(volume.planes) if framed else _files(volume.planes)
            _compare(volume, voxels)
    except RuntimeError as error:
        raise ImageError(
            f"{name} cannot be read: {_without_paths(cause_of(error), volume)}. Its files may be damaged, "
            "missing, or compressed in a way that is not known here; export the series again, uncompressed."
        ) from error
    if voxels.shape != volume.geometry.shape_kji:
        raise ImageError(f"{name} has other images than its headers say. Export the series again.")
    return Image(voxels, volume.geometry)


def _files(planes: tuple[Plane, ...]) -> Voxels:
    """One image per file: ITK's series reader puts them into one array."""
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO(GDCM)
    reader.SetFileNames([plane.file for plane in planes])
    reader.MetaDataDictionaryArrayUpdateOff()
    if len({plane.rescale for plane in planes}) > 1:
        # ITK would give every slice the type that fits the first one's slope; PET differs between slices.
        reader.SetOutputPixelType(sitk.sitkFloat32)
    return np.asarray(sitk.GetArrayFromImage(reader.Execute()))


def _frames(planes: tuple[Plane, ...]) -> Voxels:
    """Several images per file: frames are taken from the files in the order of the grid."""
    files = {plane.file: np.asarray(_array(plane.file)) for plane in planes}
    picked = [files[plane.file][plane.frame] for plane in planes]
    rescales = {plane.rescale for plane in planes}
    if len(rescales) == 1:
        return np.stack(picked)
    # GDCM applies the first frame's slope and intercept to all of them.
    applied: dict[str, tuple[float, float]] = {}
    for plane in sorted(planes, key=lambda p: p.frame):
        applied.setdefault(plane.file, plane.rescale)
    return np.stack([_rescaled(image, applied[p.file], p) for image, p in zip(picked, planes, strict=True)])


def _rescaled(image: Voxels, applied: tuple[float, float], plane: Plane) -> Voxels:
    raw = (image.astype(np.float64) - applied[1]) / applied[0]
    return np.asarray(raw * plane.rescale[0] + plane.rescale[1], np.float32)


def _array(file: str) -> Voxels:
    return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(file, imageIO=GDCM)))


def _compare(volume: DicomVolume, voxels: Voxels) -> None:
    """A slice that is there twice is used once if both say the same."""
    for k, twin in volume.twins:
        pixels = _array(twin.file)
        if not np.array_equal(pixels[min(twin.frame, len(pixels) - 1)], voxels[k]):
            raise ImageError(
                f"{volume.series.name} has two different images at the place of slice {k + 1}, and nothing "
                "in their headers says which one belongs there. Remove one, or export the series again."
            )


def _without_paths(text: str, volume: DicomVolume) -> str:
    """Folders are often called by the patient."""
    for plane in volume.planes:
        text = text.replace(plane.file, "a file")
    return text
