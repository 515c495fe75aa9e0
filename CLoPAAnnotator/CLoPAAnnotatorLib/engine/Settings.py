"""What is remembered on this computer, outside any scene: Qt's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

GROUP = "CLoPAAnnotator/"


class Settings:
    """Typed access to Slicer's settings."""

    def __init__(self, settings: Any, home: Path) -> None:
        """Use a QSettings.

        Args:
            settings: ``slicer.app.userSettings()``.
            home: where the engine's environment and the spool lie; outside Slicer's own folders, so that an
                update of Slicer keeps them.
        """
        self._settings, self.home = settings, home

    def _text(self, key: str) -> str:
        value = self._settings.value(GROUP + key)
        return str(value) if value is not None else ""

    def _set(self, key: str, value: str) -> None:
        self._settings.setValue(GROUP + key, value)

    @property
    def campaign(self) -> str:
        """The campaign folder used last."""
        return self._text("campaign")

    @campaign.setter
    def campaign(self, value: str) -> None:
        self._set("campaign", value)

    @property
    def serverUrl(self) -> str:
        """The GPU server's address."""
        return self._text("serverUrl")

    @serverUrl.setter
    def serverUrl(self, value: str) -> None:
        self._set("serverUrl", value)

    @property
    def serverToken(self) -> str:
        """The token for it."""
        return self._text("serverToken")

    @serverToken.setter
    def serverToken(self, value: str) -> None:
        self._set("serverToken", value)

    @property
    def usesServer(self) -> bool:
        """Whether a server was used last."""
        return self._text("usesServer") == "yes"

    @usesServer.setter
    def usesServer(self, value: bool) -> None:
        self._set("usesServer", "yes" if value else "no")

    @property
    def annotator(self) -> str:
        """The user's name."""
        return self._text("annotator")

    @annotator.setter
    def annotator(self, value: str) -> None:
        self._set("annotator", value)

    @property
    def environment(self) -> Path:
        """Folder of the engine's own Python environment."""
        return self.home / "engine"

    @property
    def tools(self) -> Path:
        """Folder for the installer, if the computer has none."""
        return self.home / "tools"

    @property
    def python(self) -> str:
        """The engine's interpreter: ``CLOPA_ENGINE_PYTHON``, or that of the environment; empty if none."""
        chosen = os.environ.get("CLOPA_ENGINE_PYTHON")
        if chosen:
            return chosen
        found = self.environmentPython
        return str(found) if found.is_file() and (self.environment / "ready").is_file() else ""

    @property
    def environmentPython(self) -> Path:
        """Where the environment's interpreter is, or will be."""
        return self.environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def spool(self) -> Path:
        """Folder for confirmations that could not be delivered yet."""
        return self.home / "spool"
