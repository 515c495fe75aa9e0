"""Routes of learning and of the engine itself: hello, state, episodes, weights, export."""

from __future__ import annotations

from typing import Protocol

from starlette.routing import Route

from clopa_annotator.errors import InputError
from clopa_annotator.server.http import Ask, Reply, route
from clopa_annotator.server.routes_cases import text
from clopa_annotator.types import WeightsVersion
from clopa_annotator.wire.array_framing import WireLimits
from clopa_annotator.wire.codec import episode_to_wire, info_to_wire, learning_to_wire, version_to_wire
from clopa_annotator.wire.messages import EngineInfo, EpisodeRow, LearningState
from clopa_annotator.wire.session_messages import integer
from clopa_annotator.wire.tokens import Identity


class LearningHost(Protocol):
    """What these routes need from the engine."""

    def info(self, who: Identity) -> EngineInfo:
        """Who answers."""
        ...

    @property
    def last_event(self) -> int:
        """Number of the newest event."""
        ...

    def learning(self, who: Identity) -> LearningState:
        """What is being learned, as this person sees it."""
        ...

    def episodes(self) -> tuple[EpisodeRow, ...]:
        """Every episode."""
        ...

    def weights_versions(self) -> tuple[WeightsVersion, ...]:
        """Every weights version."""
        ...

    def steer(self, action: str, value: bool | int | str | None, who: Identity) -> None:
        """``train``, ``pause``, ``cancel``, ``rollback`` or ``policy``."""
        ...

    def export(self, format: str, folder: str) -> str:
        """Write confirmed cases or weights under the campaign folder; the folder written."""
        ...


class LearningRoutes:
    """Handlers over a `LearningHost`."""

    def __init__(self, host: LearningHost) -> None:
        """Serve the learning of ``host``."""
        self._host = host

    def routes(self, limits: WireLimits) -> list[Route]:
        """All routes of this module."""
        reads = {
            "hello": self.hello,
            "state": self._state,
            "episodes": lambda _: Reply({"episodes": [episode_to_wire(e) for e in self._host.episodes()]}),
            "weights": lambda _: Reply(
                {"weights": [version_to_wire(v) for v in self._host.weights_versions()]}
            ),
        }
        writes = {
            "episodes/start": self.start,
            "episodes/pause": self.pause,
            "episodes/cancel": self.cancel,
            "weights/activate": self.roll_back,
            "weights/rollback": self.roll_back,
            "weights/policy": self.policy,
            "export": self.export,
        }
        return [
            *(route(path, handler, limits, ("GET", "POST")) for path, handler in reads.items()),
            *(route(path, handler, limits) for path, handler in writes.items()),
        ]

    def hello(self, ask: Ask) -> Reply:
        """Who answers, and after which event a client that has just come should listen."""
        return Reply({"engine": info_to_wire(self._host.info(ask.who)), "last_event": self._host.last_event})

    def start(self, ask: Ask) -> Reply:
        """Start an episode with what is there."""
        ask.who.require_owner("start an episode")
        return self._steer("train", None, ask)

    def pause(self, ask: Ask) -> Reply:
        """Start no episode by itself, or again."""
        ask.who.require_owner("pause learning")
        paused = ask.meta.get("paused")
        if not isinstance(paused, bool):
            raise InputError("Say whether learning is to pause: paused is true or false.")
        return self._steer("pause", paused, ask)

    def cancel(self, ask: Ask) -> Reply:
        """Stop the running episode."""
        ask.who.require_owner("cancel an episode")
        return self._steer("cancel", None, ask)

    def roll_back(self, ask: Ask) -> Reply:
        """Make a version current."""
        ask.who.require_owner("choose the weights")
        return self._steer("rollback", integer(ask.meta.get("version")), ask)

    def policy(self, ask: Ask) -> Reply:
        """Say when promoted weights come into use."""
        policy = text(ask.meta, "policy")
        if policy not in ("between cases", "at once"):
            raise InputError('Promoted weights come into use "between cases" or "at once".')
        ask.who.require_owner("say when weights come into use")
        return self._steer("policy", policy, ask)

    def export(self, ask: Ask) -> Reply:
        """Write confirmed cases or weights on the engine's machine."""
        ask.who.require_owner("export")
        return Reply({"folder": self._host.export(text(ask.meta, "format"), text(ask.meta, "folder", ""))})

    def _steer(self, action: str, value: bool | int | str | None, ask: Ask) -> Reply:
        self._host.steer(action, value, ask.who)
        return self._state(ask)

    def _state(self, ask: Ask) -> Reply:
        return Reply({"learning": learning_to_wire(self._host.learning(ask.who))})
