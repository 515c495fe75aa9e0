"""Run Testing/slicer inside a real 3D Slicer.

python scripts/test_in_slicer.py --slicer PATH_OR_COMMAND [options] [arguments of pytest]

PATH_OR_COMMAND is Slicer's executable, or a command line that starts one and hands its arguments on. Slicer
runs with temporary settings, pytest in its own Python; what pytest needs is taken from a folder, made with
pip where it is missing, and nothing is installed into Slicer. The engine runs in the project's environment.
On Linux without a display a virtual one (Xvfb) is started. The exit code is pytest's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from _environment import REPOSITORY, fail, python

PACKAGES = ("pytest>=8", "pytest-timeout>=2.3", "hypothesis>=6.100", "httpx>=0.27", "blosc2>=3.0")
"""pytest, and what the module asks Slicer's users to install (see Requirements.py)."""
LEFT_TO_SLICER = ("numpy", "numpy.libs")
SCREEN = "1600x1000x24"


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our options, and what is left for pytest."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--slicer", default=os.environ.get("CLOPA_SLICER"), metavar="PATH_OR_COMMAND",
                        help="Slicer's executable or a command line; default: CLOPA_SLICER")  # fmt: skip
    parser.add_argument("--python-packages", type=Path, default=os.environ.get("CLOPA_SLICER_PACKAGES"),
                        help="a folder with pytest for Slicer; default: CLOPA_SLICER_PACKAGES, else "
                             "build/slicer-python of the checkout, filled by pip")  # fmt: skip
    parser.add_argument("--engine-python", default=os.environ.get("CLOPA_TEST_PYTHON") or str(python()),
                        help="what engines run in; default: the project's environment")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=3600, help="seconds until Slicer is ended")
    parser.add_argument("--own-display", action="store_true", help="the command brings a display itself")
    parser.add_argument("--script", type=Path, help="run this Python file in Slicer instead of pytest")
    return parser.parse_known_args(arguments)


def command_of(slicer: str | None) -> list[str]:
    """What starts Slicer."""
    if not slicer:
        fail(
            "Say which Slicer: --slicer with the path of its executable, or CLOPA_SLICER in the environment."
        )
    if Path(slicer).is_file():
        return [slicer]
    command = shlex.split(slicer, posix=os.name != "nt")
    if not command or shutil.which(command[0]) is None:
        fail(f"There is no program {slicer!r}. Give the path of Slicer's executable.")
    return command


@contextlib.contextmanager
def display(own: bool) -> Iterator[dict[str, str]]:
    """A screen, on Linux without one: what has to be added to the environment."""
    if own or not sys.platform.startswith("linux") or os.environ.get("DISPLAY"):
        yield {}
        return
    if shutil.which("Xvfb") is None:
        fail("There is no display and no Xvfb. Install Xvfb, set DISPLAY, or pass --own-display.")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", SCREEN, "-nolisten", "tcp", "+extension", "GLX"],
        pass_fds=[writing], stderr=subprocess.DEVNULL)  # fmt: skip
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()
        if not number:
            fail("Xvfb did not start. Run it by hand to see why.")
        yield {"DISPLAY": f":{number}", "LIBGL_ALWAYS_SOFTWARE": "1"}
    finally:
        server.terminate()
        server.wait()


class SlicerRun:
    """One start of Slicer with a job: its log is shown while it is written."""

    def __init__(self, command: list[str], folder: Path, timeout_s: float) -> None:
        self._command, self._folder, self._timeout_s = command, folder, timeout_s
        self._shown = 0

    def __call__(self, job: dict[str, object], environment: dict[str, str]) -> int:
        """Start, wait, show.

        Returns:
            The job's exit code; 124 when the time was up, 1 when Slicer ended before the job did.
        """
        log, result = self._folder / "log.txt", self._folder / "result.txt"
        log.write_text("", encoding="utf-8")
        job = {**job, "log": str(log), "result": str(result)}
        real = REPOSITORY / "Testing" / "slicer" / "real"
        start = self._folder / "start.py"
        start.write_text(
            f"import sys\nsys.path.insert(0, {str(real)!r})\nimport job\n"
            f"job.run({json.dumps(json.dumps(job))})\n",
            encoding="utf-8",
        )
        arguments = ["--no-splash", "--disable-settings", "--ignore-slicerrc", "--additional-module-paths",
                     str(REPOSITORY / "CLoPAAnnotator"), "--python-script", str(start)]  # fmt: skip
        with (self._folder / "slicer.txt").open("wb") as own:
            process = subprocess.Popen(
                [*self._command, *arguments], cwd=REPOSITORY, env={**os.environ, **environment},
                stdin=subprocess.DEVNULL, stdout=own, stderr=subprocess.STDOUT,
                start_new_session=os.name != "nt")  # fmt: skip
            code = self._follow(process, log)
        if result.is_file():
            return int(result.read_text(encoding="utf-8"))
        print((self._folder / "slicer.txt").read_text("utf-8", "replace")[-4000:], file=sys.stderr)
        what = "was ended: its time was up" if code == 124 else f"ended by itself (code {code})"
        print(f"Slicer {what} before the job was done; above is what it said.", file=sys.stderr)
        return 124 if code == 124 else 1

    def _follow(self, process: subprocess.Popen[bytes], log: Path) -> int:
        end = time.monotonic() + self._timeout_s
        try:
            while process.poll() is None and time.monotonic() < end:
                time.sleep(0.2)
                self._show(log)
            return 124 if process.poll() is None else process.returncode
        finally:
            end_with_children(process)
            self._show(log)

    def _show(self, log: Path) -> None:
        with log.open("rb") as file:
            file.seek(self._shown)
            new = file.read()
        self._shown += len(new)
        sys.stdout.write(new.decode("utf-8", "replace"))
        sys.stdout.flush()


def end_with_children(process: subprocess.Popen[bytes], patience_s: float = 10.0) -> None:
    """End a process and everything that it started: a launcher's Slicer, and that one's engines."""
    if os.name == "nt":
        if process.poll() is None:
            subprocess.run(
                ["taskkill", "/T", "/F", "/PID", str(process.pid)], check=False, capture_output=True
            )
        process.wait()
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        end = time.monotonic() + patience_s
        while group_lives(process) and time.monotonic() < end:
            time.sleep(0.1)


def group_lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether anything of a process group is left."""
    process.poll()  # else its own leftover would count
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def packages(folder: Path | None, run: SlicerRun) -> Path:
    """The folder that makes pytest importable in Slicer; filled when it is the default one and empty."""
    if folder is not None:
        if not (Path(folder) / "pytest").is_dir():
            fail(f"{folder} holds no pytest. Fill it: pip install --target FOLDER {' '.join(PACKAGES)}")
        return Path(folder).resolve()
    made = REPOSITORY / "build" / "slicer-python"
    if (made / "pytest").is_dir():
        return made
    print("Asking Slicer for its version of Python ...", flush=True)
    said = run._folder / "version.txt"
    if run({"say_version": str(said)}, {}) != 0:
        fail("Slicer could not be started; the lines above say why.")
    print(f"Installing pytest for it into {made} ...", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(made), "--only-binary=:all:",
           "--python-version", said.read_text(encoding="utf-8"), *PACKAGES]  # fmt: skip
    if subprocess.run(pip, check=False).returncode != 0:
        fail(
            "pip failed; the lines above say why. Or pass --python-packages with a folder that holds pytest."
        )
    for name in LEFT_TO_SLICER:
        shutil.rmtree(made / name, ignore_errors=True)
    return made


def main(arguments: list[str]) -> int:
    """Start Slicer, run pytest (or a script) in it, pass its exit code on."""
    options, rest = parse(arguments)
    command = command_of(options.slicer)
    with (
        tempfile.TemporaryDirectory(prefix="clopa-slicer-") as folder,
        display(options.own_display) as screen,
    ):
        folder_ready = packages(options.python_packages, SlicerRun(command, Path(folder), options.timeout))
        passed = {n: v for n, v in os.environ.items() if n.startswith("CLOPA_") or n == "OMP_NUM_THREADS"}
        job = {
            "repository": str(REPOSITORY), "packages": str(folder_ready),
            "environment": {**passed, "CLOPA_TEST_PYTHON": options.engine_python},
            "pytest": rest or ["-q", "Testing/slicer"],
            "script": str(options.script.resolve()) if options.script else None, "arguments": rest,
        }  # fmt: skip
        return SlicerRun(command, Path(folder), options.timeout)(job, screen)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
