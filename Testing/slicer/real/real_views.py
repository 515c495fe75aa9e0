"""A hand on the mouse in a real slice view: Qt events at the widget, where the window system's arrive."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import slicer
import vtk

import qt

VIEW_NAMES = ("Red", "Yellow", "Green")
EVENT = re.compile(r"(?P<button>Left|Right|Middle)Button(?P<kind>Press|Release|DoubleClick)Event")
KINDS = {"Press": "MouseButtonPress", "Release": "MouseButtonRelease", "DoubleClick": "MouseButtonDblClick"}


class RealSliceView:
    """The interface of ``Testing/host/slice_views.py``'s SliceView, on a qMRMLSliceWidget.

    Pixels are VTK's: from the lower left corner, in the screen's own resolution.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._held = qt.Qt.NoButton

    @property
    def _widget(self) -> Any:
        return slicer.app.layoutManager().sliceWidget(self.name)

    @property
    def node(self) -> Any:
        return self._widget.mrmlSliceNode()

    @property
    def logic(self) -> Any:
        return self._widget.sliceLogic()

    def sliceView(self) -> Any:
        return self._widget.sliceView()

    def renderWindow(self) -> Any:
        return self.sliceView().renderWindow()

    def interactor(self) -> Any:
        return self.sliceView().interactor()

    def forceRender(self) -> None:
        self.sliceView().forceRender()

    def fit(self) -> None:
        self.logic.FitSliceToBackground()

    def jumpTo(self, ras: Sequence[float]) -> None:
        """Show the slice that contains a point, without turning the view."""
        self.node.JumpSliceByOffsetting(*map(float, ras))

    def toXY(self, ras: Sequence[float]) -> tuple[int, int]:
        """The pixel that shows a world point."""
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), inverse)
        x, y, _z, _w = inverse.MultiplyPoint((*ras, 1.0))
        return round(x), round(y)

    def toRAS(self, x: float, y: float) -> tuple[float, ...]:
        """The world point behind a pixel."""
        return tuple(self.node.GetXYToRAS().MultiplyPoint((x, y, 0, 1))[:3])

    def event(self, name: str, x: float, y: float, *, control: bool = False, shift: bool = False) -> None:
        """Send what VTK would call ``name`` as a Qt event."""
        target = self.sliceView().VTKWidget()
        ratio = (
            target.devicePixelRatio if not callable(target.devicePixelRatio) else target.devicePixelRatio()
        )
        place = qt.QPointF(round(x) / ratio, target.height - 1 - round(y) / ratio)
        if name in ("EnterEvent", "LeaveEvent"):
            kind = qt.QEvent.Enter if name == "EnterEvent" else qt.QEvent.Leave
            qt.QApplication.sendEvent(target, qt.QEvent(kind))
            return
        held = qt.Qt.NoModifier
        held = held | qt.Qt.ControlModifier if control else held
        held = held | qt.Qt.ShiftModifier if shift else held
        found = EVENT.fullmatch(name)
        kind, button = qt.QEvent.MouseMove, qt.Qt.NoButton
        if found:
            kind, button = (
                getattr(qt.QEvent, KINDS[found["kind"]]),
                getattr(qt.Qt, f"{found['button']}Button"),
            )
            self._held = qt.Qt.NoButton if found["kind"] == "Release" else button
        everywhere = qt.QPointF(target.mapToGlobal(place.toPoint()))
        qt.QApplication.sendEvent(target, qt.QMouseEvent(kind, place, everywhere, button, self._held, held))

    def click(self, x: float, y: float, button: str = "Left", **modifiers: bool) -> None:
        self.drag([(x, y)], button, **modifiers)

    def doubleClick(self, x: float, y: float, button: str = "Left") -> None:
        """Two quick clicks: Qt tells the second press as a double click."""
        self.click(x, y, button)
        self.event(f"{button}ButtonDoubleClickEvent", x, y)
        self.event(f"{button}ButtonReleaseEvent", x, y)

    def clickRAS(self, ras: Sequence[float], button: str = "Left", **modifiers: bool) -> None:
        self.click(*self.toXY(ras), button, **modifiers)

    def drag(self, path: Sequence[tuple[float, float]], button: str = "Left", **modifiers: bool) -> None:
        """Press at the first pixel, move through the others, release at the last."""
        self.event("EnterEvent", *path[0])
        self.event("MouseMoveEvent", *path[0])
        self.event(f"{button}ButtonPressEvent", *path[0], **modifiers)
        for x, y in path[1:]:
            self.event("MouseMoveEvent", x, y, **modifiers)
        self.event(f"{button}ButtonReleaseEvent", *path[-1], **modifiers)

    def dragRAS(self, path: Sequence[Sequence[float]], button: str = "Left", **modifiers: bool) -> None:
        self.drag([self.toXY(point) for point in path], button, **modifiers)

    def sharpScreenshot(self, path: str, pixels: int) -> None:
        """What the view shows, at least so many pixels high."""
        self.forceRender()
        image = self._widget.grab().toImage()
        image.scaledToHeight(pixels, qt.Qt.SmoothTransformation).save(path)

    def look(self, path: str) -> None:
        """What is on the screen; nothing is drawn for it."""
        self.sliceView().grab().toImage().save(path)

    def screenshot(self, path: str) -> None:
        self.forceRender()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.renderWindow())
        grab.ReadFrontBufferOff()
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(path)
        writer.SetInputConnection(grab.GetOutputPort())
        writer.Write()

    def finalize(self) -> None:
        """Nothing: Slicer goes on."""
