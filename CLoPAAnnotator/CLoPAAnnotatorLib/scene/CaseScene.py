"""The open case in the scene: its volume, the proposal's segment, the prompts' markups."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import slicer
import vtk

from clopa_annotator.errors import GeometryError, ImageError, NoImage
from clopa_annotator.geometry import BoundsKji, box_slices
from clopa_annotator.types import Image, Mask, Slot
from clopa_annotator.types.targets import FIRST
from CLoPAAnnotatorLib.scene.CaseLoading import checkSceneVolume, loadFile, loadSeries
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.scene.ParameterState import ParameterState
from CLoPAAnnotatorLib.scene.PromptMarkers import PromptMarkers
from CLoPAAnnotatorLib.scene.ProposalSegment import ProposalSegment
from CLoPAAnnotatorLib.scene.SegmentLook import SegmentLook, segmentId
from CLoPAAnnotatorLib.scene.SliceSpacing import SliceSpacing
from CLoPAAnnotatorLib.scene.VolumeGrid import VolumeGrid, imageOfVolume
from CLoPAAnnotatorLib.Texts import tr

OWNED = "CLoPA.Owned"
"""Attribute of nodes that this module brought into the scene and may take out again."""


class CaseScene:
    """Loads, shows and clears one case at a time."""

    def __init__(self, scene: Any, state: ParameterState, onEdited: Callable[[Slot], None]) -> None:
        self._scene, self._state, self._onEdited = scene, state, onEdited
        self.markers = PromptMarkers(scene)
        self.grid: VolumeGrid | None = None
        self.chosen = FIRST
        self._proposals: dict[Slot, ProposalSegment] = {}
        self._looks: Mapping[Slot, SegmentLook] = {}
        self._confirmed: Collection[Slot] = ()
        self._tags: list[tuple[Any, int]] = []
        self._spacing = SliceSpacing()
        self.opacity = 0.45

    @property
    def volume(self) -> Any:
        """The open case's volume node; None if there is none."""
        return self._state.volume

    @property
    def proposal(self) -> ProposalSegment | None:
        """The segment of the chosen slot; None if no case is open."""
        return self._proposals.get(self.chosen)

    @property
    def proposals(self) -> Mapping[Slot, ProposalSegment]:
        """The segment of every slot of the open case."""
        return self._proposals

    def load(self, source: CaseSource) -> Any:
        """The volume of a case: from the scene, from its file, or from its DICOM series.

        Raises:
            ImageError: the file is missing or cannot be read, or the node was deleted.
            DatasetError: the series is not where it was.
        """
        if source.series:
            node = loadSeries(source)
        elif source.path is None:
            node = self._state.volumeOfCase(source.caseId)
            if node is None:
                raise ImageError(
                    tr("The volume of {case} is not in the scene any more.").format(case=source.caseId)
                )
            checkSceneVolume(node)
            return node
        else:
            node = loadFile(source)
        node.SetAttribute(OWNED, "1")
        return node

    def image(self, volume: Any) -> Image:
        """The volume's voxels and geometry; raises `ImageError` or `GeometryError` in words."""
        return imageOfVolume(volume)

    def begin(self, volume: Any, image: Image, segmentation: Any = None) -> None:
        """Show a volume and the first target's segment on it.

        Raises:
            GeometryError: the chosen segmentation cannot hold the proposal.
        """
        segmentation = segmentation if segmentation is not None else self._ownSegmentation(volume)
        proposal = ProposalSegment(segmentation, volume)
        self._unobserve()
        self._proposals, self.chosen = {FIRST: proposal}, FIRST
        self.grid = VolumeGrid(volume, image.geometry)
        self._state.volume, self._state.segmentation = volume, segmentation
        # Which of these comes depends on how the voxels were changed: in place, or by another label map.
        kinds = slicer.vtkSegmentation
        for event in (kinds.SegmentModified, kinds.SourceRepresentationModified, kinds.SegmentRemoved):
            tag = segmentation.GetSegmentation().AddObserver(event, self._segmentChanged)
            self._tags.append((segmentation.GetSegmentation(), tag))

    def display(self) -> None:
        """Put the volume into the slice views, as its own axes lie."""
        if self.grid is not None:
            self._spacing.use(self.grid.geometry)
        slicer.util.setSliceViewerLayers(background=self.volume, fit=True)

    def _ownSegmentation(self, volume: Any) -> Any:
        node = self._scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{volume.GetName()} CLoPA")
        node.SetAttribute(OWNED, "1")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        return node

    @vtk.calldata_type(vtk.VTK_STRING)
    def _segmentChanged(self, _caller: Any, _event: str, changed: str | None = None) -> None:
        for slot, proposal in tuple(self._proposals.items()):
            isMeant = changed in (proposal.segmentId, None, "") and not proposal.isWriting
            if isMeant and proposal.noticeEdit():
                self._onEdited(slot)

    def segmentOf(self, slot: Slot) -> ProposalSegment:
        """The segment of a slot of the open case; made if it is not there.

        Raises:
            NoImage: no case is open.
        """
        if slot not in self._proposals:
            if self.proposal is None:
                raise NoImage(tr("No case is open."))
            node = self.proposal.node
            self._proposals[slot] = ProposalSegment(node, self.volume, segmentId(slot), isResting=True)
        return self._proposals[slot]

    def choose(self, slot: Slot) -> None:
        """Have prompts, and the Segment Editor if it is open, change this slot's segment from now on."""
        left, chosen = self.proposal, self.segmentOf(slot)
        self.chosen = slot
        chosen.wake(left.rest() if left is not None and left is not chosen else None)
        self._dress()
        editors = self._scene.GetNodesByClass("vtkMRMLSegmentEditorNode")
        editors.UnRegister(None)
        for editor in map(editors.GetItemAsObject, range(editors.GetNumberOfItems())):
            if editor.GetSegmentationNode() is chosen.node:
                editor.SetSelectedSegmentID(chosen.segmentId)

    def keepOnly(self, slots: Collection[Slot]) -> None:
        """Take the segments of other slots than these out."""
        for slot in [s for s in self._proposals if s not in slots and s != self.chosen]:
            self._proposals.pop(slot).remove()

    def dress(self, looks: Mapping[Slot, SegmentLook], confirmed: Collection[Slot]) -> None:
        """Give every segment its look; those that are ``confirmed`` are outlines while another is chosen."""
        self._looks, self._confirmed = looks, confirmed
        self._dress()

    def _dress(self) -> None:
        for slot, proposal in self._proposals.items():
            look = self._looks.get(slot)
            if look is not None and slot == self.chosen:
                proposal.setLook(look if look.isSuggestion else replace(look, fill=self.opacity))
            elif look is not None:
                proposal.setLook(look.beside(isConfirmed=slot in self._confirmed))

    def write(self, mask: Mask, changed: BoundsKji | None, slot: Slot) -> None:
        """Show the changed box of a slot's proposal."""
        if self._proposals:
            proposal = self.segmentOf(slot)
            proposal.write(mask, changed)
            if slot != self.chosen:
                proposal.rest()

    def show(self, mask: Mask, box: BoundsKji | None, slot: Slot) -> None:
        """Have exactly this mask on the screen of a slot; raises `GeometryError` if it is on another grid."""
        if self._proposals:
            segment = self.segmentOf(slot)
            segment.requireGrid(mask)
            segment.show(None if box is None else (mask[box_slices(box)], box))

    def mask(self, slot: Slot | None = None) -> Mask:
        """A copy of what is on the screen of a slot; of the chosen one unless one is named."""
        if not self._proposals:
            raise NoImage(tr("No case is open."))
        return self.segmentOf(self.chosen if slot is None else slot).mask()

    def setOpacity(self, opacity: float) -> None:
        """How strongly the chosen slot's proposal covers the image, 0 to 1."""
        self.opacity = opacity
        self._dress()

    def moveTo(self, segmentation: Any) -> None:
        """Write into another segmentation from now on; the proposal moves along.

        Raises:
            GeometryError: it cannot hold the proposal.
        """
        old, chosen = self._proposals, self.chosen
        node = self.proposal.node if self.proposal is not None else None
        if node is None or self.grid is None or segmentation is node:
            return
        self.begin(self.volume, Image(np.empty(0), self.grid.geometry), segmentation)
        for slot, proposal in old.items():
            self.segmentOf(slot).show(proposal.crop())
        self.choose(chosen)
        for proposal in old.values():
            proposal.remove()
        self.removeIfOwned(node)

    def end(self) -> None:
        """Take the case out of the scene: what this module brought in, and nothing else."""
        self._unobserve()
        volume, proposals = self._state.volume, self._proposals
        self._forgetSegments()
        self.markers.clear()
        self._spacing.reset()
        self._state.volume = self._state.segmentation = None
        for proposal in proposals.values():
            if proposal.node.GetScene() is not None:
                proposal.remove()
                self.removeIfOwned(proposal.node)
        self.removeIfOwned(volume)

    def _forgetSegments(self) -> None:
        self._proposals, self.chosen, self.grid = {}, FIRST, None
        self._looks, self._confirmed = {}, ()

    def removeIfOwned(self, node: Any) -> None:
        """Take a node out of the scene if this module brought it in."""
        if node is not None and node.GetScene() is not None and node.GetAttribute(OWNED) == "1":
            self._scene.RemoveNode(node)

    def forget(self) -> None:
        """The scene was closed: the nodes are gone already."""
        self._unobserve()
        self._forgetSegments()
        self._spacing.reset()
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
