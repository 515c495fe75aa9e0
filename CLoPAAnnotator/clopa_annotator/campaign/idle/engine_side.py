"""What the suggestions' desk needs of an engine, put together from the engine's parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from clopa_annotator.campaign.idle.click_watch import ClickWatch
from clopa_annotator.campaign.idle.ready_suggestions import ReadySuggestions
from clopa_annotator.campaign.idle.suggestion_desk import SuggestionDesk
from clopa_annotator.campaign.idle.surroundings import SuggestionSettings
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.campaign.prediction import LineVersion, PredictionThread
from clopa_annotator.campaign.training_desk import TrainingDesk
from clopa_annotator.events import EventLog
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.suggesting import LocalSuggester
from clopa_annotator.suggestions.campaign_past import calibration_of
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import Event

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign

_NEW_WEIGHTS = frozenset(
    {"swapped", "promoted", "rejected", "version_confirmed", "taken_back", "rolled_back", "targets_changed"}
)


class EngineSide:
    """Fulfils `surroundings.Surroundings`."""

    def __init__(
        self,
        campaign: Campaign,
        leases: CaseLeases,
        events: EventLog,
        prediction: PredictionThread,
        watch: ClickWatch,
        trainer: TrainingDesk,
    ) -> None:
        """Nothing happens yet; versions are read again when an event tells of others."""
        self.store, self.leases, self.events = campaign.store, leases, events
        self._campaign, self._prediction = campaign, prediction
        self._watch, self._trainer = watch, trainer
        self._in_use: dict[str, LineVersion] = {}
        events.subscribe(self._heard)

    def _heard(self, event: Event) -> None:
        if event.name in _NEW_WEIGHTS:
            self._in_use = {}

    def suggester(self) -> LocalSuggester:
        """See `Surroundings.suggester`."""
        return LocalSuggester(self._campaign.model, best_cpu_precision())

    def off(self) -> str:
        """See `Surroundings.off`."""
        campaign = self._campaign
        if not campaign.config.suggestions:
            return "Suggestions are switched off in this campaign."
        if campaign.strategy.online is not None:
            return "This campaign's strategy learns between clicks; it makes no suggestions."
        if campaign.strategy.joint and len(campaign.targets) > 1:
            return "All targets share their weights, which cannot tell targets apart without a click."
        return ""

    def in_use(self, target: str) -> LineVersion:
        """See `Surroundings.in_use`."""
        known = self._in_use
        if target not in known:
            line = self._campaign.line(target)
            known[target] = LineVersion(line.key, line.registry.current().number)
        return known[target]

    def spare(self, wanted: LineVersion, work: Callable[[], bool]) -> bool:
        """See `Surroundings.spare`."""
        return self._prediction.spare(wanted, work, lambda: self._watch.is_busy)

    @property
    def quiet_s(self) -> float:
        """See `Surroundings.quiet_s`."""
        return self._watch.quiet_s

    @property
    def is_training(self) -> bool:
        """See `Surroundings.is_training`."""
        return self._trainer.job is not None


def desk_of(campaign: Campaign, side: EngineSide, settings: SuggestionSettings) -> SuggestionDesk:
    """The desk of a campaign's suggestions."""
    folder = SuggestionFolder(campaign.folder)
    ready = ReadySuggestions(folder, lambda target: calibration_of(campaign.folder, campaign.store, target))
    return SuggestionDesk(side, folder, ready, settings)
