"""The open case's masks in the 3D view, for whoever wants to see them; they follow when nothing is awaited.

Each is a model of its own, not the segment's closed surface: that would have to be made anew for every
segment after each click, and an export would take the preview for the real one.
They are not saved with the scene.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk

import qt
from clopa_annotator.types import Slot
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.scene.CaseScene import OWNED
from CLoPAAnnotatorLib.scene.MaskSurface import surfaceOf
from CLoPAAnnotatorLib.scene.SegmentLook import PROPOSAL_COLOUR
from CLoPAAnnotatorLib.Texts import tr

EVERY_MS = 150
"""How often it is looked whether the voxels have changed; two looks must find the same before it is drawn."""
Stamps = dict[Slot, object]


class Surface3D:
    """Shows, follows and removes the models: one for each segment that is shown and not empty."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._nodes: dict[Slot, Any] = {}
        self._seen: Stamps = {}
        self._drawn: Stamps = {}
        self._timer = qt.QTimer()
        self._timer.setInterval(EVERY_MS)
        self._timer.connect("timeout()", self._look)

    @property
    def node(self) -> Any:
        """The chosen slot's vtkMRMLModelNode; None while it is not shown."""
        return self._nodeOf(self._workspace.session.slot)

    def _nodeOf(self, slot: Slot) -> Any:
        node = self._nodes.get(slot)
        return node if node is not None and node.GetScene() is not None else None

    def setShown(self, shown: bool) -> None:
        """Show the masks in 3D from now on, or no more."""
        if not shown:
            self._timer.stop()
            self._seen, self._drawn = {}, {}
            self._keepOnly(())
            return
        if not self._views():
            sentence = tr("This layout has no 3D view. Choose one in Slicer's layouts, Four-Up for instance.")
            self._workspace.say(sentence, "warning")
        self._timer.start()
        self._draw(self._stamps())

    def _look(self) -> None:
        stamps = self._stamps()
        isQuiet = stamps == self._seen and not self._workspace.session.isBusy
        self._seen = stamps
        if isQuiet and stamps != self._drawn:
            self._draw(stamps)

    def _stamps(self) -> Stamps:
        """Changes with whatever is seen: voxels, colour, place, which segments are shown."""
        case = self._workspace.case
        volume, found = case.volume, {}
        for slot, segment in case.proposals.items() if volume is not None else ():
            if segment.isVisible:
                place = (volume.GetID(), volume.GetTransformNodeID())
                found[slot] = (*place, *segment.stamp(), segment.segment.GetColor())
        return found

    def _draw(self, stamps: Stamps) -> None:
        isFirst = not any(map(self._nodeOf, self._nodes))
        drawn, self._drawn = self._drawn, stamps
        self._keepOnly(tuple(stamps))
        for slot, stamp in stamps.items():
            if drawn.get(slot) != stamp or self._nodeOf(slot) is None:
                self._drawOne(slot)
        if isFirst and self._nodes:
            self._lookAtThem()

    def _drawOne(self, slot: Slot) -> None:
        segment, volume = self._workspace.case.proposals[slot], self._workspace.case.volume
        crop = segment.crop()
        if crop is None or not crop[0].any():
            self._clear(slot)
            return
        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        if self._nodeOf(slot) is None:
            self._nodes[slot] = self._newNode(slot)
        node = self._nodes[slot]
        colour = PROPOSAL_COLOUR if self._workspace.targets.isSingle else segment.segment.GetColor()
        node.GetDisplayNode().SetColor(*colour)
        node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        node.SetAndObservePolyData(surfaceOf(*crop, matrix))

    def _newNode(self, slot: Slot) -> Any:
        targets = self._workspace.targets
        what = tr("Proposal") if targets.isSingle else targets.nameOf(slot)
        name = tr("{name} in 3D").format(name=what)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", name)
        node.SetSaveWithScene(False)
        node.SetAttribute(OWNED, "1")
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetVisibility2D(False)
        return node

    def _lookAtThem(self) -> None:
        for widget in self._views():
            widget.threeDView().resetFocalPoint()

    def _views(self) -> list[Any]:
        """The 3D views of the layout; Slicer counts and keeps those of earlier layouts as well."""
        manager = slicer.app.layoutManager()
        widgets = [manager.threeDWidget(number) for number in range(manager.threeDViewCount)]
        return [widget for widget in widgets if widget.mrmlViewNode().IsMappedInLayout()]

    def _keepOnly(self, slots: tuple[Slot, ...]) -> None:
        for slot in [slot for slot in self._nodes if slot not in slots]:
            self._clear(slot)

    def _clear(self, slot: Slot) -> None:
        node = self._nodeOf(slot)
        self._nodes.pop(slot, None)
        if node is not None:
            node.GetScene().RemoveNode(node)

    def close(self) -> None:
        """The module goes away."""
        self.setShown(False)
