"""What `scripts/test_in_slicer.py` has Slicer do: run pytest, or a script, in Slicer's own Python.

Output goes to a file that the script outside shows: Slicer has no console on Windows, and redirects its
streams on every system. Slicer is always ended, with the job's exit code, also after an exception.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any


def run(text: str) -> None:
    """Do the job; the interface is JSON so that a path may hold anything."""
    job = json.loads(text)
    # Slicer is still starting while it reads its command line; the job begins when its event loop runs.
    import qt

    qt.QTimer.singleShot(500, lambda: _run_and_exit(job))


def _run_and_exit(job: dict[str, Any]) -> None:
    import slicer

    code = 1
    with Path(job["log"]).open("a", encoding="utf-8", buffering=1) as log:
        kept = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = log
        try:
            code = _do(job)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:  # noqa: BLE001  (whatever it is: it must be told, and Slicer must end)
            traceback.print_exc()
        finally:
            sys.stdout, sys.stderr = kept
    Path(job["result"]).write_text(str(int(code)), encoding="utf-8")
    slicer.util.exit(int(code))


def _do(job: dict[str, Any]) -> int:
    if "say_version" in job:
        Path(job["say_version"]).write_text(".".join(map(str, sys.version_info[:2])), encoding="utf-8")
        return 0
    sys.path.append(job["packages"])  # behind Slicer's own packages, which win
    os.environ.update(job["environment"])
    os.chdir(job["repository"])
    if job["script"]:
        sys.argv = [job["script"], *job["arguments"]]
        sys.path.insert(0, str(Path(job["script"]).parent))
        runpy.run_path(job["script"], run_name="__main__")
        return 0
    import pytest

    # Slicer keeps the descriptors of stdout and stderr for its own log: only Python's streams are caught.
    return int(pytest.main(["--capture=sys", "-p", "no:cacheprovider", *job["pytest"]]))
