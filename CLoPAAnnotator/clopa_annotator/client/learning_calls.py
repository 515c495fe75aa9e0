"""The part of `HttpEngineClient` that is about learning, of each target, and suggestions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from clopa_annotator.client.call_workers import CallWorker
from clopa_annotator.client.calls import Call
from clopa_annotator.client.operations import ClientOperations
from clopa_annotator.client.transfers import TransferCalls
from clopa_annotator.types import WeightsVersion
from clopa_annotator.wire import codec
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningState, SwapPolicy
from clopa_annotator.wire.messages import CaseStatistics
from clopa_annotator.wire.suggestion_messages import SuggestionState

T = TypeVar("T")


class LearningCalls(TransferCalls):
    """Questions that never wait behind a prediction, and orders that keep their place; mixed in."""

    _engine: ClientOperations
    _quick: CallWorker

    def learning(self, target: str = "") -> Call[LearningState]:
        """What is being learned now of a target."""
        return self._quick.do("say what is being learned", lambda: self._engine.steer("state", {}, target))

    def episodes(self, target: str = "") -> Call[tuple[EpisodeRow, ...]]:
        """Every episode of a target, oldest first."""
        return self._ask("list the episodes", "episodes", codec.episode_from_wire, target)

    def weights(self, target: str = "") -> Call[tuple[WeightsVersion, ...]]:
        """Every weights version of a target, the base first."""
        return self._ask("list the weights", "weights", codec.version_from_wire, target)

    def statistics(self, target: str = "") -> Call[tuple[CaseStatistics, ...]]:
        """Every confirmation of a target that is not withdrawn, in order of arrival."""
        return self._ask("list the statistics", "statistics", codec.statistics_from_wire, target)

    def train_now(self, target: str = "") -> Call[LearningState]:
        """Start an episode with what is there."""
        return self._steer("start an episode", "episodes/start", {}, target)

    def pause(self, paused: bool, target: str = "") -> Call[LearningState]:
        """Start no episode by itself (True), or again (False)."""
        return self._steer("pause learning", "episodes/pause", {"paused": paused}, target)

    def cancel_episode(self, target: str = "") -> Call[LearningState]:
        """Stop the running episode; the weights stay."""
        return self._steer("cancel the episode", "episodes/cancel", {}, target)

    def roll_back(self, version: int, target: str = "") -> Call[LearningState]:
        """Use an earlier version from now on."""
        return self._steer("roll back", "weights/rollback", {"version": version}, target)

    def set_swap_policy(self, policy: SwapPolicy, target: str = "") -> Call[LearningState]:
        """Say when promoted weights come into use."""
        return self._steer("change the setting", "weights/policy", {"policy": policy}, target)

    def suggestions(self) -> Call[SuggestionState]:
        """What is done about suggestions."""
        return self._quick.do("say what is suggested", lambda: self._engine.suggestions("state", {}))

    def suggest_all(self) -> Call[SuggestionState]:
        """Suggest for every open case."""
        return self._do("suggest for all cases", lambda: self._engine.suggestions("all", {}))

    def cancel_suggestions(self) -> Call[SuggestionState]:
        """Suggest for the next cases only."""
        return self._do("stop suggesting for all cases", lambda: self._engine.suggestions("cancel", {}))

    def switch_suggestions(self, on: bool) -> Call[SuggestionState]:
        """Have masks suggested, or not."""
        return self._do("change the setting", lambda: self._engine.suggestions("switch", {"on": on}))

    def _steer(self, name: str, path: str, meta: dict[str, object], target: str) -> Call[LearningState]:
        return self._do(name, lambda: self._engine.steer(path, meta, target))

    def _ask(
        self, name: str, path: str, read: Callable[[object], T], target: str = ""
    ) -> Call[tuple[T, ...]]:
        return self._quick.do(name, lambda: self._engine.table(path, path, read, target))

    def _do(self, name: str, work: Callable[[], T]) -> Call[T]:
        raise NotImplementedError
