"""A hand on the mouse in a slice view, whatever the view is: offscreen, or a real Slicer's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import vtk


class SliceMouse:
    """What is the same in every slice view that can send itself an `event`; pixels are VTK's."""

    logic: Any
    node: Any

    def event(self, name: str, x: float, y: float, *, control: bool = False, shift: bool = False) -> None:
        """Do what VTK calls ``name`` at a pixel."""
        raise NotImplementedError

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
