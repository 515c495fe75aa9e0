"""Installing the client's packages into Slicer's Python: asked for first, in its own process, with Cancel.

`slicer.packaging.pip_ensure` (Slicer 5.11) asks in a dialog and waits for pip; before 5.11 nothing asks. Here
the question stands in the panel, the same in every Slicer, and pip runs while Slicer goes on.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from clopa_annotator.errors import EngineError
from CLoPAAnnotatorLib.annotation.AnnotationView import Mood
from CLoPAAnnotatorLib.engine.ProcessLine import ProcessLine
from CLoPAAnnotatorLib.engine.Requirements import (
    installedVersion,
    inWords,
    keepSlicersOwn,
    missingForClient,
    packageName,
)
from CLoPAAnnotatorLib.Texts import tr

PIP = ("-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off")


def slicersPython() -> str:
    """The program that runs Slicer's Python.

    Raises:
        EngineError: it is not found.
    """
    found = shutil.which("PythonSlicer") or sys.executable
    if not found or "python" not in Path(found).name.lower():
        raise EngineError(
            tr("Slicer's Python was not found. Type slicer.util.pip_install(\"httpx blosc2\") in Slicer's "
               "Python console, then press Connect.")
        )  # fmt: skip
    return str(found)


def isPipBusy() -> bool:
    """Whether another module is installing packages right now, as far as Slicer knows (5.11 and later)."""
    try:
        packaging = importlib.import_module("slicer.packaging")
    except ImportError:
        return False
    return bool(getattr(packaging, "isPipInstallInProgress", lambda: False)())


class PackageInstall:
    """The question, the progress and the end, in the panel's own box."""

    def __init__(
        self, ui: Any, say: Callable[[str, Mood], None], attempt: Callable[[Callable[[], object]], None]
    ) -> None:
        """Make it.

        Args:
            ui: the panel's widgets.
            say: shows a sentence with a mood.
            attempt: does something whose refusal becomes a sentence.
        """
        self.ui, self._say, self._attempt = ui, say, attempt
        self._isShown = False
        self.findPython = slicersPython
        self._process = ProcessLine(self._heard, self._ended, self._heard)
        self._then: Callable[[], object] | None = None
        self._before: dict[str, str] = {}
        ui.packagesInstall.connect("clicked(bool)", lambda _=False: attempt(self.start))
        ui.packagesCancel.connect("clicked(bool)", lambda _=False: self.cancel())
        self._show(False)

    @property
    def isRunning(self) -> bool:
        """Whether pip runs."""
        return self._process.isRunning

    def isReadyFor(self, then: Callable[[], object]) -> bool:
        """Whether the packages are right. If not, the user is asked, and ``then`` is called once they are."""
        missing = missingForClient()
        if not missing:
            self._show(False)
            return True
        if not self.isRunning:
            self._then = then
            self.ui.packagesPlan.text = tr(
                "Slicer's Python needs these small packages first: {names}. What Slicer brings itself, numpy "
                "for instance, stays as it is. Nothing has been installed yet."
            ).format(names=inWords(missing))
            self._show(True)
        return False

    def start(self) -> None:
        """Install; the user has been asked.

        Raises:
            EngineError: pip is busy for somebody else, or Slicer's Python was not found.
        """
        if isPipBusy():
            raise self._refuse(
                tr("Another module is installing packages. Wait until it is done, then try again.")
            )
        try:
            python = self.findPython()
        except EngineError as error:
            raise self._refuse(str(error)) from error
        missing = missingForClient()
        self._before = {line: installedVersion(line) for line in missing}
        constraints = Path(slicer.app.temporaryPath) / "clopa-annotator-constraints.txt"
        constraints.write_text(keepSlicersOwn(), encoding="utf-8")
        self._process.start(python, [*PIP, "-c", str(constraints), *missing], inSlicersPython=True)
        self.ui.packagesPlan.text = tr("Installing …")
        self._show(True)

    def _refuse(self, sentence: str) -> EngineError:
        self._say(sentence, "warning")
        return EngineError(sentence)

    def _heard(self, line: str) -> None:
        if line.strip() and self.isRunning:
            self.ui.packagesPlan.text = line.strip()[:160]

    def _ended(self, code: int, errors: str) -> None:
        self._show(False)
        missing = missingForClient()
        if code != 0 or missing:
            said = [line for line in errors.splitlines() if line.startswith("ERROR")] or errors.splitlines()
            why = said[-1] if said else tr("pip ended with {code}").format(code=code)
            self._say(
                tr("The packages could not be installed: {why}. Check the internet connection, then press "
                   "Connect again.").format(why=why.removeprefix("ERROR: ").rstrip(".")), "error",
            )  # fmt: skip
        elif any(old and packageName(line) in sys.modules for line, old in self._before.items()):
            self._say(
                tr("The packages are installed. Restart Slicer: it still uses the old version."), "warning"
            )
        else:
            self._say(tr("The packages are installed."), "good")
            then, self._then = self._then, None
            if then is not None:
                self._attempt(then)

    def cancel(self) -> None:
        """Stop pip, or take the question back."""
        if self.isRunning:
            self._process.kill()
        if self._isShown:
            self._say(tr("The packages were not installed."), "calm")
        self._then = None
        self._show(False)

    def _show(self, shown: bool) -> None:
        self._isShown, running = shown, self.isRunning
        self.ui.packagesBox.setVisible(shown)
        self.ui.packagesInstall.setVisible(not running)
        self.ui.packagesProgress.setVisible(running)
        self.ui.connectButton.enabled = self.ui.testButton.enabled = not running
