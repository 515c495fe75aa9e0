"""The open case in the scene: its volume, the proposal's segment, the prompts' markups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer
import vtk

from clopa_annotator.errors import GeometryError, ImageError, NoImage
from clopa_annotator.geometry import BoundsKji
from clopa_annotator.types import Image, Mask
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.scene.ParameterState import ParameterState
from CLoPAAnnotatorLib.scene.PromptMarkers import PromptMarkers
from CLoPAAnnotatorLib.scene.ProposalSegment import SEGMENT_ID, ProposalSegment
from CLoPAAnnotatorLib.scene.VolumeGrid import VolumeGrid, imageOfVolume
from CLoPAAnnotatorLib.Texts import tr

OWNED = "CLoPA.Owned"
"""Attribute of nodes that this module brought into the scene and may take out again."""


class CaseScene:
    """Loads, shows and clears one case at a time."""

    def __init__(self, scene: Any, state: ParameterState, onEdited: Callable[[], None]) -> None:
        self._scene, self._state, self._onEdited = scene, state, onEdited
        self.markers = PromptMarkers(scene)
        self.grid: VolumeGrid | None = None
        self._proposal: ProposalSegment | None = None
        self._tags: list[tuple[Any, int]] = []
        self.opacity = 0.45

    @property
    def volume(self) -> Any:
        """The open case's volume node; None if there is none."""
        return self._state.volume

    def load(self, source: CaseSource) -> Any:
        """The volume of a case: from the scene, or from its file.

        Raises:
            ImageError: the file is missing or cannot be read, or the node was deleted.
        """
        if source.path is None:
            node = self._state.volumeOfCase(source.caseId)
            if node is None:
                raise ImageError(
                    tr("The volume of {case} is not in the scene any more.").format(case=source.caseId)
                )
            return node
        if not source.path.is_file():
            raise ImageError(tr("{path} does not exist any more.").format(path=source.path))
        try:
            node = slicer.util.loadVolume(str(source.path), {"name": source.caseId, "show": False})
        except RuntimeError as error:
            raise ImageError(
                tr("{path} cannot be read as an image: it may be damaged.").format(path=source.path)
            ) from error
        node.SetAttribute(OWNED, "1")
        return node

    def image(self, volume: Any) -> Image:
        """The volume's voxels and geometry; raises `ImageError` or `GeometryError` in words."""
        return imageOfVolume(volume)

    def begin(self, volume: Any, image: Image, segmentation: Any = None) -> None:
        """Show a volume and an empty proposal on it.

        Raises:
            GeometryError: the chosen segmentation cannot hold the proposal.
        """
        segmentation = segmentation if segmentation is not None else self._ownSegmentation(volume)
        proposal = ProposalSegment(segmentation, volume)
        self._unobserve()
        self._proposal, self.grid = proposal, VolumeGrid(volume, image.geometry)
        self._state.volume, self._state.segmentation = volume, segmentation
        proposal.setOpacity(self.opacity)
        # Which of these comes depends on how the voxels were changed: in place, or by another label map.
        kinds = slicer.vtkSegmentation
        for event in (kinds.SegmentModified, kinds.SourceRepresentationModified, kinds.SegmentRemoved):
            tag = segmentation.GetSegmentation().AddObserver(event, self._segmentChanged)
            self._tags.append((segmentation.GetSegmentation(), tag))

    def display(self) -> None:
        """Put the volume into the slice views, as its own axes lie."""
        slicer.util.setSliceViewerLayers(background=self.volume, fit=True)

    def _ownSegmentation(self, volume: Any) -> Any:
        node = self._scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volume.GetName()} CLoPA")
        node.SetAttribute(OWNED, "1")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        return node

    @vtk.calldata_type(vtk.VTK_STRING)
    def _segmentChanged(self, _caller: Any, _event: str, segmentId: str | None = None) -> None:
        if (
            self._proposal is not None
            and not self._proposal.isWriting
            and segmentId in (SEGMENT_ID, None, "")
            and self._proposal.noticeEdit()
        ):
            self._onEdited()

    def write(self, mask: Mask, changed: BoundsKji | None) -> None:
        """Show the changed box of a proposal."""
        if self._proposal is not None:
            self._proposal.write(mask, changed)

    def mask(self) -> Mask:
        """A copy of what is on the screen."""
        if self._proposal is None:
            raise NoImage(tr("No case is open."))
        return self._proposal.mask()

    def setOpacity(self, opacity: float) -> None:
        """How strongly the proposal covers the image, 0 to 1."""
        self.opacity = opacity
        if self._proposal is not None:
            self._proposal.setOpacity(opacity)

    def nameSegment(self, name: str) -> None:
        """Rename the proposal's segment."""
        if self._proposal is not None:
            self._proposal.setName(name)

    def moveTo(self, segmentation: Any) -> None:
        """Write into another segmentation from now on; the proposal moves along.

        Raises:
            GeometryError: it cannot hold the proposal.
        """
        if self._proposal is None or self.grid is None or segmentation is self._proposal.node:
            return
        mask, old = self._proposal.mask(), self._proposal
        image = Image(np.empty(0), self.grid.geometry)
        self.begin(self.volume, image, segmentation)
        self.write(mask, tuple((0, n) for n in mask.shape))
        old.remove()
        self.removeIfOwned(old.node)

    def end(self) -> None:
        """Take the case out of the scene: what this module brought in, and nothing else."""
        self._unobserve()
        volume, proposal = self._state.volume, self._proposal
        self._proposal = self.grid = None
        self.markers.clear()
        self._state.volume = self._state.segmentation = None
        if proposal is not None and proposal.node.GetScene() is not None:
            proposal.remove()
            self.removeIfOwned(proposal.node)
        self.removeIfOwned(volume)

    def removeIfOwned(self, node: Any) -> None:
        """Take a node out of the scene if this module brought it in."""
        if node is not None and node.GetScene() is not None and node.GetAttribute(OWNED) == "1":
            self._scene.RemoveNode(node)

    def forget(self) -> None:
        """The scene was closed: the nodes are gone already."""
        self._unobserve()
        self._proposal = self.grid = None
        self.markers.forget()

    def _unobserve(self) -> None:
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags = []

    def requireGrid(self) -> VolumeGrid:
        """Where the open case's voxels are.

        Raises:
            NoImage: no case is open.
            GeometryError: the volume was deleted or moved since the case was opened.
        """
        if self.grid is None:
            raise NoImage(tr("No case is open. Choose one from the list, or press Next case."))
        if self.volume is None or self.volume.GetImageData() is None:
            raise GeometryError(tr("The case's volume was deleted from the scene. Open the case again."))
        if not imageGeometryAgrees(self.volume, self.grid):
            raise GeometryError(
                tr("The image was moved or changed since the case was opened. Open it again.")
            )
        return self.grid


def imageGeometryAgrees(volume: Any, grid: VolumeGrid) -> bool:
    """Whether a volume still lies where it did when the case was opened (its transforms may change)."""
    if tuple(reversed(volume.GetImageData().GetDimensions())) != grid.shape:
        return False
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    expected = grid.geometry.ijk_to_ras()
    return all(abs(matrix.GetElement(r, c) - expected[r, c]) < 1e-4 for r in range(3) for c in range(4))
