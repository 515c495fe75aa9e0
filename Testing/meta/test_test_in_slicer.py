"""`scripts/test_in_slicer.py` against programs that play Slicer: what it passes on, and what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PLAYS_SLICER = """
import json, pathlib, runpy, sys, types
job = types.ModuleType("job")
def run(text):
    wanted = json.loads(text)
    pathlib.Path(wanted["log"]).write_text("asked for " + " ".join(wanted["pytest"]))
    pathlib.Path(wanted["result"]).write_text("3")
job.run = run
sys.modules["job"] = job
runpy.run_path(sys.argv[sys.argv.index("--python-script") + 1])
"""


def run(*arguments: str, code: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "scripts" / "test_in_slicer.py"), "--own-display", *arguments]
    if folder is not None:
        (folder / "plays.py").write_text(code, encoding="utf-8")
        (folder / "pytest").mkdir()
        command += ["--slicer", f'"{Path(sys.executable).as_posix()}" "{(folder / "plays.py").as_posix()}"']
        command += ["--python-packages", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_pytests_arguments_output_and_exit_code_are_passed_through(tmp_path: Path) -> None:
    done = run("-q", "Testing/slicer/test_cases.py", code=PLAYS_SLICER, folder=tmp_path)
    assert done.returncode == 3, done.stderr
    assert done.stdout == "asked for -q Testing/slicer/test_cases.py"


def test_a_slicer_that_ends_before_the_job_is_a_failure_with_its_last_words(tmp_path: Path) -> None:
    done = run(code="print('no display'); raise SystemExit(0)", folder=tmp_path)
    assert done.returncode == 1
    assert "no display" in done.stderr and "ended by itself (code 0)" in done.stderr


def test_a_slicer_that_hangs_is_ended(tmp_path: Path) -> None:
    done = run("--timeout", "1", code="import time; time.sleep(50)", folder=tmp_path)
    assert done.returncode == 124 and "its time was up" in done.stderr


STARTS_ANOTHER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(50)"])
open({path!r}, "w").write(str(child.pid))
time.sleep(50)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="asks for a process by its number as POSIX does")
def test_what_a_slicer_that_hangs_had_started_is_ended_too(tmp_path: Path) -> None:
    noted = tmp_path / "child.txt"
    done = run("--timeout", "3", code=STARTS_ANOTHER.format(path=str(noted)), folder=tmp_path)
    assert done.returncode == 124, done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text(encoding="utf-8")), 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Say which Slicer"),
        (("--slicer", "no-such-slicer"), "There is no program 'no-such-slicer'"),
        (("--slicer", sys.executable, "--python-packages", "nowhere"), "holds no pytest"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    arguments: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLOPA_SLICER", raising=False)
    done = run(*arguments)
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr
