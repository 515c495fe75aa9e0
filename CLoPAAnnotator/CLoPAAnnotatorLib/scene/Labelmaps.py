"""Label maps of segments on a volume's grid: made, compared and looked through."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import BoundsKji
from clopa_annotator.types import Mask
from CLoPAAnnotatorLib.Texts import tr

LABELMAP = "Binary labelmap"


def requireLabelmaps(segmentationNode: Any, volumeNode: Any) -> None:
    """Raises `GeometryError` if a segmentation cannot hold masks of a volume: surfaces, another transform."""
    segmentation = segmentationNode.GetSegmentation()
    if segmentation.GetNumberOfSegments() and segmentation.GetSourceRepresentationName() != LABELMAP:
        raise GeometryError(
            tr("{name} is made of surfaces, not voxels. Choose another segmentation, or convert it in "
               "the module Segmentations.").format(name=segmentationNode.GetName())
        )  # fmt: skip
    if segmentationNode.GetParentTransformNode() is not volumeNode.GetParentTransformNode():
        raise GeometryError(
            tr("{name} is under another transform than the image. Give both the same transform in the "
               "module Transforms.").format(name=segmentationNode.GetName())
        )  # fmt: skip


def newLabelmap(volume: Any, box: BoundsKji | None) -> Any:
    """An empty label map on a volume's grid, of the voxels of a box; None for one without voxels."""
    image = slicer.vtkOrientedImageData()
    bounds = box if box is not None else ((0, 0), (0, 0), (0, 0))
    (k0, k1), (j0, j1), (i0, i1) = bounds
    image.SetExtent(i0, i1 - 1, j0, j1 - 1, k0, k1 - 1)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    if box is not None:
        image.GetPointData().GetScalars().Fill(0)
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    image.SetGeometryFromImageToWorldMatrix(matrix)
    return image


def wholeBox(volume: Any) -> BoundsKji:
    """All voxels of a volume."""
    k, j, i = reversed(volume.GetImageData().GetDimensions())
    return ((0, k), (0, j), (0, i))


def boxOf(labelmap: Any) -> BoundsKji | None:
    """The voxels that a label map has, in indices of its grid; None if it has none."""
    i0, i1, j0, j1, k0, k1 = labelmap.GetExtent()
    if i1 < i0 or j1 < j0 or k1 < k0:
        return None
    return ((k0, k1 + 1), (j0, j1 + 1), (i0, i1 + 1))


def voxelsOf(labelmap: Any) -> Mask:
    """The voxels of a label map (k, j, i), not copied."""
    box = boxOf(labelmap)
    shape = (0, 0, 0) if box is None else tuple(high - low for low, high in box)
    return numpy_support.vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(shape)


def isOnGrid(labelmap: Any, volume: Any) -> bool:
    """Whether a label map's voxels are those of a volume, wherever its box lies."""
    matrix, own = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    labelmap.GetImageToWorldMatrix(own)
    return all(abs(matrix.GetElement(r, c) - own.GetElement(r, c)) < 1e-4 for r in range(4) for c in range(4))


def filledBox(array: Mask) -> BoundsKji | None:
    """The smallest box around the voxels that are set; slice by slice, which is much faster than by axes."""
    slices = [k for k, plane in enumerate(array) if np.count_nonzero(plane)]
    if not slices:
        return None
    first, last = slices[0], slices[-1] + 1
    plane = array[first:last].any(axis=0)
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return ((first, last), (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1))


def drawSliceViews() -> None:
    """Have the slice views drawn soon: the segmentation does not observe this label map, and tells nobody.

    An event of the segmentation would have other representations made anew too, the surface in 3D among them.
    """
    manager = slicer.app.layoutManager()
    for name in manager.sliceViewNames() if manager is not None else ():
        manager.sliceWidget(name).sliceView().scheduleRender()
