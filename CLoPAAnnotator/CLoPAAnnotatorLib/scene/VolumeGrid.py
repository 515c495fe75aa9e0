"""A Slicer volume as the core sees it: voxels, geometry, and the way from a click to a voxel.

Clicks are in world RAS millimetres. A volume may sit under transforms, linear or not; they are undone first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util import numpy_support

from clopa_annotator.errors import GeometryError, ImageError
from clopa_annotator.geometry import Geometry, Kji
from clopa_annotator.types import Image
from CLoPAAnnotatorLib.Texts import tr

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


TYPE = "CLoPA.Type"
"""Attribute of a volume that is shown with another type than its file has: numpy's word for that one."""


def toNumpy(matrix: Any) -> npt.NDArray[np.float64]:
    """A vtkMatrix4x4 as an array."""
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])


def imageOfVolume(node: Any) -> Image:
    """The volume's voxels (a view, not a copy, unless it has another `TYPE`) and geometry.

    Raises:
        ImageError: no voxels, several components, several time points, or a label map.
        GeometryError: the axes lie in one plane.
    """
    name = node.GetName() or ""
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise ImageError(tr("{name} is a label map. Choose the image that it belongs to.").format(name=name))
    data = node.GetImageData()
    if data is None or data.GetNumberOfPoints() == 0 or data.GetPointData().GetScalars() is None:
        raise ImageError(tr("{name} has no voxels. Load the image again.").format(name=name))
    components = data.GetNumberOfScalarComponents()
    if components != 1:
        raise ImageError(
            tr("{name} has {count} values per voxel (colour, vector or 4D). Extract one channel first, for "
               "instance with the module Vector To Scalar Volume.").format(name=name, count=components)
        )  # fmt: skip
    if min(data.GetDimensions()) < 2:
        raise ImageError(
            tr("{name} is a single slice. A volume with several slices is needed.").format(name=name)
        )
    shape = tuple(reversed(data.GetDimensions()))
    voxels = numpy_support.vtk_to_numpy(data.GetPointData().GetScalars()).reshape(shape)
    if node.GetAttribute(TYPE):
        voxels = voxels.astype(node.GetAttribute(TYPE))
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise ImageError(
            tr("{name} has voxels that are not numbers (NaN or infinite). Replace them first, for instance "
               "with the module Simple Filters.").format(name=name)
        )  # fmt: skip
    if voxels.min() == voxels.max():
        raise ImageError(
            tr("{name} is the same everywhere; there is nothing to see in it.").format(name=name)
        )
    return Image(voxels, _geometry(node, shape))


def _geometry(node: Any, shape: Kji) -> Geometry:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    lps = RAS_TO_LPS @ toNumpy(matrix)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    if not np.isfinite(lps).all() or (spacing <= 0).any():
        raise GeometryError(tr("The image's position in space is damaged. Check it in the module Volumes."))
    direction = lps[:3, :3] / spacing
    numbers = (tuple(map(float, values)) for values in (spacing, lps[:3, 3], direction.ravel()))
    return Geometry(shape, *numbers)


class VolumeGrid:
    """Where a volume's voxels are in the world, transforms included."""

    def __init__(self, node: Any, geometry: Geometry) -> None:
        self.node, self.geometry = node, geometry
        self._rasToIjk = np.linalg.inv(geometry.ijk_to_ras())

    @property
    def shape(self) -> Kji:
        """Number of voxels along k, j and i."""
        return self.geometry.shape_kji

    @property
    def smallestEdgeMm(self) -> float:
        """The shortest voxel edge."""
        return min(self.geometry.spacing_ijk_mm)

    def _transformed(self, points: npt.NDArray[np.float64], *, toWorld: bool) -> npt.NDArray[np.float64]:
        parent = self.node.GetParentTransformNode()
        if parent is None or not len(points):
            return points
        transform = vtk.vtkGeneralTransform()
        first, second = (parent, None) if toWorld else (None, parent)
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(first, second, transform)
        before, after = vtk.vtkPoints(), vtk.vtkPoints()
        before.SetDataTypeToDouble()
        after.SetDataTypeToDouble()
        before.SetData(numpy_support.numpy_to_vtk(np.ascontiguousarray(points, float), deep=True))
        transform.TransformPoints(before, after)
        return np.array(numpy_support.vtk_to_numpy(after.GetData()), float)

    def continuousKji(self, world: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(n, 3) voxel positions (k, j, i), not rounded, of (n, 3) world RAS points."""
        local = self._transformed(np.atleast_2d(np.asarray(world, float)), toWorld=False)
        return (local @ self._rasToIjk[:3, :3].T + self._rasToIjk[:3, 3])[:, ::-1]

    def indexKji(self, world: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """(n, 3) nearest voxels (k, j, i), which may lie outside."""
        return np.floor(self.continuousKji(world) + 0.5).astype(np.int64)

    def worldOf(self, kji: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(n, 3) world RAS points of (n, 3) voxel positions (k, j, i)."""
        matrix = self.geometry.ijk_to_ras()
        local = np.atleast_2d(np.asarray(kji, float))[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
        return self._transformed(local, toWorld=True)
