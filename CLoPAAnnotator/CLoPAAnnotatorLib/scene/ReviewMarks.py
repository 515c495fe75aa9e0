"""What a review puts into the scene: the place that somebody marked, outlines to compare a mask with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer

from clopa_annotator.geometry import bounding_box, box_slices
from clopa_annotator.types import Mask
from clopa_annotator.types.review import Lps
from CLoPAAnnotatorLib.scene.ProposalSegment import ProposalSegment
from CLoPAAnnotatorLib.scene.SegmentLook import SegmentLook
from CLoPAAnnotatorLib.scene.VolumeGrid import VolumeGrid
from CLoPAAnnotatorLib.Texts import tr

ATTRIBUTE = "CLoPA.Review"
PLACE_COLOUR = (0.95, 0.65, 0.1)


def placeOfWorld(grid: VolumeGrid, world: npt.NDArray[np.float64]) -> Lps:
    """The image's own LPS position of a world RAS point: without the transforms that its volume is under."""
    k, j, i = grid.continuousKji(world)[0]
    x, y, z, _ = grid.geometry.ijk_to_lps() @ np.array([i, j, k, 1.0])
    return (float(x), float(y), float(z))


def worldOfPlace(grid: VolumeGrid, place: Lps) -> npt.NDArray[np.float64]:
    """(3,) world RAS point of a place; the inverse of `placeOfWorld`."""
    i, j, k, _ = np.linalg.inv(grid.geometry.ijk_to_lps()) @ np.array([*place, 1.0])
    return grid.worldOf(np.array([[k, j, i]], float))[0]


class ReviewMarks:
    """Nodes of its own, never saved with the scene and taken out with the case."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._place: Any = None
        self._outlines: Any = None

    @property
    def place(self) -> Any:
        """The node that shows the marked place; None if none is shown."""
        return self._place

    @property
    def outlines(self) -> Any:
        """The segmentation that holds the outlines; None if none are shown."""
        return self._outlines

    def showPlace(self, world: npt.NDArray[np.float64] | None, *, jump: bool) -> None:
        """Show this place alone, or none; ``jump`` brings every slice view there."""
        self._place = self._removed(self._place)
        if world is None:
            return
        node = self._newNode("vtkMRMLMarkupsFiducialNode", tr("Marked place"))
        node.AddControlPointWorld(*(float(x) for x in world), tr("Look here"))
        node.SetLocked(True)
        node.SetHideFromEditors(True)
        display = node.GetDisplayNode()
        display.SetSelectedColor(*PLACE_COLOUR)
        display.SetColor(*PLACE_COLOUR)
        self._place = node
        if jump:
            slicer.vtkMRMLSliceNode.JumpAllSlices(self._scene, *(float(x) for x in world))

    def showOutlines(self, volume: Any, masks: Sequence[tuple[str, SegmentLook, Mask]]) -> None:
        """Draw masks as outlines over the volume, each with an id of its own, in place of those before."""
        self._outlines = self._removed(self._outlines)
        if not masks:
            return
        node = self._newNode("vtkMRMLSegmentationNode", tr("Comparison"))
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        for name, look, mask in masks:
            box = bounding_box(mask)
            segment = ProposalSegment(node, volume, name, isResting=True)
            segment.show(None if box is None else (np.ascontiguousarray(mask[box_slices(box)]), box))
            segment.setLook(look)
        self._outlines = node

    def _newNode(self, kind: str, name: str) -> Any:
        node = self._scene.AddNewNodeByClass(kind, name)
        node.SetAttribute(ATTRIBUTE, "1")
        node.SetSaveWithScene(False)
        node.CreateDefaultDisplayNodes()
        return node

    def _removed(self, node: Any) -> None:
        if node is not None and node.GetScene() is not None:
            self._scene.RemoveNode(node)

    def clear(self) -> None:
        """Take everything out of the scene."""
        self.showPlace(None, jump=False)
        self._outlines = self._removed(self._outlines)
