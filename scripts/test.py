"""Set up and run the tests.

python scripts/test.py [arguments of pytest]

Without arguments every test runs, spread over up to four cores; with arguments pytest gets just those.
"""

from __future__ import annotations

import os
import subprocess
import sys

from _environment import REPOSITORY, prepare

WORKERS = min(4, os.cpu_count() or 1)
EVERYTHING = ["-n", str(WORKERS), "--dist", "loadfile", "Testing"]
"""A file stays with one worker: its tests share what its fixtures made."""


def main() -> int:
    """Prepare the environment with everything that tests need, then run pytest in it."""
    interpreter = str(prepare("test", "slicer-test"))
    # Slicer's widgets and views are driven without a display; on Linux, Mesa renders off screen.
    settings = {"QT_QPA_PLATFORM": "offscreen", "PYTHONUNBUFFERED": "1"}
    if sys.platform.startswith("linux"):
        settings["VTK_DEFAULT_OPENGL_WINDOW"] = "vtkEGLRenderWindow"
    # Several thread pools of two threads each on two cores made timings bimodal by a factor of ten.
    settings["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "2" if sys.argv[1:] else "1")
    command = [interpreter, "-m", "pytest", *(sys.argv[1:] or EVERYTHING)]
    return subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **settings}, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
