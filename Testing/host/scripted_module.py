"""The base classes of scripted modules, with the interface of Slicer's ScriptedLoadableModule."""

from __future__ import annotations

import sys
import types
import unittest
from pathlib import Path
from typing import Any

import slicer


class ScriptedLoadableModule:
    """The module as the module finder knows it."""

    def __init__(self, parent: Any) -> None:
        self.parent, self.moduleName = parent, type(self).__name__
        for name, empty in (("title", ""), ("categories", []), ("dependencies", []), ("contributors", []),
                            ("helpText", ""), ("acknowledgementText", "")):  # fmt: skip
            setattr(parent, name, empty)

    def resourcePath(self, name: str) -> str:
        return str(Path(self.parent.path).parent / "Resources" / name)

    def getDefaultModuleDocumentationLink(self, _page: str | None = None) -> str:
        return ""

    def runTest(self, msec: int = 100, **kw: Any) -> None:
        case = getattr(sys.modules[self.__module__], self.moduleName + "Test")()
        case.messageDelay = msec
        case.runTest(**kw)


class ScriptedLoadableModuleWidget:
    """The module's panel."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent, self.layout = parent, parent.layout()
        manager = slicer.app.moduleManager()
        manager.connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, name: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)

    def _onModuleAboutToBeUnloaded(self, name: str) -> None:
        if name == self.moduleName:
            self.cleanup()

    def setup(self) -> None:
        """Overridden by modules."""

    def onReload(self) -> None:
        """What Slicer's button Reload does."""
        slicer.util.reloadScriptedModule(self.moduleName)

    def cleanup(self) -> None:
        """Overridden by modules."""

    def enter(self) -> None:
        """Overridden by modules."""

    def exit(self) -> None:
        """Overridden by modules."""


class ScriptedLoadableModuleLogic:
    """The module's parameter node."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        return node if node is not None else slicer.mrmlScene.AddNode(self.createParameterNode())

    def createParameterNode(self) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The module's own self test."""

    messageDelay = 0

    def delayDisplay(self, _message: str, *_args: Any) -> None:
        """Slicer shows the message for a while."""

    def runTest(self) -> None:
        """Overridden by modules."""


def as_module() -> types.ModuleType:
    """``slicer.ScriptedLoadableModule``."""
    module = types.ModuleType("slicer.ScriptedLoadableModule")
    classes = (ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic,
               ScriptedLoadableModuleTest)  # fmt: skip
    for item in classes:
        setattr(module, item.__name__, item)
    module.__all__ = [item.__name__ for item in classes]
    return module
