"""Stand-ins for the qMRML widgets that the module uses, with Slicer's documented interface."""

from __future__ import annotations

from typing import Any

import slicer
from PySide6.QtCore import Property, Signal

import qt


class qMRMLWidget(qt.QWidget):
    """A widget that passes its scene on."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene = None

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self) -> Any:
        return self._scene


class _NodeComboBox(qt.QWidget):
    """A choice among the scene's nodes of certain classes."""

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._box = qt.QComboBox(self)
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self._types: list[str] = []
        self._scene: Any = None
        self._tags: list[int] = []
        self._flags = dict.fromkeys(("addEnabled", "removeEnabled", "showChildNodeTypes"), True)
        self._flags |= dict.fromkeys(("noneEnabled", "renameEnabled"), False)
        self._none, self._last = "None", ""
        self._box.currentIndexChanged.connect(lambda _index: self._tell())

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is not None:
            kinds = slicer.vtkMRMLScene
            events = (kinds.NodeAddedEvent, kinds.NodeRemovedEvent, kinds.EndCloseEvent, kinds.EndImportEvent)
            self._tags = [scene.AddObserver(event, self._scene_changed) for event in events]
            tags = self._tags
            self.destroyed.connect(lambda: [scene.RemoveObserver(tag) for tag in tags])
        self._fill()

    def mrmlScene(self) -> Any:
        return self._scene

    def _scene_changed(self, *_args: object) -> None:
        if not self._scene.IsBatchProcessing():
            self._fill()

    def _accepts(self, node: Any) -> bool:
        if node.GetHideFromEditors():
            return False
        if self._flags["showChildNodeTypes"]:
            return any(map(node.IsA, self._types))
        return node.GetClassName() in self._types

    def _fill(self) -> None:
        keep = self._last
        self._box.blockSignals(True)
        self._box.clear()
        if self._flags["noneEnabled"]:
            self._box.addItem(self._none, "")
        count = self._scene.GetNumberOfNodes() if self._scene is not None else 0
        for node in map(self._scene.GetNthNode, range(count)) if count else ():
            if self._accepts(node):
                self._box.addItem(node.GetName(), node.GetID())
        found = self._box.findData(keep)
        self._box.setCurrentIndex(found if found >= 0 else (0 if self._box.count else -1))
        self._box.blockSignals(False)
        self._tell()

    def _tell(self) -> None:
        node_id = self._get_id()
        if node_id != self._last:
            self._last = node_id
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(node_id)

    def _get_id(self) -> str:
        return (self._box.currentData or "") if self._box.currentIndex >= 0 else ""

    def currentNode(self) -> Any:
        node_id = self._get_id()
        return self._scene.GetNodeByID(node_id) if node_id and self._scene is not None else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        self._box.setCurrentIndex(self._box.findData(node_id or ""))

    def nodeCount(self) -> int:
        return self._box.count - int(self._flags["noneEnabled"])

    def _get_types(self) -> list[str]:
        return self._types

    def setNodeTypes(self, types: list[str]) -> None:
        self._types = list(types)
        self._fill()

    def _get_none(self) -> str:
        return self._none

    def setNoneDisplay(self, text: str) -> None:
        self._none = text
        self._fill()

    currentNodeID = Property(str, _get_id, setCurrentNodeID)
    nodeTypes = Property("QStringList", _get_types, setNodeTypes)
    noneDisplay = Property(str, _get_none, setNoneDisplay)


def _flag(name: str) -> Property:
    def read(self: _NodeComboBox) -> bool:
        return self._flags[name]

    def write(self: _NodeComboBox, value: bool) -> None:
        self._flags[name] = value
        self._fill()

    return Property(bool, read, write)


class qMRMLNodeComboBox(_NodeComboBox):
    """The choice, with its flags: Qt properties have to be declared in a class body."""

    noneEnabled = _flag("noneEnabled")
    addEnabled = _flag("addEnabled")
    removeEnabled = _flag("removeEnabled")
    renameEnabled = _flag("renameEnabled")
    showChildNodeTypes = _flag("showChildNodeTypes")


STAND_INS = {"qMRMLWidget": qMRMLWidget, "qMRMLNodeComboBox": qMRMLNodeComboBox}
