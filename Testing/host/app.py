"""``slicer.app`` of the host: settings, layout manager, reading and writing of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from PySide6.QtCore import Signal

import qt
from slice_views import SliceView

SEGMENTATION = (".seg.nrrd", ".seg.vtm")
SCENE = (".mrb", ".mrml")


class IOManager:
    """qSlicerCoreIOManager, as far as ``slicer.util`` needs it for volumes, segmentations and scenes."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene

    def fileType(self, path: str) -> str:
        name = str(path)
        if name.endswith(SCENE):
            return "SceneFile"
        return "SegmentationFile" if name.endswith(SEGMENTATION) else "VolumeFile"

    def loadNodes(self, kind: str, properties: dict[str, Any], nodes: Any, _messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return self._load_scene(path, properties.get("clear", True))
        name = properties.get("name") or Path(path).name.split(".")[0]
        if kind == "VolumeFile":
            node = slicer.modules.volumes.logic().AddArchetypeVolume(
                path, name, 8 * bool(properties.get("singleFile"))
            )
        else:
            node = self._load_segmentation(path, name)
        if node is None:
            return False
        nodes.AddItem(node)
        return True

    def _load_scene(self, path: str, clear: bool) -> bool:
        if clear:
            self._scene.Clear(False)
        if path.endswith(".mrb"):
            return bool(self._scene.ReadFromMRB(path))
        self._scene.SetURL(path)
        return bool(self._scene.Import())

    def _load_segmentation(self, path: str, name: str) -> Any:
        node = self._scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        storage = self._scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
        storage.SetFileName(path)
        if not storage.ReadData(node):
            self._scene.RemoveNode(node)
            self._scene.RemoveNode(storage)
            return None
        node.SetAndObserveStorageNodeID(storage.GetID())
        node.CreateDefaultDisplayNodes()
        return node

    def fileWriterFileType(self, node: Any) -> str:
        return str(node.GetClassName())

    def saveNodes(self, kind: str, properties: dict[str, Any], _messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return bool(self._scene.WriteToMRB(path) if path.endswith(".mrb") else self._scene.Commit(path))
        node = self._scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode(path)
        node.GetStorageNode().SetFileName(path)
        return bool(node.GetStorageNode().WriteData(node))


class HiddenView:
    """qMRMLThreeDWidget of an earlier layout: Slicer goes on counting it, and its node is in no layout."""

    def __init__(self) -> None:
        self._node = slicer.vtkMRMLViewNode()

    def mrmlViewNode(self) -> Any:
        return self._node


class LayoutManager(qt.QObject):
    """qSlicerLayoutManager: three slice views, whatever layout is asked for; a 3D view that is not shown."""

    layoutChanged = Signal(int)
    threeDViewCount = 1
    tableViewCount = plotViewCount = 0

    def __init__(self, application_logic: Any, views: dict[str, SliceView]) -> None:
        super().__init__()
        self._logic, self._views, self.requested = application_logic, views, 0
        self._hidden = HiddenView()

    def threeDWidget(self, _number: int) -> HiddenView:
        return self._hidden

    def sliceViewNames(self) -> list[str]:
        return list(self._views)

    def sliceWidget(self, name: str) -> SliceView | None:
        return self._views.get(name)

    def resetSliceViews(self) -> None:
        for view in self._views.values():
            view.fit()

    def setLayout(self, layout: int) -> None:
        self.requested = layout
        self.layoutChanged.emit(layout)

    def mrmlSliceLogics(self) -> Any:
        return self._logic.GetSliceLogics()


class ModuleManager(qt.QObject):
    """qSlicerModuleManager's one signal that scripted modules use."""

    moduleAboutToBeUnloaded = Signal(str)


class Application(qt.QObject):
    """qSlicerApplication."""

    startupCompleted = Signal()
    aboutToQuit = Signal()

    def __init__(self, host: Any, application: Any) -> None:
        super().__init__()
        self._host, self._application = host, application
        self.applicationName, self.applicationVersion = "Slicer", "5.13.0"
        self.majorVersion, self.minorVersion, self.revision = 5, 13, "31053"
        self.temporaryPath, self.slicerHome = host.temporaryPath, str(Path(host.temporaryPath).parent)
        self._settings = qt.QSettings(str(Path(host.temporaryPath) / "settings.ini"), qt.QSettings.IniFormat)
        self._io = IOManager(host.scene)
        self._layout = LayoutManager(host.applicationLogic, host.views)
        self._modules = ModuleManager()
        self._startup = qt.QProcessEnvironment.systemEnvironment()

    def processEvents(self, *args: Any) -> None:
        self._application.processEvents(*args)

    def applicationLogic(self) -> Any:
        return self._host.applicationLogic

    def mrmlScene(self) -> Any:
        return self._host.scene

    def layoutManager(self) -> LayoutManager:
        return self._layout

    def coreIOManager(self) -> IOManager:
        return self._io

    def ioManager(self) -> IOManager:
        return self._io

    def moduleManager(self) -> ModuleManager:
        return self._modules

    def settings(self) -> Any:
        return self._settings

    def userSettings(self) -> Any:
        return self._settings

    def mainWindow(self) -> Any:
        return self._host.mainWindow

    def testingEnabled(self) -> bool:
        return True

    def translate(self, _context: str, text: str) -> str:
        return text

    def pauseRender(self) -> None:
        self.applicationLogic().PauseRender()

    def resumeRender(self) -> None:
        self.applicationLogic().ResumeRender()

    def setRenderPaused(self, paused: bool) -> None:
        (self.pauseRender if paused else self.resumeRender)()

    def startupEnvironment(self) -> Any:
        return qt.QProcessEnvironment(self._startup)  # what was set later is not in it

    def topLevelWidgets(self) -> Any:
        return self._application.topLevelWidgets()
