"""A slot's own segment: written box by box, in place, without touching any other segment.

While its slot is chosen, the segment owns a label map of its own, of the volume's full grid, so an update
copies the changed box and nothing else: Slicer's own way of replacing a segment takes a second on
512 x 512 x 300 voxels. Before every write it is made sure that no other segment shares the label map; a peer
erased 1,000 voxels of a neighbour because a new segment is put into the first shared layer. While another
slot is chosen, the segment rests with its filled box alone: a case may have twenty targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import slicer
import vtk

from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import BoundsKji, Kji, box_slices, union_box
from clopa_annotator.types import Mask
from CLoPAAnnotatorLib.scene import SegmentLook as Looks
from CLoPAAnnotatorLib.scene.Labelmaps import (
    LABELMAP,
    boxOf,
    drawSliceViews,
    filledBox,
    isOnGrid,
    newLabelmap,
    requireLabelmaps,
    voxelsOf,
    wholeBox,
)
from CLoPAAnnotatorLib.Texts import tr

SEGMENT_ID, COLOUR = Looks.PROPOSAL_ID, Looks.PROPOSAL_COLOUR


class ProposalSegment:
    """One segment in one segmentation, on one volume's grid.

    Attributes:
        node: the vtkMRMLSegmentationNode.
        segmentId: which of its segments.
        isWriting: whether what changes now is changed by this module.
        isResting: whether its label map has the filled box alone.
    """

    def __init__(
        self, segmentationNode: Any, volumeNode: Any, segmentId: str = SEGMENT_ID, *, isResting: bool = False
    ) -> None:
        """Find the segment or make it.

        Raises:
            GeometryError: the segmentation cannot hold label maps, or is under another transform.
        """
        self.node, self._volume, self.segmentId = segmentationNode, volumeNode, segmentId
        self.isWriting, self.isResting = False, isResting
        self.look: Looks.SegmentLook | None = None
        self._filled: BoundsKji | None = None  # a box around every voxel that is set, once that is known
        self._isFilledKnown, self._labelmap = False, None
        requireLabelmaps(segmentationNode, volumeNode)
        if self.segment is None:
            self._add()
        self._seen: tuple[Any, int] = self._lookAt()
        if not isResting:
            self._array = self._privateArray()

    @property
    def shape(self) -> Kji:
        """The volume's grid (k, j, i)."""
        return tuple(reversed(self._volume.GetImageData().GetDimensions()))

    @property
    def segment(self) -> Any:
        """The vtkSegment; None if somebody deleted it."""
        return self.node.GetSegmentation().GetSegment(self.segmentId)

    def _add(self) -> None:
        segment = slicer.vtkSegment()
        segment.SetName(tr("Proposal"))
        segment.SetColor(*COLOUR)
        with self._quietly():
            box = None if self.isResting else wholeBox(self._volume)
            segment.AddRepresentation(LABELMAP, newLabelmap(self._volume, box))
            self.node.GetSegmentation().AddSegment(segment, self.segmentId)
        self.node.CreateDefaultDisplayNodes()
        display = self.node.GetDisplayNode()
        display.SetSegmentOpacity2DFill(self.segmentId, 0.45)
        display.SetSegmentOpacity2DOutline(self.segmentId, 1.0)
        if self.look is not None:
            Looks.apply(self.look, self.node, self.segmentId)

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
        others = (segmentation.GetSegment(segmentId) for segmentId in ids if segmentId != self.segmentId)
        return any(other.GetRepresentation(LABELMAP) is labelmap for other in others)

    def _isPrivate(self, labelmap: Any) -> bool:
        return (
            not self._isShared(labelmap)
            and self.segment.GetLabelValue() == 1
            and isOnGrid(labelmap, self._volume)
            and labelmap.GetExtent() == self._volume.GetImageData().GetExtent()
            and labelmap.GetScalarType() == vtk.VTK_UNSIGNED_CHAR
        )

    def _privateArray(self, whole: Any = None) -> Mask:
        """The segment's voxels, writable, on the full grid and shared with nobody."""
        if self.segment is None:
            self._add()
        labelmap = self.segment.GetRepresentation(LABELMAP)
        if labelmap is None or not self._isPrivate(labelmap):
            crop = self._readCrop()
            labelmap = whole or newLabelmap(self._volume, wholeBox(self._volume))
            if crop is not None:
                voxelsOf(labelmap)[box_slices(crop[1])] = crop[0]
            self._filled, self._isFilledKnown = (None if crop is None else crop[1]), True
            self._replace(labelmap)
        self._labelmap = labelmap
        self._seen = self._lookAt()
        return voxelsOf(labelmap)

    def _replace(self, labelmap: Any) -> None:
        with self._quietly():
            self.segment.SetLabelValue(1)
            self.segment.AddRepresentation(LABELMAP, labelmap)
        self._seen = self._lookAt()

    def _lookAt(self) -> tuple[Any, int]:
        segment = self.segment
        labelmap = None if segment is None else segment.GetRepresentation(LABELMAP)
        return (labelmap, 0 if labelmap is None else labelmap.GetMTime())

    def _readCrop(self) -> tuple[Mask, BoundsKji] | None:
        """What the segment has, on whatever grid and in whatever layer; None if it is empty."""
        segment = self.segment
        labelmap = None if segment is None else segment.GetRepresentation(LABELMAP)
        box = None if labelmap is None else boxOf(labelmap)
        if box is None:
            return None
        if isOnGrid(labelmap, self._volume) and _isWithin(box, self.shape):
            array = voxelsOf(labelmap) == segment.GetLabelValue()
        else:
            array = slicer.util.arrayFromSegmentBinaryLabelmap(self.node, self.segmentId, self._volume)
            if array is None or array.shape != self.shape:
                return None
            array, box = array > 0, wholeBox(self._volume)
        if (inner := filledBox(array)) is None:
            return None
        outer = tuple((low + a, low + b) for (low, _), (a, b) in zip(box, inner, strict=True))
        return np.ascontiguousarray(array[box_slices(inner)]).view(np.uint8), outer

    def rest(self) -> Any:
        """Keep the filled box alone; returns the full label map, emptied, for `wake`."""
        if self.isResting or self.segment is None:
            return None
        crop, whole, array, self.isResting = self.crop(), self._labelmap, self._array, True
        self._keep(crop)
        if crop is not None:
            array[box_slices(crop[1])] = 0
        return whole

    def wake(self, whole: Any = None) -> None:
        """The slot is chosen: have the full grid again, in ``whole`` if `rest` gave one."""
        if self.isResting:
            self.isResting = False
            self._array = self._privateArray(whole)

    def _keep(self, crop: tuple[Mask, BoundsKji] | None) -> None:
        labelmap = newLabelmap(self._volume, None if crop is None else crop[1])
        if crop is not None:
            voxelsOf(labelmap)[...] = crop[0]
        self._array = self._labelmap = None
        self._replace(labelmap)

    def show(self, crop: tuple[Mask, BoundsKji] | None) -> None:
        """Have exactly the voxels of a box, as `crop` gives them; None for none."""
        if self.segment is None:
            self._add()
        if self.isResting:
            self._keep(crop)
        else:
            old = self.crop()
            if old is not None:
                self._array[box_slices(old[1])] = 0
            if crop is not None:
                self._array[box_slices(crop[1])] = crop[0]
            self._filled, self._isFilledKnown = (None if crop is None else crop[1]), True
            self._tell()
        drawSliceViews()

    def write(self, mask: Mask, changed: BoundsKji | None) -> None:
        """Show a proposal; only the changed box is copied.

        Args:
            mask: (k, j, i) mask on the volume's grid.
            changed: the box that differs from what was written before; None for nothing.

        Raises:
            GeometryError: the mask is not on the volume's grid.
        """
        self.requireGrid(mask)
        if changed is None:
            return
        self.wake()
        self._refresh()
        box = box_slices(changed)
        self._array[box] = mask[box]
        self._filled = union_box(self._filled, changed)
        self._tell()

    def requireGrid(self, mask: Mask) -> None:
        """Raises `GeometryError` if a mask is not on the volume's grid."""
        if mask.shape != self.shape:
            raise GeometryError(
                tr("The answer has another shape than the image: {a} and {b}. Open the case again.").format(
                    a=mask.shape, b=self.shape
                )
            )

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
        drawSliceViews()

    def noticeEdit(self) -> bool:
        """Whether somebody else has changed the voxels since this was last asked; a new name is no edit."""
        seen = self._lookAt()
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
        if self.isResting:
            return self._readCrop()
        self._refresh()
        if not self._isFilledKnown:
            self._filled, self._isFilledKnown = filledBox(self._array), True
        return None if self._filled is None else (self._array[box_slices(self._filled)], self._filled)

    @property
    def isVisible(self) -> bool:
        """Whether the segment is there and shown."""
        display = self.node.GetDisplayNode()
        return self.segment is not None and (
            display is None or bool(display.GetVisibility() and display.GetSegmentVisibility(self.segmentId))
        )

    def stamp(self) -> tuple[int, int]:
        """Changes whenever the voxels do."""
        labelmap = self.segment.GetRepresentation(LABELMAP)
        return (id(labelmap), 0 if labelmap is None else labelmap.GetMTime())

    def setLook(self, look: Looks.SegmentLook) -> None:
        """Give the segment its name, its colour and how strongly it is drawn."""
        if look != self.look:
            self.look = look
            Looks.apply(look, self.node, self.segmentId)

    def remove(self) -> None:
        """Take the segment out; every other one stays as it is."""
        if self.segment is not None:
            with self._quietly():
                self.node.GetSegmentation().RemoveSegment(self.segmentId)


def _isWithin(box: BoundsKji, shape: Kji) -> bool:
    return all(low >= 0 and high <= size for (low, high), size in zip(box, shape, strict=True))
