"""The choice of the order in which the campaign's cases come: the lead's, and everybody's to see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clopa_annotator.case_order import IN_WORDS
from clopa_annotator.config import CASE_ORDERS
from clopa_annotator.errors import ClopaError
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.Texts import tr


class CaseOrderBox:
    """A box over `EngineInfo.cases`; what is chosen is asked of the engine, and shown once it is so."""

    def __init__(self, box: Any, workspace: Workspace) -> None:
        self._box, self._workspace = box, workspace
        for order in CASE_ORDERS:
            box.addItem(tr(IN_WORDS[order]), order)
        box.connect("activated(int)", lambda place: self._choose(str(box.itemData(place))))
        workspace.listeners.engine.append(self.refresh)
        workspace.listeners.cases.append(self.refresh)
        self.refresh()

    def _choose(self, order: str) -> None:
        workspace = self._workspace
        settings = replace(workspace.cases.settings, order=order)
        if workspace.isConnected and settings != workspace.cases.settings:
            workspace.link.client.set_case_settings(settings).then(workspace.infoIs, self._refused)

    def _refused(self, error: ClopaError) -> None:
        self._workspace.say(str(error), "error")
        self.refresh()

    def refresh(self) -> None:
        """Show what the campaign says."""
        workspace = self._workspace
        owner = workspace.info is not None and workspace.info.is_owner
        self._box.enabled = workspace.isConnected and owner
        place = CASE_ORDERS.index(workspace.cases.settings.order)
        if self._box.currentIndex != place:
            self._box.setCurrentIndex(place)
