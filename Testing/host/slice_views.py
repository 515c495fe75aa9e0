"""Offscreen slice views: Slicer's slice logic, displayable managers and interactor style, and a mouse."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from slice_mouse import SliceMouse

MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
)
ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


class SliceView(SliceMouse):
    """Stands in for qMRMLSliceWidget and qMRMLSliceView: same names, no Qt, an offscreen window."""

    def __init__(self, host: Any, name: str, orientation: str, size: tuple[int, int]) -> None:
        self.name, self.renderRequests = name, 0
        self._make_window()
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(host.applicationLogic)
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.SetRenderer(self._renderer)
        self.managers.Initialize(factory, self._renderer)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(host.applicationLogic)
        host.applicationLogic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(host.scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        self.style = slicer.vtkMRMLSliceViewInteractorStyle()
        self.style.SetSliceLogic(self.logic)
        self.style.SetDisplayableManagers(self.managers)
        self.managers.SetMRMLDisplayableNode(self.node)
        self.style.SetInteractor(self._interactor)
        self.managers.AddObserver(vtk.vtkCommand.UpdateEvent, self._count_render)
        self.logic.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show_image)
        self.resize(*size)

    def _make_window(self) -> None:
        self._renderer = vtk.vtkRenderer()
        self._renderer.GetActiveCamera().ParallelProjectionOn()
        self._window = vtk.vtkRenderWindow()
        self._window.ShowWindowOff()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._window.SetAlphaBitPlanes(1)
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._interactor.Initialize()
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor = vtk.vtkActor2D()
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        self._actor.VisibilityOff()
        self._renderer.AddViewProp(self._actor)

    def _count_render(self, *_args: object) -> None:
        self.renderRequests += 1  # qMRMLSliceView schedules a render here, outside the event

    def _show_image(self, *_args: object) -> None:
        connection = self.logic.GetImageDataConnection()
        self._mapper.SetInputConnection(connection)
        self._actor.SetVisibility(connection is not None)

    # -- names of qMRMLSliceWidget and qMRMLSliceView --------------------------------------------------------

    def sliceLogic(self) -> Any:
        return self.logic

    def mrmlSliceNode(self) -> Any:
        return self.node

    def sliceView(self) -> SliceView:
        return self

    def renderWindow(self) -> Any:
        return self._window

    def interactor(self) -> Any:
        return self._interactor

    def setViewCursor(self, _cursor: Any) -> None:
        """The cursor over the view; there is none offscreen."""

    def unsetViewCursor(self) -> None:
        """See `setViewCursor`."""

    def scheduleRender(self) -> None:
        self.renderRequests += 1

    def forceRender(self) -> None:
        self._interactor.Render()
        self.renderRequests = 0

    # -- a hand on the mouse ---------------------------------------------------------------------------------

    def resize(self, width: int, height: int) -> None:
        self._interactor.UpdateSize(width, height)
        self._window.SetSize(width, height)
        self.logic.ResizeSliceNode(width, height)

    def event(self, name: str, x: float, y: float, *, control: bool = False, shift: bool = False) -> None:
        self._interactor.SetEventInformation(round(x), round(y), int(control), int(shift), "\0", 0, None)
        self._interactor.InvokeEvent(name)

    def sharpScreenshot(self, path: str, pixels: int) -> None:
        """What the view shows, drawn with so many pixels; afterwards it is as it was."""
        size, field = self._window.GetSize(), self.node.GetFieldOfView()
        self.resize(pixels, pixels)
        self.node.SetFieldOfView(*field)
        self.screenshot(path)
        self.resize(*size)
        self.node.SetFieldOfView(*field)

    def look(self, path: str) -> None:
        """What is on the screen: drawn anew only if somebody has asked for it, as in Slicer."""
        if self.renderRequests:
            self.forceRender()
        self._save(path)

    def screenshot(self, path: str) -> None:
        self.forceRender()
        self._save(path)

    def _save(self, path: str) -> None:
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.ShouldRerenderOff()
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(path)
        writer.SetInputConnection(grab.GetOutputPort())
        writer.Write()

    def finalize(self) -> None:
        self._window.Finalize()
