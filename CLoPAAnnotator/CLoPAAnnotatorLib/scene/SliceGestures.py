"""The mouse in slice views: a click or a drag with a tool becomes a gesture; everything else stays Slicer's.

Left button: positive or negative as the panel says; with Shift, or the right button, the other way round.
With the point tool a drag is left to Slicer (pan, zoom, window/level): the press is held back until the mouse
has moved, then handed on. Wheel, keys and the middle button are never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk

import qt
from CLoPAAnnotatorLib.scene.PromptMarkers import NEGATIVE, POSITIVE
from CLoPAAnnotatorLib.scene.PromptShapes import SlicePlane, Tool
from CLoPAAnnotatorLib.scene.VolumeGrid import toNumpy

PRIORITY = 10.0
CLICK_PIXELS = 4.0
_BUTTONS = ("Left", "Right")
OnGesture = Callable[[Tool, bool, npt.NDArray[np.float64], SlicePlane], object]


@dataclass
class _Press:
    button: str
    positive: bool
    path: list[tuple[int, int]] = field(default_factory=list)


class SliceGestures:
    """Listens to every slice view while a tool is chosen."""

    def __init__(self, onGesture: OnGesture, isPositive: Callable[[], bool]) -> None:
        self._onGesture, self._isPositive = onGesture, isPositive
        self.tool: Tool | None = None
        self._listeners: list[_ViewListener] = []

    def start(self) -> None:
        """Listen; call `stop` before the module is left."""
        self.stop()
        manager = slicer.app.layoutManager()
        if manager is not None:
            manager.connect("layoutChanged(int)", self._layoutChanged)
            self._listen(manager)

    def _listen(self, manager: Any) -> None:
        for name in manager.sliceViewNames():
            self._listeners.append(_ViewListener(manager.sliceWidget(name), self))

    def _layoutChanged(self, _layout: int) -> None:
        qt.QTimer.singleShot(0, self._listenAnew)  # the new layout's views are there by then

    def _listenAnew(self) -> None:
        if self._listeners:
            self._forget()
            self._listen(slicer.app.layoutManager())

    def _forget(self) -> None:
        for listener in self._listeners:
            listener.remove()
        self._listeners = []

    def stop(self) -> None:
        """Give the mouse back to Slicer."""
        if self._listeners:
            slicer.app.layoutManager().disconnect("layoutChanged(int)", self._layoutChanged)
        self._forget()

    @property
    def isListening(self) -> bool:
        """Whether the views are listened to."""
        return bool(self._listeners)

    def setTool(self, tool: Tool | None) -> None:
        """Choose a tool; None leaves the mouse to Slicer."""
        self.tool = tool
        for listener in self._listeners:
            listener.abandon()

    def finished(self, press: _Press, plane: SlicePlane) -> None:
        """A gesture was completed in one of the views."""
        if self.tool is not None:
            self._onGesture(self.tool, press.positive, np.array(press.path, float), plane)

    def signOf(self, button: str, shift: bool) -> bool:
        """What a press with this button means."""
        return self._isPositive() ^ (button == "Right") ^ shift


class _ViewListener:
    def __init__(self, sliceWidget: Any, gestures: SliceGestures) -> None:
        self._view, self._node = sliceWidget.sliceView(), sliceWidget.mrmlSliceNode()
        self._gestures = gestures
        self._interactor = self._view.interactor()
        self._press: _Press | None = None
        self._handingOn = ""
        self._trace: _Trace | None = None
        self._tags: dict[str, int] = {}
        # The second of two quick clicks comes as a double click, by which Slicer would maximise the view.
        actions = ("Press", "DoubleClick", "Release")
        for event in ("MouseMoveEvent", *(f"{b}Button{a}Event" for b in _BUTTONS for a in actions)):
            self._tags[event] = self._interactor.AddObserver(event, self._onEvent, PRIORITY)

    def remove(self) -> None:
        self.abandon()
        for tag in self._tags.values():
            self._interactor.RemoveObserver(tag)

    def abandon(self) -> None:
        self._press = None
        self._erase()

    def _onEvent(self, _caller: Any, event: str) -> None:
        if self._gestures.tool is None or self._handingOn == "now":
            return
        button = event.split("Button", maxsplit=1)[0] if "Button" in event else ""
        if self._handingOn and event == f"{self._handingOn}ButtonReleaseEvent":
            self._handingOn = ""  # the drag that Slicer was given ends
        elif self._handingOn:
            return
        elif event.endswith(("PressEvent", "DoubleClickEvent")):
            self._pressed(button, event)
        elif self._press is not None and event == "MouseMoveEvent":
            self._moved(event)
        elif self._press is not None and button == self._press.button:
            self._released(event)
        elif self._press is not None:
            self._abort(event)  # another button's release, whose press was kept back too

    def _abort(self, event: str) -> None:
        self._interactor.GetCommand(self._tags[event]).SetAbortFlag(1)

    def _pressed(self, button: str, event: str) -> None:
        if self._interactor.GetControlKey():
            return  # Ctrl-drag is Slicer's
        if self._press is not None:
            self._abort(event)  # of two buttons at once, or a press told twice, the first counts
            return
        sign = self._gestures.signOf(button, bool(self._interactor.GetShiftKey()))
        self._press = _Press(button, sign, [self._interactor.GetEventPosition()])
        self._abort(event)

    def _moved(self, event: str) -> None:
        press = self._press
        position = self._interactor.GetEventPosition()
        start = press.path[0]
        far = max(abs(position[0] - start[0]), abs(position[1] - start[1])) > CLICK_PIXELS
        if self._gestures.tool == "point":
            if far:
                self._handOn(press)
            return
        if position != press.path[-1]:
            press.path.append(position)
            self._draw(press)
        self._abort(event)

    def _handOn(self, press: _Press) -> None:
        """It is a drag after all: let Slicer see the press where it happened, and all that follows."""
        self._press = None
        x, y = self._interactor.GetEventPosition()
        self._handingOn = "now"
        self._interactor.SetEventPosition(*press.path[0])
        self._interactor.InvokeEvent(f"{press.button}ButtonPressEvent")
        self._interactor.SetEventPosition(x, y)
        self._handingOn = press.button

    def _released(self, event: str) -> None:
        press, self._press = self._press, None
        self._erase()
        self._abort(event)
        if self._gestures.tool == "point":
            press.path = press.path[:1]
        else:
            press.path.append(self._interactor.GetEventPosition())
        self._gestures.finished(press, SlicePlane(toNumpy(self._node.GetXYToRAS())))

    def _draw(self, press: _Press) -> None:
        if self._trace is None:
            self._trace = _Trace(self._view, POSITIVE if press.positive else NEGATIVE)
        path = press.path
        if self._gestures.tool == "box":
            (x0, y0), (x1, y1) = path[0], path[-1]
            path = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
        elif self._gestures.tool == "lasso":
            path = [*path, path[0]]
        self._trace.set(path)

    def _erase(self) -> None:
        if self._trace is not None:
            self._trace.remove()
            self._trace = None


class _Trace:
    """The line that follows the mouse while drawing."""

    def __init__(self, view: Any, colour: tuple[float, float, float]) -> None:
        self._view = view
        self._data = vtk.vtkPolyData()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(self._data)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetColor(*colour)
        self._actor.GetProperty().SetLineWidth(2)
        self._renderer = view.renderWindow().GetRenderers().GetItemAsObject(0)
        self._renderer.AddViewProp(self._actor)

    def set(self, path: list[tuple[int, int]]) -> None:
        points, lines = vtk.vtkPoints(), vtk.vtkCellArray()
        lines.InsertNextCell(len(path))
        for x, y in path:
            lines.InsertCellPoint(points.InsertNextPoint(x, y, 0))
        self._data.SetPoints(points)
        self._data.SetLines(lines)
        self._data.Modified()
        self._view.scheduleRender()

    def remove(self) -> None:
        self._renderer.RemoveViewProp(self._actor)
        self._view.scheduleRender()
