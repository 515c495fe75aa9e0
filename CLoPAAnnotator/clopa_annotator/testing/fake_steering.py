"""The learning part of the in-process engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from clopa_annotator.client.calls import Call
from clopa_annotator.testing.fake_cases import FakeCase
from clopa_annotator.testing.fake_learning import FakeLearning
from clopa_annotator.testing.fake_review import FakeReviews
from clopa_annotator.testing.fake_suggestions import FakeSuggestions
from clopa_annotator.types import WeightsVersion
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningState, SwapPolicy
from clopa_annotator.wire.messages import CaseStatistics
from clopa_annotator.wire.suggestion_messages import SuggestionState


class FakeSteering(FakeReviews):
    """What is asked about learning, of each target, and suggestions; mixed into `FakeEngineClient`."""

    def learning(self, target: str = "") -> Call[LearningState]:
        """What is being learned now of a target."""
        return self._do("tell what is being learned", lambda: self.campaign.line(target).state())

    def episodes(self, target: str = "") -> Call[tuple[EpisodeRow, ...]]:
        """Every episode of a target."""
        return self._do("list the episodes", lambda: tuple(self.campaign.line(target).episodes))

    def weights(self, target: str = "") -> Call[tuple[WeightsVersion, ...]]:
        """Every weights version of a target."""
        return self._do("list the weights", lambda: tuple(self.campaign.line(target).versions))

    def statistics(self, target: str = "") -> Call[tuple[CaseStatistics, ...]]:
        """Every valid confirmation of a target."""
        return self._do("read the statistics", lambda: self.campaign.statistics(target))

    def train_now(self, target: str = "") -> Call[LearningState]:
        """Start an episode."""
        return self._learn("start an episode", target, lambda line: line.start())

    def pause(self, paused: bool, target: str = "") -> Call[LearningState]:
        """Pause or resume learning."""
        return self._learn("pause learning", target, lambda line: setattr(line, "paused", paused))

    def cancel_episode(self, target: str = "") -> Call[LearningState]:
        """Stop the running episode."""
        return self._learn("cancel the episode", target, lambda line: line.cancel())

    def roll_back(self, version: int, target: str = "") -> Call[LearningState]:
        """Use an earlier version."""
        return self._learn("roll back", target, lambda line: line.roll_back(version))

    def set_swap_policy(self, policy: SwapPolicy, target: str = "") -> Call[LearningState]:
        """Say when promoted weights come into use."""
        return self._learn("change the setting", target, lambda line: setattr(line, "policy", policy))

    def suggestions(self) -> Call[SuggestionState]:
        """What is done about suggestions."""
        return self._suggest("say what is suggested", lambda made, cases: made.state(cases))

    def suggest_all(self) -> Call[SuggestionState]:
        """Suggest for every open case."""
        return self._suggest("suggest for all cases", lambda made, cases: made.want_all(cases))

    def cancel_suggestions(self) -> Call[SuggestionState]:
        """Suggest for the next cases only."""
        return self._suggest("stop suggesting for all cases", lambda made, cases: made.cancel(cases))

    def switch_suggestions(self, on: bool) -> Call[SuggestionState]:
        """Have masks suggested, or not."""
        return self._suggest("change the setting", lambda made, cases: made.switch(on, cases))

    def _suggest(
        self, name: str, work: Callable[[FakeSuggestions, Iterable[FakeCase]], SuggestionState]
    ) -> Call[SuggestionState]:
        return self._do(name, lambda: work(self.campaign.suggestions, self.campaign.cases.values()))

    def _learn(self, name: str, target: str, work: Callable[[FakeLearning], None]) -> Call[LearningState]:
        def carry_out() -> LearningState:
            line = self.campaign.line(target)
            work(line)
            return line.state()

        return self._do(name, carry_out)
