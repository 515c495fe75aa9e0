"""``import qt`` as in Slicer, for tests: PySide6 with PythonQt's manners (see `pythonqt`)."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any, ClassVar

from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

import pythonqt

pythonqt.adopt_modules([QtCore, QtGui, QtWidgets, QtNetwork])
pythonqt.install()
for _module in (QtCore, QtGui, QtWidgets, QtNetwork, QtUiTools):
    for _name in dir(_module):
        if not _name.startswith("_"):
            globals().setdefault(_name, getattr(_module, _name))

QThread = pythonqt.without_python_subclasses(QtCore.QThread)
QRunnable = pythonqt.without_python_subclasses(QtCore.QRunnable)
for _class in (QtWidgets.QDialog, QtWidgets.QMenu, QtWidgets.QMessageBox, QtCore.QEventLoop):
    _class.exec_ = _class.exec  # PythonQt's name for it; PySide6's own of this name is deprecated
for _name in ("getOpenFileName", "getSaveFileName"):
    setattr(QtWidgets.QFileDialog, _name, pythonqt.returning_first(getattr(QtWidgets.QFileDialog, _name)))


class QUiLoader(QtUiTools.QUiLoader):
    """Loads .ui files with the stand-ins for Slicer's widgets; refuses classes that nobody knows."""

    custom: ClassVar[dict[str, type]] = {}

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        for widget in self.custom.values():
            self.registerCustomWidget(widget)

    def load(self, device: Any, parent: Any = None) -> Any:
        root = ElementTree.fromstring(bytes(device.readAll().data()))
        unknown = {w.get("class") for w in root.iter("widget")} - {*self.availableWidgets(), *self.custom}
        if unknown:
            raise RuntimeError(f"the host has no stand-in for {sorted(map(str, unknown))}")
        links = _take_scene_connections(root)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.ReadOnly)
        widget = super().load(buffer, parent)
        for sender, signal, receiver, slot in links:
            source, target = (_find(widget, name) for name in (sender, receiver))
            getattr(source, signal.split("(")[0]).connect(getattr(target, slot.split("(")[0]))
        return widget


def _find(widget: Any, name: str) -> Any:
    return widget if widget.objectName == name else widget.findChild(QtCore.QObject, name)


def _take_scene_connections(root: ElementTree.Element) -> list[tuple[str, str, str, str]]:
    """Cut out the <connection>s that carry MRML objects: PySide6's loader cannot make them."""
    block = root.find("connections")
    taken = []
    for link in list(block) if block is not None else []:
        parts = tuple(link.findtext(key, "") for key in ("sender", "signal", "receiver", "slot"))
        if "vtkMRML" in parts[1] + parts[3]:
            taken.append(parts)
            block.remove(link)
    return taken
