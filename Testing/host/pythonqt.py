"""PySide6 made to look like PythonQt, the binding inside Slicer, and to refuse what PythonQt refuses.

PythonQt reads and writes Qt properties as attributes (``label.text = "x"``), connects signals by C++
signature, raises on names that a class does not have, and crashes on subclasses of QThread. PySide6 has
the same meta-objects underneath, so each QObject class is given one Python property per Qt property, once.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import Any

import shiboken6
from PySide6 import QtCore

QObject = QtCore.QObject
_adopted: set[type] = set()
_reading: set[tuple[int, str]] = set()


class QtProperty:
    """A Qt property on instances; on the class, the C++ method of the same name (QTimer.singleShot)."""

    def __init__(self, name: str, method: Any, getter: Any, setter: Any) -> None:
        self.name, self.method, self.getter, self.setter = name, method, getter, setter

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self if self.method is None else self.method.__get__(None, owner)
        if self.getter is None:
            return QObject.property(instance, self.name)
        # A virtual getter (sizeHint) makes Shiboken look for a Python override under the same name while the
        # C++ side runs; that inner look-up must find the plain method or it would come back here for ever.
        key = (id(instance), self.name)
        if key in _reading:
            return self.getter.__get__(instance)
        _reading.add(key)
        try:
            return self.getter(instance)
        finally:
            _reading.discard(key)

    def __set__(self, instance: Any, value: Any) -> None:
        if self.setter is not None:
            self.setter(instance, value)
        elif not QObject.setProperty(instance, self.name, value):
            raise AttributeError(f"{type(instance).__name__}.{self.name} cannot be written")


def _property_for(owner: type, name: str) -> QtProperty:
    method = next((base.__dict__[name] for base in owner.__mro__ if name in base.__dict__), None)
    is_plain = type(method).__name__ == "method_descriptor"
    getter = method if is_plain else None
    kept = method if is_plain or isinstance(method, staticmethod) else None
    return QtProperty(name, kept, getter, getattr(owner, f"set{name[0].upper()}{name[1:]}", None))


def adopt(owner: type) -> type:
    """Give a QObject class PythonQt's properties; its bases first."""
    if owner in _adopted or not hasattr(owner, "staticMetaObject"):
        return owner
    for base in owner.__bases__:
        if isinstance(base, type) and issubclass(base, QObject):
            adopt(base)
    _adopted.add(owner)
    meta = owner.staticMetaObject
    for index in range(meta.propertyCount()):
        name = meta.property(index).name()
        name = name.decode() if isinstance(name, bytes) else name
        own = owner.__dict__.get(name)
        inherited = index < meta.propertyOffset() and type(own).__name__ != "method_descriptor"
        if not inherited and not isinstance(own, QtCore.Property | property | QtProperty):
            setattr(owner, name, _property_for(owner, name))
    return owner


def adopt_modules(modules: list[types.ModuleType]) -> None:
    """`adopt` every class of these modules (PySide6 makes its classes when they are first asked for)."""
    for module in modules:
        for name in dir(module):
            candidate = getattr(module, name)
            if isinstance(candidate, type) and issubclass(candidate, QObject):
                adopt(candidate)


def stray_attributes(root: Any) -> list[str]:
    """Attributes that PySide6 let somebody invent on a Qt object; PythonQt would have raised."""
    found = []
    for item in [root, *root.findChildren(QObject)]:
        if type(item).__module__.startswith("PySide6."):
            names = [n for n, v in vars(item).items() if not isinstance(v, QtCore.SignalInstance)]
            found += [f"{type(item).__name__} {item.objectName!r}: {name}" for name in names]
    return found


# -- connect and disconnect by signature -------------------------------------------------------------------

_connect, _disconnect = QObject.connect, QObject.disconnect


def _normal(signature: str) -> str:
    return re.sub(r"vtk\w+\s*\*", "PyObject", signature)  # stand-ins declare nodes as Python objects


def _is_signature(args: tuple[Any, ...]) -> bool:
    return bool(args) and isinstance(args[0], str) and not args[0][:1].isdigit()


def connect(self: Any, *args: Any) -> Any:
    """``object.connect('clicked(bool)', callable)``; raises ValueError on a signal that is not there."""
    if not _is_signature(args):
        return _connect(*args) if args and isinstance(args[0], QObject) else _connect(self, *args)
    signature = _normal(args[0])
    meta = self.metaObject()
    if meta.indexOfSignal(QtCore.QMetaObject.normalizedSignature(signature).data().decode()) < 0:
        raise ValueError(f"{meta.className()} has no signal {args[0]}")
    target = args[1:] if len(args) == 2 else (args[1], QtCore.SLOT(args[2]))
    return _connect(self, QtCore.SIGNAL(signature), *target)


def disconnect(self: Any, *args: Any) -> Any:
    """The counterpart of `connect`."""
    if not _is_signature(args):
        return _disconnect(*args) if args and isinstance(args[0], QObject) else _disconnect(self, *args)
    return _disconnect(self, QtCore.SIGNAL(_normal(args[0])), *args[1:])


_look_up = QObject.__getattribute__


def _getattribute(self: Any, name: str) -> Any:
    # Shiboken answers these two from its own table, before the class's attributes.
    if name == "connect":
        return types.MethodType(connect, self)
    if name == "disconnect":
        return types.MethodType(disconnect, self)
    return _look_up(self, name)


def install() -> None:
    """Change QObject itself; to be called once, when `qt` is imported."""
    QObject.connect, QObject.disconnect = connect, disconnect
    QObject.__getattribute__ = _getattribute
    QObject.name = property(lambda self: self.objectName, lambda self, value: self.setObjectName(value))
    QObject.className = lambda self: self.metaObject().className()
    QObject.delete = lambda self: shiboken6.delete(self)  # noqa: PLW0108  (methods need a plain function)


def without_python_subclasses(base: type) -> type:
    """The class as PythonQt offers it: usable, but a Python ``run()`` would execute without the GIL."""

    def refuse(cls: type, **_kw: object) -> None:
        raise TypeError(f"a Python subclass of {base.__name__} crashes Slicer: use QProcess, or QTimer")

    return type(base.__name__, (base,), {"__init_subclass__": classmethod(refuse), "__module__": "qt"})


def returning_first(function: Callable[..., tuple[Any, Any]]) -> staticmethod[..., Any]:
    """PythonQt's file dialogs return the name alone, PySide6's the name and the filter."""
    return staticmethod(lambda *args, **kw: function(*args, **kw)[0])
