"""The host itself: it must see what goes wrong and refuse what PythonQt refuses."""

from __future__ import annotations

import ast
import logging
import sys

import numpy as np
import pytest
from conftest import MODULE
from surroundings import inside_slicer


def test_an_exception_in_a_slot_is_seen(host):
    import qt

    button = qt.QPushButton()
    button.connect("clicked(bool)", lambda _checked: 1 / 0)
    button.click()
    assert "ZeroDivisionError" in host.errors.pop()


def test_an_exception_is_seen_although_somebody_else_took_the_hook(application, request, monkeypatch):
    """Typer does, whenever a test of the command line ran before in the same process."""
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    host = request.getfixturevalue("host")
    test_an_exception_in_a_slot_is_seen(host)


def test_an_exception_in_an_observer_is_seen(host):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    node.AddObserver("ModifiedEvent", lambda *_args: 1 / 0)
    node.SetText("x")
    assert "ZeroDivisionError" in host.errors.pop()


def test_a_logged_error_is_seen(host):
    logging.getLogger("anything").error("lost")
    assert "lost" in host.errors.pop()
    host.complaints()  # Slicer's own log has it too


@pytest.mark.skipif(inside_slicer(), reason="what PySide6 lets pass; PythonQt has its own ways")
def test_python_threads_by_qt_are_refused(host):
    import qt

    for base in (qt.QThread, qt.QRunnable):
        with pytest.raises(TypeError, match="crashes Slicer"):
            type("Worker", (base,), {})


@pytest.mark.skipif(inside_slicer(), reason="what PySide6 lets pass; PythonQt has its own ways")
def test_unknown_signals_and_attributes_are_refused(host):
    import qt
    from pythonqt import stray_attributes

    button = qt.QPushButton()
    with pytest.raises(ValueError, match="no signal"):
        button.connect("pressedTwice()", print)
    with pytest.raises(AttributeError):
        button.setEnbled(True)
    button.enbled = True
    assert stray_attributes(button) == ["QPushButton '': enbled"]


def test_properties_read_and_write_as_attributes(host):
    import qt

    label = qt.QLabel()
    label.text = "hello"
    assert label.text == "hello"
    label.setText("again")
    assert label.text == "again"


@pytest.mark.parametrize("name", ["Red", "Yellow", "Green"])
def test_a_pixel_and_its_world_point_are_each_other(host, name):
    import slicer

    volume = slicer.util.addVolumeFromArray(np.zeros((20, 30, 40), np.float32))
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    view = host.views[name]
    view.fit()
    view.jumpTo((20, 15, 10))
    assert view.toXY(view.toRAS(200, 150)) == (200, 150)


def test_a_screenshot_is_written(host, tmp_path):
    import slicer

    volume = slicer.util.addVolumeFromArray(np.random.default_rng(0).random((20, 30, 40)).astype(np.float32))
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    view = host.views["Red"]
    before = view.toRAS(100, 120)
    view.sharpScreenshot(str(tmp_path / "red.png"), 700)
    assert (tmp_path / "red.png").stat().st_size > 1000
    assert view.toRAS(100, 120) == pytest.approx(before), "the view is as it was"


def calls_of_qt(path):
    """Every call whose function begins with ``qt.``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        root = node.func if isinstance(node, ast.Call) else None
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id in ("qt", "ctk"):
            yield node


def test_the_module_calls_qt_without_keywords_and_makes_no_subclass_of_its_classes():
    """PythonQt takes no keyword arguments, PySide6 does; Python subclasses of Qt classes are a risk there."""
    files = [MODULE, *sorted((MODULE.parent / "CLoPAAnnotatorLib").rglob("*.py"))]
    calls = [(path.name, call) for path in files for call in calls_of_qt(path)]
    assert len(calls) > 10
    assert [(name, call.lineno) for name, call in calls if call.keywords] == []
    bases = [ast.unparse(base) for path in files for node in ast.walk(ast.parse(path.read_text("utf-8")))
             if isinstance(node, ast.ClassDef) for base in node.bases]  # fmt: skip
    assert not [base for base in bases if base.startswith(("qt.", "ctk."))]


def test_a_package_of_slicer_is_no_attribute_before_it_is_imported(host):
    import slicer

    assert not hasattr(slicer, "packaging")
    from slicer import packaging

    assert packaging.pip_ensure


def test_what_is_shown_in_a_closed_section_appears_when_it_is_opened(host):
    """Recorded in Slicer 5.12: a spinner that was shown while its section was closed was not to be seen."""
    import ctk
    import qt

    section = ctk.ctkCollapsibleButton()
    layout = qt.QVBoxLayout(section)
    shown, hidden = qt.QLabel("a"), qt.QLabel("b")
    for label in (shown, hidden):
        layout.addWidget(label)
    section.show()
    hidden.setVisible(False)
    section.collapsed = True
    shown.setVisible(False)
    shown.setVisible(True)
    assert not shown.visible
    section.collapsed = False
    assert shown.visible and not hidden.visible
    section.collapsed = True
    hidden.setVisible(True)
    shown.setVisible(False)
    section.collapsed = False
    assert hidden.visible and not shown.visible
    section.hide()


def test_a_path_ends_at_a_nul(host):
    """Recorded in Slicer 5.12: PythonQt hands text to Qt as C does."""
    import ctk

    edit = ctk.ctkPathLineEdit()
    edit.currentPath = "/a\0b"
    assert edit.currentPath == "/a"


def test_programs_are_started_in_the_environment_that_slicer_was_started_in(host, monkeypatch):
    """Recorded in Slicer 5.12: what was set since does not reach them."""
    import slicer

    monkeypatch.setenv("CLOPA_SET_LATER", "yes")
    assert not slicer.app.startupEnvironment().contains("CLOPA_SET_LATER")
    slicer.app.startupEnvironment().insert("CLOPA_SET_LATER", "in a copy")
    assert not slicer.app.startupEnvironment().contains("CLOPA_SET_LATER")
