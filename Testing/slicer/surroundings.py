"""Where the tests run: in a real Slicer, or in the stand-in of ``Testing/host``."""

from __future__ import annotations

import os
import sys


def inside_slicer() -> bool:
    """Whether this is the Python of a running 3D Slicer."""
    app = getattr(sys.modules.get("slicer"), "app", None)
    return type(app).__name__ == "qSlicerApplication"


def engine_python() -> str:
    """The interpreter that has what engines need: in Slicer that of the project, else this one."""
    return os.environ.get("CLOPA_TEST_PYTHON") or sys.executable
