"""A headless Slicer for tests: real MRML, logics, slice views and Qt; loads a real scripted module.

One per process, as there is one application and one scene in Slicer.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")

import qt  # isort: skip
import ctk  # noqa: F401  isort: skip  (registers its stand-ins)
import slicer
import slicer.util

from app import Application
from core_host import CoreHost, ModuleStandIn
from mrml_widgets import STAND_INS
from pythonqt import stray_attributes
from scripted_module import as_module
from slice_views import ORIENTATIONS, SliceView


class _LogErrors(logging.Handler):
    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        self._errors.append(f"logged: {self.format(record)}")


class _ModuleParent:
    """qSlicerScriptedLoadableModule, as far as a module's constructor uses it."""

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.hidden, self.icon = str(path), path.stem, False, None


class _Representation(STAND_INS["qMRMLWidget"]):
    """qSlicerScriptedLoadableModuleWidget: holds a module's panel and can make it anew."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._module_name = name
        qt.QVBoxLayout(self)

    def reload(self) -> None:
        self.make()

    def make(self) -> Any:
        name = self._module_name + "Widget"
        panel = getattr(sys.modules[self._module_name], name)(self)
        setattr(slicer.modules, name, panel)
        panel.setup()
        return panel


SLICERS_KEYS = (
    *("Ctrl+O", "Ctrl+S", "Ctrl+W", "Ctrl+X", "Ctrl+C", "Ctrl+V", "Ctrl+H", "Ctrl+`"),
    *("Ctrl+0", "Ctrl+1", "Ctrl+2", "Ctrl+3", "Ctrl+4", "Ctrl+5", "Ctrl+6"),
)
"""Keys that the menus of Slicer 5.12 have. One that two want goes to the one and then to the other."""


class Host(CoreHost):
    """The application. Attributes: ``views`` by name, ``errors`` (everything that must not happen)."""

    def __init__(self, view_size: tuple[int, int] = (360, 360)) -> None:
        self._application = qt.QApplication.instance() or qt.QApplication(["slicer-host"])
        self._application.setStyle("Fusion")
        super().__init__()
        self.errors: list[str] = []
        self.views: dict[str, SliceView] = {}
        self.mainWindow = qt.QMainWindow()
        self.mainWindow.setObjectName("qSlicerMainWindow")
        for keys in SLICERS_KEYS:
            action = qt.QAction(self.mainWindow)
            action.setShortcut(qt.QKeySequence(keys))
            self.mainWindow.addAction(action)
        slicer.app = Application(self, self._application)
        for name, widget in STAND_INS.items():
            setattr(slicer, name, widget)
            qt.QUiLoader.custom[name] = widget
        for name in ("qSlicerScriptedLoadableModuleWidget", "qSlicerScriptedLoadableModule"):
            setattr(slicer, name, type(name, (), {}))
        self._add_modules()
        for name, orientation in ORIENTATIONS.items():
            self.views[name] = SliceView(self, name, orientation, view_size)
        logging.getLogger().addHandler(_LogErrors(self.errors))
        self.watch()
        self.mainWindow.show()

    def watch(self) -> None:
        """Keep what nobody catches; to be called before each test, as Typer takes the hook over."""
        sys.excepthook = self._keep
        sys.unraisablehook = lambda hook: self._keep(hook.exc_type, hook.exc_value, hook.exc_traceback)

    def _add_modules(self) -> None:
        translation = types.ModuleType("slicer.i18n")
        translation.tr = lambda text: text
        translation.translate = lambda _context, text: text
        packaging = types.ModuleType("slicer.packaging")
        packaging.requested = []
        packaging.pip_ensure = lambda requirements, **_kw: packaging.requested.append(requirements)
        packaging.isPipInstallInProgress = lambda: False
        sys.modules["slicer.packaging"] = packaging  # no attribute of slicer until somebody imports it
        for name, module in {"i18n": translation, "ScriptedLoadableModule": as_module()}.items():
            sys.modules[f"slicer.{name}"] = module
            setattr(slicer, name, module)

    def _keep(self, kind: Any, error: Any, trace: Any) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        self.errors.append(text)
        sys.stderr.write(text)

    def restore(self) -> None:
        """The layout that tests expect: there is but one."""

    def complaints(self) -> list[str]:
        """What Slicer's C++ code complained of; the stand-in does not listen to it."""
        return []

    def close(self) -> None:
        """Give the views' windows back."""
        for view in self.views.values():
            view.finalize()

    def forgetSettings(self) -> None:
        """Remove the module's settings."""
        slicer.app.userSettings().clear()

    def loadModule(self, path: Path) -> types.ModuleType:
        """Import a scripted module as Slicer's module factory does."""
        name = path.stem
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))  # Slicer does this for the module's folder
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        parent = _ModuleParent(path)
        instance = getattr(module, name)(parent)
        stand_in = ModuleStandIn(name, None, str(path))
        stand_in.title = parent.title
        setattr(slicer.modules, name.lower(), stand_in)
        setattr(slicer.modules, name + "Instance", instance)
        setattr(slicer.moduleNames, name, name)
        return module

    def showModule(self, module: types.ModuleType, size: tuple[int, int] = (440, 900)) -> Any:
        """Make the module's panel, show it, enter it."""
        box = _Representation(module.__name__)
        box.setMRMLScene(self.scene)
        getattr(slicer.modules, module.__name__.lower()).representation = box
        panel = box.make()
        self.mainWindow.setCentralWidget(box)
        self.mainWindow.resize(*size)
        panel.enter()
        self.mainWindow.activateWindow()
        self.spin(0.02)
        return panel

    def closeModule(self, panel: Any) -> None:
        """Leave and destroy the panel; attributes that PythonQt would have refused are errors."""
        panel.exit()
        panel.cleanup()
        self.errors += stray_attributes(panel.parent)
        self.mainWindow.takeCentralWidget()
        panel.parent.deleteLater()
        self.spin(0.02)

    def spin(self, seconds: float = 0.05, until: Callable[[], object] | None = None) -> bool:
        """Run Qt's loop for a while, or until a condition holds; False if it never did."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._application.processEvents(qt.QEventLoop.AllEvents, 10)
            if until is not None and until():
                return True
            time.sleep(0.001)
        return until is None

    def press(self, keys: str) -> None:
        """Type a key sequence such as "Ctrl+Z" at the main window."""
        from PySide6.QtTest import QTest

        sequence = qt.QKeySequence(keys)
        QTest.keySequence(self.mainWindow, sequence)
