"""Installing the engine on this computer: a plan to read first, progress, Cancel; Slicer is not touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from clopa_annotator.errors import EngineError
from CLoPAAnnotatorLib.engine.ProcessLine import ProcessLine
from CLoPAAnnotatorLib.engine.Requirements import engineRequirements
from CLoPAAnnotatorLib.engine.Settings import Settings
from CLoPAAnnotatorLib.Texts import tr

PYTHON_VERSIONS = ">=3.10,<3.13"  # one that the computer has; if it has none, uv fetches the newest of these
GPU_SIZE, CPU_SIZE = "6 GB", "1.5 GB"


@dataclass(frozen=True)
class SetupStep:
    """One command of the installation.

    Attributes:
        title: what it does, for the user.
        arguments: for ``uv``, or for ``program``.
        otherwise: what to try if that fails, for instance because a firewall lets only PyPI through.
    """

    title: str
    arguments: tuple[str, ...]
    otherwise: tuple[str, ...] = ()
    program: str = ""


def setupPlan(environment: Path, python: Path) -> tuple[SetupStep, ...]:
    """What will be run. ``--torch-backend=auto`` picks the torch build that fits the graphics driver."""
    plain = ("pip", "install", "--python", str(python))
    fitting = (*plain, "--torch-backend=auto")
    torch = tuple(r for r in engineRequirements() if r.startswith("torch"))
    everything = engineRequirements()
    make = ("venv", "--python", PYTHON_VERSIONS, "--clear", str(environment))
    return (
        SetupStep(tr("Make a Python of its own"), make),
        SetupStep(tr("Install PyTorch"), (*fitting, *torch), (*plain, *torch)),
        SetupStep(tr("Install nnInteractive and the rest"), (*fitting, *everything), (*plain, *everything)),
        SetupStep(
            tr("Check that it works"),
            ("-c", "import clopa_annotator.campaign.composition"),
            program=str(python),
        ),
    )


def findUv(tools: Path) -> str:
    """The program ``uv``; put into ``tools`` if this computer has none: Slicer's packages stay as they are.

    Raises:
        EngineError: it was installed and is not there.
    """
    program = tools / "bin" / ("uv.exe" if os.name == "nt" else "uv")
    found = shutil.which("uv") or (str(program) if program.is_file() else "")
    if not found:
        slicer.util.pip_install(["--target", str(tools), "--upgrade", "uv"])
        if not program.is_file():
            raise EngineError(tr("uv was installed but {path} is not there.").format(path=program))
        found = str(program)
    return found


class EngineSetup:
    """Runs the plan step by step and shows it."""

    def __init__(self, ui: Any, settings: Settings, onEnd: Callable[[str, bool], None]) -> None:
        self.ui, self._settings, self._onEnd = ui, settings, onEnd
        self.findUv = findUv
        self._process = ProcessLine(self._heard, self._stepEnded, self._heard)
        self._steps: list[SetupStep] = []
        self._step = SetupStep("", ())
        self._total, self._program = 0, ""
        self._isShown = False
        ui.setupButton.connect("clicked(bool)", lambda _=False: self._toggle())
        ui.setupStart.connect("clicked(bool)", lambda _=False: self.start())
        ui.setupCancel.connect("clicked(bool)", lambda _=False: self.cancel())

    @property
    def isRunning(self) -> bool:
        """Whether an installation is under way."""
        return self._process.isRunning

    def _toggle(self) -> None:
        self._isShown = not self._isShown
        self.refresh()

    def planText(self) -> str:
        """The plan in words, with sizes."""
        gpu = shutil.which("nvidia-smi") is not None
        size = GPU_SIZE if gpu else CPU_SIZE
        kind = tr("an NVIDIA graphics card was found") if gpu else tr("no NVIDIA graphics card was found")
        return tr(
            "Installs PyTorch and nnInteractive, with a Python of their own, into {folder}: about {size} "
            "({kind}). Takes some minutes. Slicer's own packages are not changed; to undo, delete the folder."
        ).format(folder=self._settings.environment, size=size, kind=kind)

    def start(self) -> None:
        """Install; what was there is replaced."""
        environment = self._settings.environment
        try:
            self._program = self.findUv(self._settings.tools)
            (environment / "ready").unlink(missing_ok=True)
            environment.parent.mkdir(parents=True, exist_ok=True)
        except Exception as error:  # noqa: BLE001  pip's wrapper raises many kinds; all end in this sentence
            self._onEnd(tr("The installer could not be prepared: {why}").format(why=error), False)
            return
        self._steps = list(setupPlan(environment, self._settings.environmentPython))
        self._total = len(self._steps)
        self._next()

    def _next(self) -> None:
        self._step = step = self._steps.pop(0)
        done = self._total - len(self._steps) - 1
        self.ui.setupProgress.maximum, self.ui.setupProgress.value = self._total, done
        self.ui.setupProgress.setFormat(tr("step {n} of {of}").format(n=done + 1, of=self._total))
        self.ui.setupPlan.text = f"{step.title} …"
        self._process.start(step.program or self._program, step.arguments)
        self.refresh()

    def _heard(self, line: str) -> None:
        if line.strip() and self.isRunning:
            self.ui.setupPlan.text = f"{self._step.title}: {line.strip()[:120]}"

    def _stepEnded(self, code: int, errors: str) -> None:
        if code > 0 and self._step.otherwise:
            self._step = SetupStep(self._step.title, self._step.otherwise)
            self._process.start(self._program, self._step.arguments)
        elif code != 0:
            why = errors.splitlines()[-1] if errors else str(code)
            self._steps = []
            self._onEnd(
                tr("The installation failed: {why}. Nothing else was changed; try again.").format(why=why),
                False,
            )
        elif self._steps:
            self._next()
        else:
            (self._settings.environment / "ready").touch()
            self._isShown = False
            self._onEnd(tr("The engine is installed. Press Connect."), True)
        self.refresh()

    def cancel(self) -> None:
        """Stop the installation."""
        if self.isRunning:
            self._steps = []
            self._process.kill()  # it does not listen; what it left is replaced by the next try
            self._onEnd(tr("The installation was cancelled. The engine is not installed."), False)
        self._isShown = False
        self.refresh()

    def refresh(self) -> None:
        """Show the plan or the progress."""
        ui, running = self.ui, self.isRunning
        installed = bool(self._settings.python)
        ui.setupLabel.text = tr("installed") if installed else tr("not installed yet")
        ui.setupButton.enabled = not running
        ui.setupBox.setVisible((self._isShown or running) and not ui.serverRadio.checked)
        ui.setupStart.setVisible(not running)
        ui.setupProgress.setVisible(running)
        if self._isShown and not running:
            ui.setupPlan.text = self.planText()
