"""The half of the host that needs no Qt: one MRML scene, Slicer's logics, what ``slicer.util`` expects."""

from __future__ import annotations

import colorsys
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import slicer
import vtk

LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
}
IN_HIERARCHY = ("vtkMRMLDisplayableNode", "vtkMRMLTableNode", "vtkMRMLTextNode", "vtkMRMLTransformNode",
                "vtkMRMLPlotChartNode")  # fmt: skip


class ModuleStandIn:
    """What ``slicer.modules.<name>`` is: a title and a logic."""

    def __init__(self, name: str, logic: Any = None, path: str = "") -> None:
        self.name, self.title, self.path, self._logic = name, name, path, logic
        self.representation: Any = None

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> Any:
        return self.representation


def _share_folder(root: Path, colours: int = 64) -> str:
    """Write the colour tables that the logics insist on; Slicer's share folder is not in the wheel."""
    folder = root / "share" / "ColorFiles"
    folder.mkdir(parents=True)
    lines = ["# Color table file", "0 Background 0 0 0 0"]
    for index in range(1, colours):
        rgb = colorsys.hsv_to_rgb((index * 0.618034) % 1, 0.7, 0.95)
        lines.append(f"{index} region_{index} {' '.join(str(int(c * 255)) for c in rgb)} 255")
    for name in ("GenericColors.txt", "GenericAnatomyColors.txt"):
        (folder / name).write_text("\n".join(lines) + "\n")
    return "share"


class CoreHost:
    """Scene, application logic and module logics, reachable through ``slicer`` as in the application."""

    def __init__(self) -> None:
        root = Path(tempfile.mkdtemp(prefix="slicer-host-"))
        self.temporaryPath = str(root / "tmp")
        Path(self.temporaryPath).mkdir()
        self.vtkErrors: list[str] = []
        self._watch_vtk()
        self.scene = slicer.vtkMRMLScene()
        slicer.mrmlScene = self.scene
        self.applicationLogic = self._make_application_logic(root)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        for name in ("modules", "moduleNames"):
            module = types.ModuleType(f"slicer.{name}")
            setattr(slicer, name, module)
            sys.modules[f"slicer.{name}"] = module
        for name, logic in LOGICS.items():
            self._register(name, getattr(slicer, logic)())
        self.scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._to_hierarchy)
        self.scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._from_hierarchy)

    def _watch_vtk(self) -> None:
        window = vtk.vtkOutputWindow()
        window.SetDisplayModeToAlwaysStdErr()
        vtk.vtkOutputWindow.SetInstance(window)

        @vtk.calldata_type(vtk.VTK_STRING)
        def keep(_caller: Any, _event: str, text: str) -> None:
            self.vtkErrors.append(text)

        window.AddObserver("ErrorEvent", keep)

    def _make_application_logic(self, root: Path) -> Any:
        logic = slicer.vtkSlicerApplicationLogic()
        logic.SetHomeDirectory(str(root))
        logic.SetShareDirectory(_share_folder(root))
        logic.SetTemporaryPath(self.temporaryPath)
        cache, manager = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
        cache.SetRemoteCacheDirectory(self.temporaryPath)
        cache.SetMRMLScene(self.scene)
        manager.SetCacheManager(cache)
        self.scene.SetCacheManager(cache)  # reading a scene bundle unpacks into the cache
        self.scene.SetDataIOManager(manager)
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        logic.SetMRMLScene(self.scene)
        logic.SetSliceLogics(vtk.vtkCollection())
        logic.SetViewLogics(vtk.vtkCollection())
        return logic

    def _register(self, name: str, logic: Any) -> None:
        logic.SetMRMLApplicationLogic(self.applicationLogic)  # first: the colour logic reads the share folder
        self.applicationLogic.SetModuleLogic(name, logic)
        logic.SetMRMLScene(self.scene)
        setattr(slicer.modules, name.lower(), ModuleStandIn(name, logic))
        setattr(slicer.moduleNames, name, name)

    # In Slicer a Qt plugin keeps the subject hierarchy; for ordinary nodes it does no more than this.

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _to_hierarchy(self, scene: Any, _event: str, node: Any) -> None:
        if scene.IsImporting() or node.GetHideFromEditors() or node.IsA("vtkMRMLCameraNode"):
            return
        hierarchy = scene.GetSubjectHierarchyNode()
        if hierarchy and any(map(node.IsA, IN_HIERARCHY)) and not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _from_hierarchy(self, scene: Any, _event: str, node: Any) -> None:
        if scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):
            return
        hierarchy = scene.GetSubjectHierarchyNode()
        item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
        if item:
            hierarchy.RemoveItem(item, False, False)
