"""The proposal's own segment: written box by box, in place, without touching any other segment.

The segment owns a label map of its own, of the volume's full grid, so an update copies the changed box and
nothing else: Slicer's own way of replacing a segment takes a second on 512 x 512 x 300 voxels. Before every
write it is made sure that no other segment shares the label map; a peer erased 1,000 voxels of a neighbour
because a new segment is put into the first shared layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import BoundsKji, Kji, box_slices, union_box
from clopa_annotator.types import Mask
from CLoPAAnnotatorLib.Texts import tr

SEGMENT_ID = "CLoPA_Proposal"
COLOUR = (0.25, 0.75, 0.95)
LABELMAP = "Binary labelmap"


class ProposalSegment:
    """One segment in one segmentation, on one volume's grid."""

    def __init__(self, segmentationNode: Any, volumeNode: Any) -> None:
        """Find the segment or make it.

        Raises:
            GeometryError: the segmentation cannot hold label maps, or is under another transform.
        """
        self.node, self._volume = segmentationNode, volumeNode
        self.isWriting = False
        self._filled: BoundsKji | None = None  # a box around every voxel that is set, once it is known
        self._isFilledKnown = False
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
        if segmentation.GetSegment(SEGMENT_ID) is None:
            self._add()
        self._array = self._privateArray()

    @property
    def shape(self) -> Kji:
        """The volume's grid (k, j, i)."""
        return tuple(reversed(self._volume.GetImageData().GetDimensions()))

    @property
    def segment(self) -> Any:
        """The vtkSegment; None if somebody deleted it."""
        return self.node.GetSegmentation().GetSegment(SEGMENT_ID)

    def _add(self) -> None:
        segment = slicer.vtkSegment()
        segment.SetName(tr("Proposal"))
        segment.SetColor(*COLOUR)
        with self._quietly():
            segment.AddRepresentation(LABELMAP, self._newLabelmap())
            self.node.GetSegmentation().AddSegment(segment, SEGMENT_ID)
        self.node.CreateDefaultDisplayNodes()
        display = self.node.GetDisplayNode()
        display.SetSegmentOpacity2DFill(SEGMENT_ID, 0.45)
        display.SetSegmentOpacity2DOutline(SEGMENT_ID, 1.0)

    def _newLabelmap(self) -> Any:
        image = slicer.vtkOrientedImageData()
        image.SetDimensions(*self._volume.GetImageData().GetDimensions())
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        image.GetPointData().GetScalars().Fill(0)
        matrix = vtk.vtkMatrix4x4()
        self._volume.GetIJKToRASMatrix(matrix)
        image.SetGeometryFromImageToWorldMatrix(matrix)
        return image

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        self.isWriting = True
        try:
            yield
        finally:
            self.isWriting = False

    def _isShared(self, labelmap: Any) -> bool:
        segmentation = self.node.GetSegmentation()
        ids = (segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments()))
        others = (segmentation.GetSegment(segmentId) for segmentId in ids if segmentId != SEGMENT_ID)
        return any(other.GetRepresentation(LABELMAP) is labelmap for other in others)

    def _isPrivate(self, labelmap: Any) -> bool:
        matrix, own = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
        self._volume.GetIJKToRASMatrix(matrix)
        labelmap.GetImageToWorldMatrix(own)
        sameGrid = all(
            abs(matrix.GetElement(r, c) - own.GetElement(r, c)) < 1e-4 for r in range(4) for c in range(4)
        )
        return (
            not self._isShared(labelmap)
            and self.segment.GetLabelValue() == 1
            and sameGrid
            and labelmap.GetExtent() == self._volume.GetImageData().GetExtent()
            and labelmap.GetScalarType() == vtk.VTK_UNSIGNED_CHAR
        )

    def _privateArray(self) -> Mask:
        """The segment's voxels, writable, on the full grid and shared with nobody."""
        if self.segment is None:
            self._add()
        labelmap = self.segment.GetRepresentation(LABELMAP)
        if labelmap is None or not self._isPrivate(labelmap):
            mask = self._readAnyGrid() if labelmap is not None else None
            labelmap = self._newLabelmap()
            with self._quietly():
                self.segment.SetLabelValue(1)
                self.segment.AddRepresentation(LABELMAP, labelmap)
            self._filled, self._isFilledKnown = None, mask is None
            if mask is not None:
                self._view(labelmap)[...] = mask
        self._labelmap = labelmap
        self._seen = (labelmap, labelmap.GetMTime())
        return self._view(labelmap)

    def _view(self, labelmap: Any) -> Mask:
        return numpy_support.vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(self.shape)

    def _readAnyGrid(self) -> Mask | None:
        array = slicer.util.arrayFromSegmentBinaryLabelmap(self.node, SEGMENT_ID, self._volume)
        return None if array is None or array.shape != self.shape else (array > 0).astype(np.uint8)

    def write(self, mask: Mask, changed: BoundsKji | None) -> None:
        """Show a proposal; only the changed box is copied.

        Args:
            mask: (k, j, i) mask on the volume's grid.
            changed: the box that differs from what was written before; None for nothing.

        Raises:
            GeometryError: the mask is not on the volume's grid.
        """
        if mask.shape != self.shape:
            raise GeometryError(
                tr("The answer has another shape than the image: {a} and {b}. Open the case again.").format(
                    a=mask.shape, b=self.shape
                )
            )
        if changed is None:
            return
        self._refresh()
        box = box_slices(changed)
        self._array[box] = mask[box]
        self._filled = union_box(self._filled, changed)
        self._tell()

    def _refresh(self) -> None:
        segment = self.segment
        labelmap = None if segment is None else segment.GetRepresentation(LABELMAP)
        if labelmap is not self._labelmap or not self._isPrivate(labelmap):
            self._array = self._privateArray()

    def _tell(self) -> None:
        with self._quietly():
            self._labelmap.GetPointData().GetScalars().Modified()
            self._labelmap.Modified()
            self._seen = (self._labelmap, self._labelmap.GetMTime())
        _drawSliceViews()

    def noticeEdit(self) -> bool:
        """Whether somebody else has changed the voxels since this was last asked; a new name is no edit."""
        segment = self.segment
        labelmap = None if segment is None else segment.GetRepresentation(LABELMAP)
        seen = (labelmap, 0 if labelmap is None else labelmap.GetMTime())
        isNew = seen[0] is not self._seen[0] or seen[1] != self._seen[1]
        self._seen = seen
        self._isFilledKnown = self._isFilledKnown and not isNew
        return isNew

    def mask(self) -> Mask:
        """A copy of what is on the screen, manual edits included; read-only, so that nobody copies it again.

        Only the filled box is copied: a copy of 512 x 512 x 300 voxels would stop the interface for a moment.
        """
        mask, crop = np.zeros(self.shape, np.uint8), self.crop()
        if crop is not None:
            mask[box_slices(crop[1])] = crop[0] > 0
        mask.setflags(write=False)
        return mask

    def crop(self) -> tuple[Mask, BoundsKji] | None:
        """The voxels of a box around everything that is set, not copied, and the box; None if nothing is."""
        self._refresh()
        if not self._isFilledKnown:
            self._filled, self._isFilledKnown = _filledBox(self._array), True
        return None if self._filled is None else (self._array[box_slices(self._filled)], self._filled)

    def stamp(self) -> tuple[int, int]:
        """Changes whenever the voxels do."""
        labelmap = self.segment.GetRepresentation(LABELMAP)
        return (id(labelmap), 0 if labelmap is None else labelmap.GetMTime())

    def setName(self, name: str) -> None:
        """Rename the segment, for instance when it was confirmed."""
        if self.segment is not None and self.segment.GetName() != name:
            self.segment.SetName(name)

    def setOpacity(self, opacity: float) -> None:
        """How much of the image the fill covers, 0 to 1."""
        display = self.node.GetDisplayNode()
        if display is not None:
            display.SetSegmentOpacity2DFill(SEGMENT_ID, opacity)

    def remove(self) -> None:
        """Take the segment out; every other one stays as it is."""
        if self.segment is not None:
            with self._quietly():
                self.node.GetSegmentation().RemoveSegment(SEGMENT_ID)


def _drawSliceViews() -> None:
    """Have the slice views drawn soon: the segmentation does not observe this label map, and tells nobody.

    An event of the segmentation would have other representations made anew too, the surface in 3D among them.
    """
    manager = slicer.app.layoutManager()
    for name in manager.sliceViewNames() if manager is not None else ():
        manager.sliceWidget(name).sliceView().scheduleRender()


def _filledBox(array: Mask) -> BoundsKji | None:
    """The smallest box around the voxels that are set; slice by slice, which is much faster than by axes."""
    slices = [k for k, plane in enumerate(array) if np.count_nonzero(plane)]
    if not slices:
        return None
    first, last = slices[0], slices[-1] + 1
    plane = array[first:last].any(axis=0)
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return ((first, last), (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1))
