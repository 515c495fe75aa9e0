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
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.hardware.memory_plan import room_on_card
from clopa_annotator.errors import ClopaError
from clopa_annotator.models import resolve
from clopa_annotator.server.memory_forecast import (
    ASSUMED_RATES,
    ASSUMED_SHARE,
    in_words,
    model_in,
    official,
    on_card,
)

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
ASK_TORCH = """
import time, torch
kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
if kind == "cuda":
    name, free, total = torch.cuda.get_device_name(0), *torch.cuda.mem_get_info(0)
else:
    name, free, total = kind, 0, 0
n, wait = (8192, torch.cuda.synchronize) if kind == "cuda" else (768, lambda: None)
a = torch.randn(n, n, device="cuda" if kind == "cuda" else "cpu")
a = a.bfloat16() if kind == "cuda" else a
a @ a; wait(); started, times = time.perf_counter(), 0
while time.perf_counter() - started < 0.3:
    a @ a; wait(); times += 1
rate = 2 * n**3 * times / (time.perf_counter() - started)
print(f"{kind}|{name}|{free}|{total}|{torch.get_num_threads()}|{rate}")
"""
SMALL_MEMORY_BYTES, SMALL_DISK_BYTES = 8 << 30, 5 << 30


@dataclass(frozen=True)
class Machine:
    """What PyTorch says about the device that it would use.

    Attributes:
        kind: "cuda", "mps" or "cpu".
        name: of the card; the kind elsewhere.
        free: bytes free on the card now; 0 elsewhere.
        total: bytes of the card; 0 elsewhere.
        threads: of the CPU.
        operations_per_s: rate of multiplying matrices, bf16 on a card, float32 on the CPU.
    """

    kind: str
    name: str
    free: int
    total: int
    threads: int
    operations_per_s: float


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
    where = folder or Path.home()
    return (
        _python(),
        _packages(),
        *_device(),
        _memory(),
        _disk(where),
        _writing(where),
        _ports(),
        *_cards(),
    )


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


def ask_torch(timeout_s: float = 120.0) -> Machine:
    """What PyTorch can use here.

    Raises:
        OSError: PyTorch does not answer.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK_TORCH], capture_output=True, text=True, timeout=timeout_s, check=True
        )
        kind, name, free, total, threads, rate = done.stdout.strip().splitlines()[-1].split("|")
        return Machine(kind, name, int(free), int(total), int(threads), float(rate))
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        raise OSError(f"PyTorch does not work: {error}") from error


def _device() -> tuple[Finding, ...]:
    """The device, and how an episode will fit on it."""
    try:
        machine = ask_torch()
    except OSError:
        advice = "PyTorch cannot be loaded. Run: pip install --force-reinstall torch"
        return (Finding("Device", False, advice),)
    if machine.kind == "cpu":
        sentence = (
            f"No GPU that PyTorch can use; {machine.threads} CPU threads. The bundled model is made for that."
        )
    elif machine.kind == "mps":
        sentence = "An Apple GPU."
    else:
        sentence = f"{machine.name} with {machine.total / 2**30:.0f} GiB, {machine.free / 2**30:.1f} free."
    return Finding("Device", True, sentence), Finding("Learning here", True, learning_here(machine))


def learning_here(machine: Machine) -> str:
    """How an episode will fit on this machine, and how long it is expected to take.

    On a card that is the official network, elsewhere the bundled one in main memory.
    """
    rate = ASSUMED_SHARE * machine.operations_per_s
    how = (
        f"at {ASSUMED_SHARE:.0%} of the {machine.operations_per_s / 1e12:.2g} TFLOP/s at which this machine"
        " multiplies matrices now, an assumption; not measured yet"
    )
    if machine.kind == "cuda":
        network = official()
        return in_words(network, room_on_card(machine.free, network.design, network.patch_kji), rate, how)
    try:
        network = model_in(resolve("bundled"), EpisodeSettings.quick())
    except ClopaError as error:
        return f"It cannot be said: {error}"
    if machine.kind == "mps":
        rate = 0.0
    room = room_on_card(_free_memory(), network.design, network.patch_kji, 4)
    return in_words(network, room, rate, how, 4)


def _free_memory() -> int:
    """Bytes of main memory that are free; 0 if nobody can say."""
    try:
        import psutil
    except ImportError:
        return 0
    return int(psutil.virtual_memory().available)


def _cards() -> tuple[Finding, ...]:
    """How an episode of the official network would fit on other cards."""
    return tuple(Finding(f"A card of {size} GB", True, on_card(size)) for size in ASSUMED_RATES)


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
