"""From a case's source to a volume node: a file, a DICOM series, or what is in the scene already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import vtk

from clopa_annotator.datasets.dicom_index import DicomIndex
from clopa_annotator.datasets.nifti_checks import check_nifti
from clopa_annotator.errors import ImageError
from clopa_annotator.types import Image
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.scene.DicomDatabase import INDEX, filesOf
from CLoPAAnnotatorLib.Texts import tr

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
        return slicer.util.loadVolume(str(path), {"name": source.caseId, "show": False})
    except RuntimeError as error:
        raise ImageError(
            tr("{path} cannot be read as an image: it may be damaged.").format(path=path)
        ) from error


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
