"""The proposal in the 3D view, while somebody wants to see it; it follows when no answer is awaited.

It is a model of its own, not the segment's closed surface: that would have to be made anew for every segment
after each click, and an export would take the preview for the real one. It is not saved with the scene.
"""

from __future__ import annotations

from typing import Any

import slicer
import vtk

import qt
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.scene.CaseScene import OWNED
from CLoPAAnnotatorLib.scene.MaskSurface import surfaceOf
from CLoPAAnnotatorLib.scene.ProposalSegment import COLOUR
from CLoPAAnnotatorLib.Texts import tr

EVERY_MS = 150
"""How often it is looked whether the voxels have changed; two looks must find the same before it is drawn."""


class Surface3D:
    """Shows, follows and removes the model."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._node: Any = None
        self._seen: object = None
        self._drawn: object = None
        self._timer = qt.QTimer()
        self._timer.setInterval(EVERY_MS)
        self._timer.connect("timeout()", self._look)

    @property
    def node(self) -> Any:
        """The vtkMRMLModelNode; None while nothing is shown."""
        return self._node if self._node is not None and self._node.GetScene() is not None else None

    def setShown(self, shown: bool) -> None:
        """Show the proposal in 3D from now on, or no more."""
        if not shown:
            self._timer.stop()
            self._seen = self._drawn = None
            self._clear()
            return
        if not slicer.app.layoutManager().threeDViewCount:
            sentence = tr("This layout has no 3D view. Choose one in Slicer's layouts, Four-Up for instance.")
            self._workspace.say(sentence, "warning")
        self._timer.start()
        self._draw()

    def _look(self) -> None:
        stamp = self._stamp()
        isQuiet = stamp == self._seen and not self._workspace.session.isBusy
        self._seen = stamp
        if isQuiet and stamp != self._drawn:
            self._draw()

    def _stamp(self) -> object:
        proposal, volume = self._workspace.case.proposal, self._workspace.case.volume
        if proposal is None or volume is None or proposal.segment is None:
            return None
        return (volume.GetID(), volume.GetTransformNodeID(), *proposal.stamp())

    def _draw(self) -> None:
        self._drawn = self._stamp()
        proposal = self._workspace.case.proposal
        crop = None if self._drawn is None else proposal.crop()
        if crop is None or not crop[0].any():
            self._clear()
            return
        volume, matrix = self._workspace.case.volume, vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        isNew = self.node is None
        if isNew:
            self._node = self._newNode()
        self._node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        self._node.SetAndObservePolyData(surfaceOf(*crop, matrix))
        if isNew:
            self._lookAtIt()

    def _newNode(self) -> Any:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", tr("Proposal in 3D"))
        node.SetSaveWithScene(False)
        node.SetAttribute(OWNED, "1")
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetColor(*COLOUR)
        display.SetVisibility2D(False)
        return node

    def _lookAtIt(self) -> None:
        manager = slicer.app.layoutManager()
        for number in range(manager.threeDViewCount):
            manager.threeDWidget(number).threeDView().resetFocalPoint()

    def _clear(self) -> None:
        node, self._node = self.node, None
        if node is not None:
            node.GetScene().RemoveNode(node)

    def close(self) -> None:
        """The module goes away."""
        self.setShown(False)
