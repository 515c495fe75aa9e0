"""A hand on the mouse in a real slice view: Qt events at the widget, where the window system's arrive."""

from __future__ import annotations

import re
from typing import Any

import slicer
import vtk

import qt
from slice_mouse import SliceMouse

VIEW_NAMES = ("Red", "Yellow", "Green")
EVENT = re.compile(r"(?P<button>Left|Right|Middle)Button(?P<kind>Press|Release|DoubleClick)Event")
KINDS = {"Press": "MouseButtonPress", "Release": "MouseButtonRelease", "DoubleClick": "MouseButtonDblClick"}


class RealSliceView(SliceMouse):
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
