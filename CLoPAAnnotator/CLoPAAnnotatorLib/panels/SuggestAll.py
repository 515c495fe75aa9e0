"""Suggestions in section 2: for all open cases at once, how far that is, and whether there are any."""

from __future__ import annotations

from typing import Any

from clopa_annotator.errors import ClopaError
from clopa_annotator.types import Event
from clopa_annotator.wire.suggestion_messages import SuggestionState
from CLoPAAnnotatorLib.annotation.SendCases import SendCases
from CLoPAAnnotatorLib.annotation.Workspace import Workspace
from CLoPAAnnotatorLib.Texts import tr

NAMED = 3
"""So many cases that were passed over are named; the others are counted."""


class SuggestAll:
    """Asks for suggestions, and tells what the engine does about them."""

    def __init__(self, ui: Any, workspace: Workspace) -> None:
        self.ui, self._workspace = ui, workspace
        self.state: SuggestionState | None = None
        self.sending = SendCases(workspace, self._sent)
        self._isAsking = False
        ui.suggestAllButton.connect("clicked(bool)", lambda _=False: workspace.attempt(self._pressed))
        ui.suggestBox.connect("clicked(bool)", self._switch)
        workspace.listeners.events.append(self._heard)
        workspace.listeners.engine.append(self._engine)
        workspace.listeners.cases.append(self.refresh)
        self.refresh()

    @property
    def isWanted(self) -> bool:
        """Whether all open cases are to have a suggestion."""
        return self.sending.isRunning or (self.state is not None and self.state.all_wanted)

    def _pressed(self) -> None:
        client = self._workspace.link.client
        if self.isWanted:
            self.sending.stop()
            client.cancel_suggestions().then(self._got, self._failed)
        else:
            client.suggest_all().then(self._got, self._failed)
            self.sending.start()
        self.refresh()

    def _switch(self, on: bool = False) -> None:
        if self._workspace.isConnected:
            self._workspace.link.client.switch_suggestions(bool(on)).then(self._switched, self._failed)

    def _switched(self, state: SuggestionState) -> None:
        self._got(state)
        self._workspace.refreshCases()

    def _sent(self) -> None:
        """One image more has come to the engine, or the last one."""
        if not self.sending.isRunning and self._workspace.isConnected and self.sending.total:
            self._workspace.link.client.suggest_all().then(self._got, self._failed)
        self.refresh()

    def _heard(self, event: Event) -> None:
        if event.name in ("suggestions", "suggested", "case_changed", "gap"):
            self.ask()

    def _engine(self) -> None:
        if self._workspace.isConnected:
            self.ask()
        else:
            self.sending.stop()
            self.state = None
            self.refresh()

    def ask(self) -> None:
        """Ask the engine what it does; once at a time, however many events come."""
        if not self._isAsking and self._workspace.link.client is not None:
            self._isAsking = True
            self._workspace.link.client.suggestions().then(self._got, self._failed)

    def _got(self, state: SuggestionState) -> None:
        self._isAsking, self.state = False, state
        self.refresh()

    def _failed(self, error: ClopaError) -> None:
        self._isAsking = False
        self._workspace.say(str(error), "error")
        self.refresh()

    def refresh(self) -> None:
        """Show how far it is."""
        ui, state, sending = self.ui, self.state, self.sending
        isConnected = self._workspace.isConnected and state is not None
        isOn = state is not None and state.is_on
        ui.suggestAllButton.text = tr("Stop") if self.isWanted else tr("Suggest for all open cases")
        ui.suggestAllButton.enabled = isConnected and isOn and bool(self._workspace.state.sources)
        ui.suggestBox.enabled = isConnected
        ui.suggestBox.checked = isOn or state is None
        done, total = (sending.done, sending.total) if sending.isRunning else self._progress()
        ui.suggestBar.setVisible(self.isWanted and total > 0)
        ui.suggestBar.maximum, ui.suggestBar.value = max(total, 1), done
        said = self._sentence() if isConnected else ""
        ui.suggestLabel.setVisible(bool(said))
        if str(ui.suggestLabel.text) != said:
            ui.suggestLabel.text = said

    def _progress(self) -> tuple[int, int]:
        return (self.state.done, self.state.total) if self.state is not None else (0, 0)

    def _sentence(self) -> str:
        state, sending = self.state, self.sending
        if state is None:
            return ""
        said = []
        if sending.isRunning:
            said.append(tr("Sending images: {n} of {total}.").format(n=sending.done, total=sending.total))
        elif state.all_wanted or state.phase in ("off", "stopped"):
            said.append(state.sentence)
        if state.ready:
            ready = tr("1 suggestion is ready.") if state.ready == 1 else tr("{n} suggestions are ready.")
            said.append(ready.format(n=state.ready))
        over = [*sending.passedOver.items(), *state.passed_over]
        said += [tr("{case} is passed over: {why}").format(case=c, why=why) for c, why in over[:NAMED]]
        if len(over) > NAMED:
            said.append(tr("{n} more are passed over.").format(n=len(over) - NAMED))
        return " ".join(said)
