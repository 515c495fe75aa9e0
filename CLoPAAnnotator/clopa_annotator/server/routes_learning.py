"""Routes of learning and of the engine itself: hello, state, episodes, weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from starlette.routing import Route

from clopa_annotator.campaign.idle.case_queue import CaseQueue
from clopa_annotator.errors import InputError
from clopa_annotator.server.http import Ask, Reply, route
from clopa_annotator.server.routes_cases import text
from clopa_annotator.types import Targets, WeightsVersion
from clopa_annotator.wire.array_framing import WireLimits
from clopa_annotator.wire.codec import (
    case_settings_from_wire,
    episode_to_wire,
    info_to_wire,
    learning_to_wire,
    targets_from_wire,
    version_to_wire,
)
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningState
from clopa_annotator.wire.messages import EngineInfo
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

    def learning(self, who: Identity, target: str = "") -> LearningState:
        """What is being learned of a target, as this person sees it."""
        ...

    def episodes(self, target: str = "") -> tuple[EpisodeRow, ...]:
        """Every episode of a target."""
        ...

    def weights_versions(self, target: str = "") -> tuple[WeightsVersion, ...]:
        """Every weights version of a target."""
        ...

    def steer(self, action: str, value: bool | int | str | None, who: Identity, target: str = "") -> None:
        """``train``, ``pause``, ``cancel``, ``rollback`` or ``policy``, for a target."""
        ...

    def set_targets(self, targets: Targets) -> None:
        """Say what the campaign segments."""
        ...

    @property
    def queue(self) -> CaseQueue:
        """How cases come to annotators."""
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
            "episodes": self.episodes,
            "weights": self.weights,
        }
        writes = {
            "episodes/start": self.start,
            "episodes/pause": self.pause,
            "episodes/cancel": self.cancel,
            "weights/activate": self.roll_back,
            "weights/rollback": self.roll_back,
            "weights/policy": self.policy,
            "targets/set": self.set_targets,
            "cases/settings": self.set_case_settings,
        }
        return [
            *(route(path, handler, limits, ("GET", "POST")) for path, handler in reads.items()),
            *(route(path, handler, limits) for path, handler in writes.items()),
        ]

    def hello(self, ask: Ask) -> Reply:
        """Who answers, and after which event a client that has just come should listen."""
        return Reply({"engine": self._info(ask), "last_event": self._host.last_event})

    def _info(self, ask: Ask) -> dict[str, Any]:
        return info_to_wire(replace(self._host.info(ask.who), may_review=ask.who.may_review))

    def episodes(self, ask: Ask) -> Reply:
        """Every episode of a target."""
        return Reply({"episodes": [episode_to_wire(e) for e in self._host.episodes(_target(ask))]})

    def weights(self, ask: Ask) -> Reply:
        """Every weights version of a target."""
        return Reply({"weights": [version_to_wire(v) for v in self._host.weights_versions(_target(ask))]})

    def set_targets(self, ask: Ask) -> Reply:
        """Name, colour, order, add and remove targets."""
        ask.who.require_owner("change what is segmented")
        self._host.set_targets(targets_from_wire(ask.meta.get("targets")))
        return Reply({"engine": self._info(ask)})

    def set_case_settings(self, ask: Ask) -> Reply:
        """Say in which order cases come, and how many of them without a suggestion."""
        ask.who.require_owner("say in which order cases come")
        self._host.queue.change(case_settings_from_wire(ask.meta.get("settings")), ask.who.name)
        return Reply({"engine": info_to_wire(self._host.info(ask.who))})

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

    def _steer(self, action: str, value: bool | int | str | None, ask: Ask) -> Reply:
        self._host.steer(action, value, ask.who, _target(ask))
        return self._state(ask)

    def _state(self, ask: Ask) -> Reply:
        return Reply({"learning": learning_to_wire(self._host.learning(ask.who, _target(ask)))})


def _target(ask: Ask) -> str:
    """The key of the target that a message is about; the campaign's first if it says nothing."""
    return text(ask.meta, "target", "")
