"""What a saved scene remembers: the module's parameter node, read and written by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clopa_annotator.errors import ConfigError
from clopa_annotator.types import Slot
from clopa_annotator.types.targets import FIRST
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource

VOLUME, SEGMENTATION, CASE_VOLUME = "Volume", "Segmentation", "Case."


class ParameterState:
    """Typed access to the parameter node; the node is asked for anew each time, as scenes come and go."""

    def __init__(self, parameterNode: Callable[[], Any]) -> None:
        self._node = parameterNode
        self._sourcesText = ""
        self._sources: tuple[CaseSource, ...] = ()  # what was read last: it is asked for often

    def _text(self, name: str, otherwise: str = "") -> str:
        return self._node().GetParameter(name) or otherwise

    def _set(self, name: str, value: str) -> None:
        if self._node().GetParameter(name) != value:
            self._node().SetParameter(name, value)

    @property
    def caseId(self) -> str:
        """The open case; empty if none is."""
        return self._text("CaseId")

    @caseId.setter
    def caseId(self, caseId: str) -> None:
        self._set("CaseId", caseId)

    @property
    def slot(self) -> Slot:
        """The chosen target of the open case, and which of several of a kind; the first if none was."""
        key, _, instance = self._text("Slot").partition(" ")
        try:
            return Slot(key, int(instance or 1))
        except (ConfigError, ValueError):
            return FIRST  # written by something else than this module

    @slot.setter
    def slot(self, slot: Slot) -> None:
        self._set("Slot", f"{slot.target} {slot.instance}")

    @property
    def tool(self) -> str:
        """The chosen tool; empty if none is."""
        return self._text("Tool")

    @tool.setter
    def tool(self, tool: str) -> None:
        self._set("Tool", tool)

    @property
    def isPositive(self) -> bool:
        """The sign of the next prompt."""
        return self._text("Sign", "+") == "+"

    @isPositive.setter
    def isPositive(self, positive: bool) -> None:
        self._set("Sign", "+" if positive else "-")

    @property
    def campaign(self) -> str:
        """Folder of the campaign on this computer."""
        return self._text("Campaign")

    @campaign.setter
    def campaign(self, folder: str) -> None:
        self._set("Campaign", folder)

    @property
    def sources(self) -> tuple[CaseSource, ...]:
        """The list of cases."""
        text = self._text("Cases", "[]")
        if text != self._sourcesText:
            self._sourcesText, self._sources = text, _read(text)
        return self._sources

    @sources.setter
    def sources(self, sources: tuple[CaseSource, ...]) -> None:
        rows = [
            {"case": s.caseId, "path": str(s.path or ""), "node": s.nodeId, "series": s.series}
            for s in sources
        ]
        self._set("Cases", json.dumps(rows, ensure_ascii=False))
        for source in sources:  # a reference follows its node when a scene renumbers ids
            if source.nodeId:
                self._node().SetNodeReferenceID(CASE_VOLUME + source.caseId, source.nodeId)

    def volumeOfCase(self, caseId: str) -> Any:
        """The scene's volume that was listed as a case."""
        return self._node().GetNodeReference(CASE_VOLUME + caseId)

    @property
    def volume(self) -> Any:
        """The open case's volume."""
        return self._node().GetNodeReference(VOLUME)

    @volume.setter
    def volume(self, node: Any) -> None:
        self._node().SetNodeReferenceID(VOLUME, node.GetID() if node is not None else None)

    @property
    def segmentation(self) -> Any:
        """The segmentation that holds the proposal."""
        return self._node().GetNodeReference(SEGMENTATION)

    @segmentation.setter
    def segmentation(self, node: Any) -> None:
        self._node().SetNodeReferenceID(SEGMENTATION, node.GetID() if node is not None else None)


def _read(text: str) -> tuple[CaseSource, ...]:
    try:
        rows = json.loads(text)
        return tuple(
            CaseSource(r["case"], Path(r["path"]) if r["path"] else None, r["node"], r.get("series", ""))
            for r in rows
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()  # written by something else than this module; an empty list can be filled again
