"""One program run through Qt, in the environment that Slicer itself was started in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import slicer

import qt

CORE = Path(__file__).resolve().parent.parent
"""Where the package ``clopa_annotator`` lies."""
STOP_MS = 5000
KEPT_ERROR_LINES = 12
# What Slicer's launcher may leave behind, by which every Python would use Slicer's own libraries.
_SLICERS_OWN = ("PYTHONHOME", "PYTHONNOUSERSITE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "QT_PLUGIN_PATH")


def cleanEnvironment() -> qt.QProcessEnvironment:
    """The environment for another Python than Slicer's, with the core on its path."""
    environment = slicer.app.startupEnvironment()
    for name in _SLICERS_OWN:
        environment.remove(name)
    environment.insert("PYTHONPATH", str(CORE))
    environment.insert("PYTHONUNBUFFERED", "1")
    return environment


class ProcessLine:
    """Lines of a program's output as they come, and one call when it ends."""

    def __init__(
        self,
        onLine: Callable[[str], None],
        onEnd: Callable[[int, str], None],
        onErrorLine: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Make it.

        Args:
            onLine: told every line of standard output.
            onEnd: told the exit code and the last lines of standard error; -1 if it could not be started.
            onErrorLine: told every line of standard error.
        """
        self._onLine, self._onEnd, self._onErrorLine = onLine, onEnd, onErrorLine
        self._process: qt.QProcess | None = None
        self._leaving: list[qt.QProcess] = []
        self._output = self._errorOutput = b""
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
        """Start it; a program that runs already, or is still ending, is waited for first."""
        self.stop()
        self._output = self._errorOutput = b""
        self._errors = []
        self._process = qt.QProcess()
        self._process.setProcessEnvironment(cleanEnvironment())
        self._process.connect("readyReadStandardOutput()", self._read)
        self._process.connect("readyReadStandardError()", self._readErrors)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        self._process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        self._process.start(program, list(arguments))

    def _read(self) -> None:
        if self._process is not None:
            self._output += self._process.readAllStandardOutput().data()
            lines, self._output = _wholeLines(self._output)
            for line in lines:
                self._onLine(line)

    def _readErrors(self) -> None:
        if self._process is not None:
            self._errorOutput += self._process.readAllStandardError().data()
            lines, self._errorOutput = _wholeLines(self._errorOutput)
            self._errors = [*self._errors, *lines][-KEPT_ERROR_LINES:]
            for line in lines:
                self._onErrorLine(line)

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
        rest = self._errorOutput.decode("utf-8", "replace")
        errors = "\n".join([*self._errors, rest]).strip()

        def afterwards() -> None:
            process.deleteLater()
            self._onEnd(code, errors)

        # This runs in the process's own signal: letting go of it here would destroy it under Qt's feet.
        qt.QTimer.singleShot(0, afterwards)

    def letGo(self) -> None:
        """Ask it to end by closing its standard input; does not wait, and no end is reported."""
        process, self._process = self._process, None
        if process is None or process.state() == qt.QProcess.NotRunning:
            return
        process.blockSignals(True)
        process.closeWriteChannel()
        self._leaving.append(process)
        qt.QTimer.singleShot(STOP_MS, self._endLeaving)

    def kill(self) -> None:
        """End it at once; no end is reported."""
        process, self._process = self._process, None
        if process is not None and process.state() != qt.QProcess.NotRunning:
            process.blockSignals(True)
            process.kill()
            process.waitForFinished(STOP_MS)

    def stop(self) -> None:
        """End it and wait: by closing its standard input, then by force. No end is reported."""
        self.letGo()
        self._endLeaving(STOP_MS)

    def _endLeaving(self, patienceMs: int = 0) -> None:
        leaving, self._leaving = self._leaving, []
        for process in leaving:
            running = process.state() != qt.QProcess.NotRunning
            if running and not (patienceMs and process.waitForFinished(patienceMs)):
                process.kill()
                process.waitForFinished(STOP_MS)


def _wholeLines(output: bytes) -> tuple[list[str], bytes]:
    """The lines that have ended, and what has not; a carriage return, as of a progress bar, ends one too."""
    *lines, rest = output.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return [line.decode("utf-8", "replace") for line in lines], rest
