"""Routes of suggestions: how far they are, all of them at once, and whether there are any."""

from __future__ import annotations

from typing import Protocol

from starlette.routing import Route

from clopa_annotator.errors import InputError
from clopa_annotator.server.http import Ask, Reply, route
from clopa_annotator.wire.array_framing import WireLimits
from clopa_annotator.wire.suggestion_messages import SuggestionState, state_to_wire


class SuggestionHost(Protocol):
    """What these routes need; see `campaign.idle.suggestion_desk`."""

    def state(self) -> SuggestionState:
        """What is being done."""
        ...

    def want_all(self) -> SuggestionState:
        """Suggest for every open case."""
        ...

    def cancel(self) -> SuggestionState:
        """Suggest for the next cases only."""
        ...

    def switched(self) -> SuggestionState:
        """The campaign's setting was changed."""
        ...


class SettingHost(Protocol):
    """Who keeps the campaign's settings."""

    def set_suggestions(self, on: bool) -> None:
        """Have masks suggested, or not."""
        ...


class SuggestionRoutes:
    """Handlers over both."""

    def __init__(self, desk: SuggestionHost, setting: SettingHost) -> None:
        """Serve the suggestions of ``desk``, which ``setting`` switches on and off."""
        self._desk, self._setting = desk, setting

    def routes(self, limits: WireLimits) -> list[Route]:
        """All routes of this module."""
        return [
            route("suggestions/state", self.state, limits, ("GET", "POST")),
            route("suggestions/all", self.all, limits),
            route("suggestions/cancel", self.cancel, limits),
            route("suggestions/switch", self.switch, limits),
        ]

    def state(self, _: Ask) -> Reply:
        """What is being done."""
        return _reply(self._desk.state())

    def all(self, _: Ask) -> Reply:
        """Suggest for every open case."""
        return _reply(self._desk.want_all())

    def cancel(self, _: Ask) -> Reply:
        """Suggest for the next cases only; what is made stays."""
        return _reply(self._desk.cancel())

    def switch(self, ask: Ask) -> Reply:
        """Have masks suggested, or not; for owners."""
        ask.who.require_owner("say whether masks are suggested")
        on = ask.meta.get("on")
        if not isinstance(on, bool):
            raise InputError("Say whether masks are suggested: on is true or false.")
        self._setting.set_suggestions(on)
        return _reply(self._desk.switched())


def _reply(state: SuggestionState) -> Reply:
    return Reply({"suggestions": state_to_wire(state)})
