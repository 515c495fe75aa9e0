"""From a case's source to a volume node: a file, a DICOM series, or what is in the scene already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from clopa_annotator.datasets.dicom_index import DicomIndex
from clopa_annotator.datasets.nifti_checks import check_nifti
from clopa_annotator.errors import ImageError
from clopa_annotator.types import Image
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.scene.DicomDatabase import INDEX, filesOf
from CLoPAAnnotatorLib.scene.VolumeGrid import TYPE
from CLoPAAnnotatorLib.Texts import tr

EXACT = 2**53
"""Up to here every whole number is a float64."""
SOURCE = "CLoPA.Source"
"""Attribute of a loaded DICOM volume: the folder of its series, the case's source for the engine."""


def loadFile(source: CaseSource) -> Any:
    """The volume in a file.

    Raises:
        ImageError: it is missing, cannot be read, or is not what it says it is.
    """
    path = source.path
    if path is None or not path.is_file():
        raise ImageError(tr("{path} does not exist any more.").format(path=path))
    check_nifti(path)  # Slicer reads a cut file without a word
    try:
        node = slicer.util.loadVolume(str(path), {"name": source.caseId, "show": False})
    except RuntimeError as error:
        raise ImageError(
            tr("{path} cannot be read as an image: it may be damaged.").format(path=path)
        ) from error
    _narrow(node)
    return node


def _narrow(node: Any) -> None:
    """Integers of 64 bits as Slicer can show them; it ends without a word where a slice view meets one.

    The file's type is kept as the attribute `TYPE`, so that the engine is sent what it reads itself.

    Raises:
        ImageError: there are numbers that no narrower type holds.
    """
    scalars = node.GetImageData().GetPointData().GetScalars() if node.GetImageData() is not None else None
    if scalars is None or scalars.GetNumberOfComponents() != 1 or scalars.GetNumberOfTuples() == 0:
        return  # refused in words later
    voxels = numpy_support.vtk_to_numpy(scalars)
    if voxels.dtype.kind not in "iu" or voxels.dtype.itemsize < 8:
        return
    lowest, highest = int(voxels.min()), int(voxels.max())
    if max(-lowest, highest) > EXACT:
        raise ImageError(
            tr("{name} has whole numbers up to {number}, which Slicer cannot show. Save it with another "
               "type, for instance as float.").format(name=node.GetName(), number=max(-lowest, highest))
        )  # fmt: skip
    fits = np.iinfo(np.int32).min <= lowest and highest <= np.iinfo(np.int32).max
    shape = tuple(reversed(node.GetImageData().GetDimensions()))
    slicer.util.updateVolumeFromArray(node, voxels.reshape(shape).astype(np.int32 if fits else np.float64))
    node.SetAttribute(TYPE, voxels.dtype.str)


def loadSeries(source: CaseSource) -> Any:
    """The volume of a DICOM series, read as the command line reads it, so that both have the same image.

    Raises:
        DatasetError: the series is not where it was, or this Slicer has no DICOM.
        ImageError: it cannot be annotated; the sentence names the series.
    """
    try:
        from clopa_annotator.datasets.dicom_pixels import read_volume
    except ImportError as error:
        raise ImageError(
            tr("This Slicer has no SimpleITK, which reads DICOM series. Load the series in Slicer first and "
               "add it with From Slicer's scene.")
        ) from error  # fmt: skip
    if source.path is None:
        index = DicomIndex(INDEX)
        for _ in index.scan_files(filesOf(source.series.partition("#")[0])):
            pass
    else:
        index = DicomIndex.of_folder(source.path)
    with index:
        volume = index.volume(source.series)
    node = _nodeOf(read_volume(volume), source.caseId)
    node.SetAttribute(SOURCE, volume.source)
    return node


def _nodeOf(image: Image, name: str) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, image.voxels)
    toRas = image.geometry.ijk_to_ras()
    matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(toRas[row, column]))
    node.SetIJKToRASMatrix(matrix)
    node.CreateDefaultDisplayNodes()
    return node


def checkSceneVolume(node: Any) -> None:
    """Refuse a volume that was read from a file which is not whole.

    Raises:
        ImageError: see `check_nifti`.
    """
    storage = node.GetStorageNode()
    name = storage.GetFileName() if storage is not None else None
    if name and Path(name).is_file() and not node.GetModifiedSinceRead():
        check_nifti(Path(name))


def sourceText(source: CaseSource, node: Any) -> str:
    """Where a case comes from, for the engine."""
    if source.series:
        return str(node.GetAttribute(SOURCE) or "")
    return str(source.path or "")
