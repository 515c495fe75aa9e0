"""The engine on this computer: a process of its own, started and watched through Qt.

It runs in an environment of its own, never in Slicer's Python. When its standard input closes, it ends: so no
engine outlives Slicer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.errors import ClopaError
from clopa_annotator.wire.tokens import first_token
from CLoPAAnnotatorLib.engine.ProcessLine import ProcessLine
from CLoPAAnnotatorLib.Texts import tr


@dataclass(frozen=True)
class NewCampaign:
    """What a campaign is made of, if the folder is not one yet.

    Attributes:
        name: for people.
        size: planned cases.
        model: base model; empty for the bundled one.
        schedule: how long an episode trains, as on the command line; empty for the command's own choice.
    """

    name: str
    size: int
    model: str = ""
    schedule: str = ""

    def arguments(self, folder: Path) -> list[str]:
        """The command that makes it."""
        command = ["campaign", "create", str(folder), "--name", self.name, "--size", str(self.size)]
        for option, value in (("--model", self.model), ("--schedule", self.schedule)):
            command += [option, value] if value else []
        return command


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

    def start(self, python: str, campaign: Path, new: NewCampaign) -> None:
        """Start the engine.

        Args:
            python: interpreter of the engine's environment.
            campaign: the campaign's folder.
            new: what to make of the folder, if it is not a campaign yet.
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
        self._line.start(python, [*clopa, *new.arguments(campaign)])

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

    def letGo(self) -> None:
        """Ask the engine to end; does not wait."""
        self._next = None
        self._line.letGo()

    def stop(self) -> None:
        """End the engine and wait until it is gone."""
        self._next = None
        self._line.stop()
