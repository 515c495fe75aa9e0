"""The suggestion of the open case, in section 3: who made it, and what may be made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from CLoPAAnnotatorLib.annotation import Sentences
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.panels.Style import SUGGESTION
from CLoPAAnnotatorLib.Texts import tr


class SuggestionPanel:
    """Shown while what is on the screen is a suggestion, or was made from one that can still be cleared."""

    def __init__(self, ui: Any, workspace: Workspace) -> None:
        self.ui, self._workspace, self._session = ui, workspace, workspace.session
        ui.suggestionBox.setStyleSheet(SUGGESTION)
        for button, action in ((ui.takeSuggestionButton, self.take), (ui.clearSuggestionButton, self.clear)):
            button.connect("clicked(bool)", lambda _=False, action=action: workspace.attempt(action))
        for listeners in (workspace.listeners.busy, workspace.listeners.opened, workspace.listeners.targets):
            listeners.append(self.refresh)
        self.refresh()

    def keys(self) -> list[tuple[str, Callable[[], object]]]:
        """What its keys do."""
        return [("S", self.take), ("X", self.clear)]

    def take(self) -> None:
        """Start from the suggestion; can be undone."""
        if self._session.isOpen and self._session.work.isSuggestionShown:
            self._session.ask("mask")
            self._workspace.say(
                tr("The suggestion is your start. Left-click what is missing, right-click what is too much."),
                "calm",
            )

    def clear(self) -> None:
        """Throw the suggestion away, with what was made of it; can be undone."""
        if self._session.isOpen and self._session.work.isSuggestionOnScreen:
            self._session.ask("reset")

    def refresh(self) -> None:
        """Show what there is."""
        ui, session = self.ui, self._session
        work = session.work if session.isOpen else None
        isShown = work is not None and work.suggested is not None and work.isSuggestionOnScreen
        if bool(ui.suggestionBox.visible) != isShown:
            ui.suggestionBox.setVisible(isShown)
        if work is None or work.suggested is None or not isShown:
            return
        said = Sentences.suggestedBy(work.suggested.mark)
        if not work.isSuggestionShown:
            said = tr("Taken as a start.") + " " + said
        if str(ui.suggestionLabel.text) != said:
            ui.suggestionLabel.text = said
        isFree = self._workspace.isConnected and not session.isConfirming
        ui.takeSuggestionButton.enabled = isFree and work.isSuggestionShown
        ui.clearSuggestionButton.enabled = isFree
