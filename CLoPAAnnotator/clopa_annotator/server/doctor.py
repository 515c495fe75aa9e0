"""What this machine can do, in words: for people whose engine does not start, or is slow.

Free of torch: PyTorch is asked in a process of its own, because an installation that is broken enough to need
a doctor may take the process that imports it down.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

NEEDED = {
    "torch": "2.4",
    "nninteractive": "2.6",
    "nninteractive-client": "2.6",
    "numpy": "1.26",
    "blosc2": "3.0",
    "safetensors": "0.4",
    "SimpleITK": "2.3",
    "fastapi": "0.110",
    "uvicorn": "0.29",
    "httpx": "0.27",
}
ASK_TORCH = (
    "import torch;"
    "d=torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None;"
    "print(f'{d.name}|{d.total_memory}' if d else 'mps|0' if torch.backends.mps.is_available()"
    " else f'cpu|{torch.get_num_threads()}')"
)
SMALL_MEMORY_BYTES, SMALL_DISK_BYTES = 8 << 30, 5 << 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what.
        ok: whether it is good enough to work with.
        sentence: what was found and, if it is not, what to do.
    """

    subject: str
    ok: bool
    sentence: str


def examine(folder: Path | None = None) -> tuple[Finding, ...]:
    """Look at everything.

    Args:
        folder: where campaigns are to lie; the home folder unless given.
    """
    looks: Iterable[Callable[[], Finding]] = (
        _python,
        _packages,
        _device,
        _memory,
        lambda: _disk(folder or Path.home()),
        lambda: _writing(folder or Path.home()),
        _ports,
    )
    return tuple(look() for look in looks)


def _python() -> Finding:
    ok = sys.version_info >= (3, 10)
    advice = "" if ok else " Install Python 3.10 or newer."
    return Finding(
        "Python", ok, f"{platform.python_version()} on {platform.system()} {platform.machine()}.{advice}"
    )


def _number(version: str) -> tuple[int, ...]:
    parts = version.partition("+")[0].split(".")[:3]
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in parts)


def _packages() -> Finding:
    found, wrong = [], []
    for name, least in NEEDED.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        found.append(f"{name} {version}")
        pinned = name.startswith("nninteractive") and _number(version)[:2] != _number(least)
        if pinned or _number(version) < _number(least):
            wrong.append(f"{name} is {version}, {least} is needed")
    if wrong:
        return Finding("Packages", False, f"{'; '.join(wrong)}. Run: pip install --upgrade clopa-annotator")
    return Finding("Packages", True, f"{', '.join(found)}.")


def ask_torch(timeout_s: float = 120.0) -> tuple[str, int]:
    """Name of the device and its memory in bytes (or the number of threads, on a CPU).

    Raises:
        OSError: PyTorch does not answer.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK_TORCH], capture_output=True, text=True, timeout=timeout_s, check=True
        )
        name, number = done.stdout.strip().rsplit("|", 1)
        return name, int(number)
    except (subprocess.SubprocessError, ValueError) as error:
        raise OSError(f"PyTorch does not work: {error}") from error


def _device() -> Finding:
    try:
        name, number = ask_torch()
    except OSError:
        return Finding("Device", False, "PyTorch cannot be loaded. Run: pip install --force-reinstall torch")
    if name == "cpu":
        sentence = f"No GPU that PyTorch can use; {number} CPU threads. The bundled model is made for that."
    elif name == "mps":
        sentence = "An Apple GPU."
    else:
        sentence = f"{name} with {number / 2**30:.0f} GiB."
    return Finding("Device", True, sentence)


def _memory() -> Finding:
    try:
        import psutil
    except ImportError:
        return Finding("Memory", False, "It cannot be measured: psutil is missing. Run: pip install psutil")
    memory = psutil.virtual_memory()
    ok = memory.available >= SMALL_MEMORY_BYTES // 4
    advice = "" if ok else " Close other programs, or take smaller volumes."
    return Finding(
        "Memory", ok, f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB are free.{advice}"
    )


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    ok = free >= SMALL_DISK_BYTES
    advice = "" if ok else " A campaign keeps every image and every version; make room first."
    return Finding("Disk", ok, f"{free / 2**30:.1f} GiB are free where {folder} lies.{advice}")


def _writing(folder: Path) -> Finding:
    probe = folder / f".clopa-doctor-{os.getpid()}"
    try:
        with probe.open("wb") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        probe.unlink()
    except OSError as error:
        return Finding("Writing", False, f"Nothing can be written to {folder}: {error.strerror}.")
    return Finding("Writing", True, f"Files can be written and flushed in {folder}.")


def _ports() -> Finding:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
    except OSError as error:
        return Finding(
            "Ports", False, f"Nothing can listen on this machine ({error.strerror}); see the firewall."
        )
    return Finding("Ports", True, f"An engine can listen on this machine, for instance on port {port}.")
