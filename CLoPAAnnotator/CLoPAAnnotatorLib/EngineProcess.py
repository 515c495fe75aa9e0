"""The engine on this computer: a process of its own, started and watched through Qt.

It runs in an environment of its own, never in Slicer's Python. When its standard input closes, it ends: so no
engine outlives Slicer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import qt
from clopa_annotator.engine.tokens import first_token
from clopa_annotator.errors import ClopaError
from CLoPAAnnotatorLib.Texts import tr

CORE = Path(__file__).resolve().parent.parent
"""Where the package ``clopa_annotator`` lies."""
STOP_MS = 3000
KEPT_ERROR_LINES = 12
# Variables by which Slicer's launcher points every Python at its own libraries.
_SLICERS_OWN = ("PYTHONHOME", "PYTHONNOUSERSITE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "QT_PLUGIN_PATH")


def cleanEnvironment() -> qt.QProcessEnvironment:
    """The environment for another Python than Slicer's, with the core on its path."""
    environment = qt.QProcessEnvironment.systemEnvironment()
    for name in _SLICERS_OWN:
        environment.remove(name)
    environment.insert("PYTHONPATH", str(CORE))
    environment.insert("PYTHONUNBUFFERED", "1")
    return environment


class ProcessLine:
    """One program run through Qt: lines of its output as they come, and one call when it ends."""

    def __init__(self, onLine: Callable[[str], None], onEnd: Callable[[int, str], None]) -> None:
        """Make it.

        Args:
            onLine: told every line of standard output.
            onEnd: told the exit code and the last lines of standard error; -1 if it could not be started.
        """
        self._onLine, self._onEnd = onLine, onEnd
        self._process: qt.QProcess | None = None
        self._output = b""
        self._errors: list[str] = []

    @property
    def isRunning(self) -> bool:
        """Whether the program runs."""
        return self._process is not None and self._process.state() != qt.QProcess.NotRunning

    @property
    def pid(self) -> int:
        """Its process id; 0 when it does not run."""
        return int(self._process.processId()) if self._process is not None else 0

    def start(self, program: str, arguments: Sequence[str]) -> None:
        """Start it; a program that runs already is stopped first."""
        self.stop()
        self._output, self._errors = b"", []
        self._process = qt.QProcess()
        self._process.setProcessEnvironment(cleanEnvironment())
        self._process.connect("readyReadStandardOutput()", self._read)
        self._process.connect("readyReadStandardError()", self._readErrors)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        self._process.start(program, list(arguments))

    def _read(self) -> None:
        if self._process is None:
            return
        self._output += self._process.readAllStandardOutput().data()
        *lines, self._output = self._output.split(b"\n")
        for line in lines:
            self._onLine(line.decode("utf-8", "replace").rstrip("\r"))

    def _readErrors(self) -> None:
        if self._process is not None:
            text = self._process.readAllStandardError().data().decode("utf-8", "replace")
            self._errors = [*self._errors, *text.splitlines()][-KEPT_ERROR_LINES:]

    def _finished(self, code: int, _status: object) -> None:
        self._read()
        self._readErrors()
        self._end(code)

    def _failed(self, error: object) -> None:
        if error == qt.QProcess.FailedToStart:
            self._errors.append(self._process.errorString() if self._process is not None else "")
            self._end(-1)

    def _end(self, code: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        errors = "\n".join(self._errors).strip()

        def afterwards() -> None:
            process.deleteLater()
            self._onEnd(code, errors)

        # This runs in the process's own signal: letting go of it here would destroy it under Qt's feet.
        qt.QTimer.singleShot(0, afterwards)

    def stop(self) -> None:
        """End it: first by closing its standard input, then by force. No end is reported."""
        process, self._process = self._process, None
        if process is None or process.state() == qt.QProcess.NotRunning:
            return
        process.blockSignals(True)
        process.closeWriteChannel()
        if not process.waitForFinished(STOP_MS):
            process.kill()
            process.waitForFinished(STOP_MS)


class EngineProcess:
    """``clopa engine`` for one campaign folder, created first if it is not a campaign yet."""

    def __init__(self, onReady: Callable[[str, str], None], onEnd: Callable[[str], None]) -> None:
        """Make it.

        Args:
            onReady: told the address and the token.
            onEnd: told a sentence when the engine has ended, or could not start.
        """
        self._onReady, self._onEndOfEngine = onReady, onEnd
        self._line = ProcessLine(self._heard, self._ended)
        self._next: Callable[[], None] | None = None
        self._isReady = False

    @property
    def isRunning(self) -> bool:
        """Whether the process is there (perhaps not ready yet)."""
        return self._line.isRunning

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._line.pid

    def start(self, python: str, campaign: Path, name: str, size: int, model: str = "") -> None:
        """Start the engine.

        Args:
            python: interpreter of the engine's environment.
            campaign: the campaign's folder.
            name: name of a new campaign.
            size: planned cases of a new campaign.
            model: model of a new campaign; empty for the bundled one.
        """
        clopa = ["-m", "clopa_annotator.cli"]
        self._isReady = False

        def serve() -> None:
            arguments = ["engine", "--campaign", str(campaign), "--host", "127.0.0.1", "--port", "0"]
            self._line.start(python, [*clopa, *arguments, "--parent-stdin"])

        if (campaign / "campaign.json").is_file():
            self._next = None
            serve()
            return
        self._next = serve
        create = ["campaign", "create", str(campaign), "--name", name, "--size", str(size)]
        self._line.start(python, [*clopa, *create, *(["--model", model] if model else [])])

    def _heard(self, line: str) -> None:
        try:
            row = json.loads(line)
        except ValueError:
            return  # a library's chatter
        if isinstance(row, dict) and row.get("event") == "ready":
            self._isReady = True
            try:
                token = first_token(Path(str(row["token_file"])))
            except (ClopaError, OSError, ValueError) as error:
                self._onEndOfEngine(tr("The engine's token file cannot be read: {why}").format(why=error))
                return
            self._onReady(str(row["url"]), token)

    def _ended(self, code: int, errors: str) -> None:
        following, self._next = self._next, None
        if following is not None and code == 0:
            following()
            return
        last = errors.splitlines()[-1] if errors else tr("exit code {code}").format(code=code)
        if self._isReady:
            said = tr("The engine ended unexpectedly ({why}). What you confirmed is safe. Press Restart.")
        elif code == -1:
            said = tr("The engine could not be started ({why}). Press Set up to install it.")
        else:
            said = tr("The engine could not start: {why}")
        self._isReady = False
        self._onEndOfEngine(said.format(why=last))

    def stop(self) -> None:
        """End the engine."""
        self._next = None
        self._line.stop()
