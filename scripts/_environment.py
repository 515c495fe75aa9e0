"""Makes the project's own environment: standard library only, any of Linux, macOS, Windows.

The environment lies in ``.venv`` inside the checkout and is made once; a stamp of what it was made from
decides whether it has to be brought up to date.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import NoReturn

REPOSITORY = Path(__file__).resolve().parent.parent
ENVIRONMENT = Path(os.environ.get("CLOPA_VENV", REPOSITORY / ".venv"))
MINIMUM = (3, 10)


def fail(sentence: str) -> NoReturn:
    """End with a sentence instead of a traceback."""
    print(f"\n{sentence}", file=sys.stderr)
    raise SystemExit(1)


def python() -> Path:
    """The environment's interpreter."""
    return ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def clopa() -> str:
    """What to type for ``clopa`` from where the user is, while the environment is not activated."""
    program = ENVIRONMENT / ("Scripts/clopa.exe" if os.name == "nt" else "bin/clopa")
    try:
        near = os.path.relpath(program)
    except ValueError:  # on another drive
        near = ".."
    typed = str(program) if near.startswith("..") else near
    return f'"{typed}"' if " " in typed else typed


def _stamp(extras: tuple[str, ...]) -> str:
    parts = [(REPOSITORY / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    parts.append(f"{sys.version_info[:2]} {sorted(extras)}".encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _run(title: str, *command: str | Path) -> None:
    started = time.monotonic()
    print(f"  {title} ...", flush=True)
    result = subprocess.run(
        [str(c) for c in command], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        print(result.stdout[-3000:] + result.stderr[-3000:], file=sys.stderr)
        fail(
            f"{title} failed; the lines above say why. Is the package index reachable and the disk not full?"
        )
    print(f"  {title}: done in {time.monotonic() - started:.0f} s", flush=True)


def _refuse_other_files() -> None:
    """An environment is made anew by emptying its folder, so it must be one, or hold nothing."""
    if not ENVIRONMENT.exists() or (ENVIRONMENT / "pyvenv.cfg").is_file():
        return
    if not ENVIRONMENT.is_dir() or any(ENVIRONMENT.iterdir()):
        fail(
            f"{ENVIRONMENT} holds other files than a Python environment; nothing was changed. "
            "Move them away, or set CLOPA_VENV to a new folder."
        )


def prepare(*extras: str) -> Path:
    """Make or update the environment with the given extras of ``pyproject.toml``.

    torch comes first and pinned, because any other way of asking for it may bring several GB of CUDA.

    Returns:
        The environment's interpreter.
    """
    if sys.version_info < MINIMUM:
        fail(f"Python {MINIMUM[0]}.{MINIMUM[1]} or later is needed; this is {sys.version.split()[0]}.")
    stamp_file = ENVIRONMENT / f"clopa-{'-'.join(sorted(extras)) or 'core'}.stamp"
    stamp = _stamp(extras)
    if python().is_file() and stamp_file.is_file() and stamp_file.read_text() == stamp:
        return python()
    print(f"Setting up the environment in {ENVIRONMENT}", flush=True)
    if not python().is_file():
        _refuse_other_files()
        venv.create(ENVIRONMENT, with_pip=True, clear=ENVIRONMENT.exists())
    pip = (
        python(),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--quiet",
        "-c",
        "constraints.txt",
    )
    _run("Installing torch", *pip, "torch")
    target = f".[{','.join(extras)}]" if extras else "."
    _run("Installing the project and its libraries", *pip, "-e", target)
    stamp_file.write_text(stamp)
    print(f"  The command clopa is {clopa()}", flush=True)
    return python()
