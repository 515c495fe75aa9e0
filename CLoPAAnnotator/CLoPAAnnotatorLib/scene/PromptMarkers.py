"""Prompts on the screen: markups that can be hidden; a node for the clicks of each sign, one per drawing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import vtk
from vtk.util import numpy_support

from CLoPAAnnotatorLib.annotation.AnnotationView import GivenPrompt
from CLoPAAnnotatorLib.Texts import tr

POSITIVE = (0.30, 0.80, 0.40)
NEGATIVE = (0.92, 0.35, 0.35)
ATTRIBUTE = "CLoPA.Prompts"
LINE_PERCENT = 0.6
"""Width of a drawn line in percent of the view's diagonal."""
SHOWN_MM = 1.0
"""How far before and behind a slice a drawing is shown in it."""


class PromptMarkers:
    """Keeps the scene's markups equal to the session's prompts."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._points: dict[bool, Any] = {}
        self._drawn: dict[int, Any] = {}
        self._shown: tuple[GivenPrompt, ...] = ()
        self._visible = True

    def show(self, prompts: tuple[GivenPrompt, ...]) -> None:
        """Show exactly these prompts; what is on the screen already is not drawn again."""
        if [id(p) for p in prompts] == [id(p) for p in self._shown]:
            return
        self._shown = prompts
        for positive in (True, False):
            clicks = [
                p.lineRas[0] for p in prompts if len(p.lineRas) == 1 and p.timed.prompt.positive == positive
            ]
            self._showClicks(positive, np.array(clicks).reshape(-1, 3))
        drawings = {id(p): p for p in prompts if len(p.lineRas) > 1}
        for key in [key for key in self._drawn if key not in drawings]:
            self._remove(self._drawn.pop(key))
        for key, given in drawings.items():
            if key not in self._drawn:
                self._drawn[key] = self._newDrawing(given)

    def _showClicks(self, positive: bool, points: npt.NDArray[np.float64]) -> None:
        node = self._points.get(positive)
        if node is None or node.GetScene() is None:
            if not len(points):
                return
            name = tr("Clicks on the target") if positive else tr("Clicks beside the target")
            node = self._points[positive] = self._newNode("vtkMRMLMarkupsFiducialNode", name, positive)
        _setPoints(node, points)

    def _newDrawing(self, given: GivenPrompt) -> Any:
        prompt = given.timed.prompt
        name = f"{prompt.kind.value} {'+' if prompt.positive else '-'}"
        node = self._newNode("vtkMRMLMarkupsCurveNode", name, prompt.positive)
        node.SetCurveTypeToLinear()
        _setPoints(node, given.lineRas)
        display = node.GetDisplayNode()
        display.SetGlyphTypeFromString("Vertex2D")
        display.SetGlyphScale(LINE_PERCENT)  # the line's width too, of which the thickness below is the share
        display.SetLineThickness(1.0)
        # Slicer would go on showing it, in other colours, through a centimetre of slices before and behind.
        display.SetLineColorFadingStart(SHOWN_MM)
        display.SetLineColorFadingEnd(SHOWN_MM * 1.01)
        return node

    def _newNode(self, kind: str, name: str, positive: bool) -> Any:
        node = self._scene.AddNewNodeByClass(kind, name)
        node.SetAttribute(ATTRIBUTE, "+" if positive else "-")
        node.SetSaveWithScene(False)  # the draft keeps the prompts; the engine is asked for them
        node.CreateDefaultDisplayNodes()
        node.SetLocked(True)
        node.SetHideFromEditors(True)
        display = node.GetDisplayNode()
        colour = POSITIVE if positive else NEGATIVE
        display.SetColor(*colour)
        display.SetSelectedColor(*colour)
        display.SetPointLabelsVisibility(False)
        display.SetPropertiesLabelVisibility(False)
        display.SetGlyphScale(2.2)
        display.SetLineThickness(0.25)
        display.SetVisibility(self._visible)
        display.SetHandlesInteractive(False)
        return node

    def setVisible(self, visible: bool) -> None:
        """Hide or show every prompt."""
        self._visible = visible
        for node in (*self._points.values(), *self._drawn.values()):
            if node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(visible)

    def nodes(self) -> list[Any]:
        """The markups nodes in the scene."""
        nodes = (*self._points.values(), *self._drawn.values())
        return [node for node in nodes if node.GetScene() is not None]

    def _remove(self, node: Any) -> None:
        if node.GetScene() is not None:
            self._scene.RemoveNode(node)

    def clear(self) -> None:
        """Take every prompt off the scene."""
        for node in self.nodes():
            self._scene.RemoveNode(node)
        self.forget()

    def forget(self) -> None:
        """The scene was closed: the nodes are gone."""
        self._points, self._drawn, self._shown = {}, {}, ()


def _setPoints(node: Any, points: npt.NDArray[np.float64]) -> None:
    data = vtk.vtkPoints()
    data.SetDataTypeToDouble()
    if len(points):
        data.SetData(numpy_support.numpy_to_vtk(np.ascontiguousarray(points, float), deep=True))
    node.SetControlPointPositionsWorld(data)
