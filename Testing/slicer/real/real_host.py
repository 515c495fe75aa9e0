"""The application as the tests see it, when it is a real one: the interface of ``Testing/host/host.py``."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from real_views import VIEW_NAMES, RealSliceView

import qt

FOUR_UP = 3
ELSEWHERE = "Data"  # a module that takes no part in the tests, to leave ours
KEYS = {"Esc": "Escape", "Del": "Delete"}
NOT_OURS = (
    "vtkOpenGLState.cxx",  # a software renderer's complaint when a view is made as small as nothing
    "and vtkSlicerMarkupsLogic with priority 0 already exists",  # Slicer's own
)
BAD = ("Warning", "Error", "Critical", "Fatal")


class _LogErrors(logging.Handler):
    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        self._errors.append(f"logged: {self.format(record)}")


class Host:
    """A running Slicer. Attributes: ``views`` by name, ``errors`` (everything that must not happen)."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.vtkErrors: list[str] = []
        self.scene = slicer.mrmlScene
        self.temporaryPath = slicer.app.temporaryPath
        self.mainWindow = slicer.util.mainWindow()
        self.mainWindow.resize(1580, 960)
        slicer.app.layoutManager().setLayout(FOUR_UP)
        self.spin(0.5)
        self.views = {name: RealSliceView(name) for name in VIEW_NAMES}
        self._used: set[str] = set()
        self._log = slicer.app.errorLogModel()
        self._logged = self._log.rowCount()
        logging.getLogger().addHandler(_LogErrors(self.errors))
        self.watch()

    def watch(self) -> None:
        """Keep what nobody catches: PythonQt and VTK print exceptions through these hooks."""
        sys.excepthook = self._keep
        sys.unraisablehook = lambda hook: self._keep(hook.exc_type, hook.exc_value, hook.exc_traceback)

    def _keep(self, kind: Any, error: Any, trace: Any) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        self.errors.append(text)
        sys.stderr.write(text)

    def restore(self) -> None:
        """The layout that tests expect; one of them may have left another."""
        manager = slicer.app.layoutManager()
        if manager.layout != FOUR_UP:
            manager.setLayout(FOUR_UP)
            self.spin(0.2)

    def complaints(self) -> list[str]:
        """What Qt, VTK and Slicer's C++ code logged as a warning or worse since the last call."""
        self.spin(0.01)
        count = self._log.rowCount()
        first, self._logged = min(self._logged, count), count
        found = []
        for row in range(first, count):
            level, origin = (str(self._log.data(self._log.index(row, column))) for column in (2, 3))
            text = f"{origin} {level}: {self._log.logEntryDescription(row)}"
            if level in BAD and origin != "FD" and not any(known in text for known in NOT_OURS):
                found.append(text)
        return found

    def forgetSettings(self) -> None:
        """Remove the module's own settings; the rest of the user's is not touched."""
        settings = slicer.app.userSettings()
        settings.beginGroup("CLoPAAnnotator")
        settings.remove("")
        settings.endGroup()

    def loadModule(self, path: Path) -> Any:
        """The module, which Slicer has loaded itself."""
        module = sys.modules.get(path.stem)
        found = getattr(slicer.modules, path.stem.lower(), None)
        if module is None or found is None or not Path(found.path).samefile(path):
            raise RuntimeError(
                f"Slicer has not loaded {path}: start it with --additional-module-paths {path.parent}"
            )
        return module

    def showModule(self, module: Any) -> Any:
        """Make the module's panel anew and show it, as its button in Slicer does."""
        name = module.__name__
        representation = getattr(slicer.modules, name.lower()).widgetRepresentation()
        if name in self._used:
            representation.reload()
        self._used.add(name)
        slicer.util.selectModule(name)
        self.mainWindow.activateWindow()
        self.spin(0.05)
        return getattr(slicer.modules, name + "Widget")

    def closeModule(self, panel: Any) -> None:
        """Leave the module and take its panel apart, as Slicer's own reloading does."""
        slicer.util.selectModule(ELSEWHERE)
        panel.cleanup()
        manager = slicer.app.moduleManager()
        manager.disconnect("moduleAboutToBeUnloaded(QString)", panel._onModuleAboutToBeUnloaded)
        layout = panel.parent.layout()
        for child in panel.parent.children():
            if hasattr(child, "hide"):
                child.hide()
                child.deleteLater()
        for item in [layout.itemAt(number) for number in range(layout.count())]:
            layout.removeItem(item)
        self.spin(0.02)

    def spin(self, seconds: float = 0.05, until: Callable[[], object] | None = None) -> bool:
        """Run Qt's loop for a while, or until a condition holds; False if it never did."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            slicer.app.processEvents()
            if until is not None and until():
                return True
            time.sleep(0.001)
        return until is None

    def press(self, keys: str) -> None:
        """Type a key sequence such as "Ctrl+Z" where the keyboard's focus is."""
        *modifiers, key = keys.split("+")
        held = qt.Qt.NoModifier
        for modifier in modifiers:
            held = held | getattr(qt.Qt, {"Ctrl": "ControlModifier"}.get(modifier, f"{modifier}Modifier"))
        code = getattr(qt.Qt, f"Key_{KEYS.get(key, key)}")
        text = key.lower() if len(key) == 1 and "Ctrl" not in modifiers else ""
        target = slicer.app.focusWidget() or self.mainWindow
        for kind in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
            qt.QApplication.sendEvent(target, qt.QKeyEvent(kind, code, held, text))

    def grab(self, path: str) -> None:
        """A picture of the main window, with its views."""
        self.spin(0.3)
        self.mainWindow.grab().save(path)

    def grabPanel(self, panel: Any, path: str) -> None:
        """A picture of the module's panel."""
        self.spin(0.3)
        panel.grab().save(path)

    def close(self) -> None:
        """Nothing: Slicer goes on."""
