"""From a mask to a surface for the 3D view, in milliseconds: a preview, made from the filled box alone.

Slicer's own closed surfaces are made of every segment, and thrown away at each change of any voxel
(`vtkSegmentation::OnSourceRepresentationModified`); `benchmarks/show_3d.py` measures both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from vtk.util import numpy_support

from clopa_annotator.geometry import BoundsKji
from clopa_annotator.types import Mask

MAX_VOXELS = 64**3
"""A larger box is sampled more coarsely; the preview of an organ needs no more."""
SMOOTHING, PASS_BAND = 8, 0.1


def surfaceOf(mask: Mask, box: BoundsKji, indexToWorld: Any) -> Any:
    """The surface around a mask.

    Args:
        mask: (k, j, i) of the box alone, nonzero inside.
        box: where it lies in the volume, in voxels.
        indexToWorld: vtkMatrix4x4 from (i, j, k) to RAS in mm.

    Returns:
        vtkPolyData in RAS; empty for an empty mask.
    """
    if not mask.any():
        return vtk.vtkPolyData()
    step = max(1, int(np.ceil((mask.size / MAX_VOXELS) ** (1 / 3))))
    sampled = np.pad((mask[::step, ::step, ::step] > 0).astype(np.uint8), 1)
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(sampled.shape))
    image.SetSpacing(step, step, step)
    image.SetOrigin(*(low - step for low, _ in reversed(box)))
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(sampled.ravel(), deep=True))
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.ComputeScalarsOff()
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(edges.GetOutputPort())
    smooth.SetNumberOfIterations(SMOOTHING)
    smooth.SetPassBand(PASS_BAND)
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    return _inWorld(smooth, indexToWorld)


def _inWorld(source: Any, indexToWorld: Any) -> Any:
    transform = vtk.vtkTransform()
    transform.SetMatrix(indexToWorld)
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetTransform(transform)
    moved.SetInputConnection(source.GetOutputPort())
    last = moved
    if indexToWorld.Determinant() < 0:  # a mirroring grid turns the surface inside out
        last = vtk.vtkReverseSense()
        last.SetInputConnection(moved.GetOutputPort())
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(last.GetOutputPort())
    normals.SplittingOff()
    normals.ConsistencyOff()
    normals.Update()
    return normals.GetOutput()
