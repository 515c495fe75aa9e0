"""The extension as a package would hold it: installed by CMake from the lists, with a stand-in for Slicer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
MODULES = Path("lib/Slicer-5.12/qt-scripted-modules")
"""Where the stand-in installs scripted modules, as Slicer does."""
# Nothing is compiled, so no compiler and no make is needed; CMake wants to know some all the same.
_NO_COMPILER = [
    "-GUnix Makefiles",
    f"-DCMAKE_MAKE_PROGRAM={sys.executable}",
    *(f"-DCMAKE_{language}_COMPILER={sys.executable}" for language in ("C", "CXX")),
    *(f"-DCMAKE_{language}_COMPILER_FORCED=ON" for language in ("C", "CXX")),
    *(f"-DCMAKE_{language}_COMPILER_ID_RUN=ON" for language in ("C", "CXX")),
    *(f"-DCMAKE_{language}_COMPILER_ID=GNU" for language in ("C", "CXX")),
]


def cmake() -> str:
    """The program; it comes with the test environment (the package ``cmake``)."""
    beside = Path(sys.executable).parent / ("cmake.exe" if os.name == "nt" else "cmake")
    found = str(beside) if beside.is_file() else shutil.which("cmake")
    if not found:
        raise FileNotFoundError("cmake is missing: python -m pip install 'cmake>=3.28'")
    return found


def install(build: Path, prefix: Path, source: Path = REPOSITORY) -> Path:
    """Configure and install; returns the folder of the scripted modules.

    Raises:
        RuntimeError: CMake refuses the lists.
    """
    stand_in = HERE / "slicer-stand-in"
    _run(cmake(), "-S", str(source), "-B", str(build), f"-DSlicer_DIR={stand_in}", *_NO_COMPILER)
    _run(cmake(), "--install", str(build), "--prefix", str(prefix))
    return prefix / MODULES


def files_below(folder: Path) -> set[str]:
    """Every file, relative, with forward slashes; compiled Python is left out."""
    files = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {p.relative_to(folder).as_posix() for p in files}


def fresh_environment(modules: Path, folder: Path) -> dict[str, str]:
    """The environment of a process that finds the core in ``modules`` only, and lists what it opens.

    Args:
        modules: goes on Python's path.
        folder: for the hook; ``opened_below`` reads what the process and its children noted there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE / "note_opened_files.py", folder / "sitecustomize.py")
    path = os.pathsep.join([str(folder), str(modules)])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLOPA_", "PYTHON"))}
    return kept | {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "NOTE_OPENED_IN": str(folder),
        "NOTE_OPENED_OF": str(modules),
    }


def opened_below(folder: Path) -> set[str]:
    """What was opened below ``modules``, relative to it."""
    lines = (path.read_text("utf-8").splitlines() for path in folder.glob("opened-*.txt"))
    return {line for chunk in lines for line in chunk}


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{done.stdout}\n{done.stderr}")
