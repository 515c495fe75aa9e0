"""In which order a campaign's cases come, which without a suggestion: settings and their effect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from clopa_annotator.campaign.idle.coming import ComingSlot
from clopa_annotator.case_order import BY_CERTAINTY, CaseSettings, mean_certainty
from clopa_annotator.events import EventLog
from clopa_annotator.types import Slot

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.campaign.idle.suggestion_desk import SuggestionDesk


class CaseQueue:
    """The settings in the campaign's folder, and what the desk of suggestions makes of them."""

    def __init__(self, campaign: Campaign, events: EventLog, desk: SuggestionDesk) -> None:
        """Have the desk suggest in the campaign's order, and withhold what the campaign withholds."""
        self._campaign, self._events, self._desk = campaign, events, desk
        desk.order, desk.needs_all, desk.withholds = self.coming, self.needs_all, self.withholds

    @property
    def settings(self) -> CaseSettings:
        """As they are now."""
        return CaseSettings.of(self._campaign.config)

    def change(self, settings: CaseSettings, who: str) -> None:
        """Have cases come otherwise from now on; the seed stays the campaign's. Told in the journal.

        Raises:
            CacheError: the change could not be written; nothing has changed.
        """
        change_settings(self._campaign, self._events, settings, who)

    def withholds(self, case_id: str, slot: Slot) -> bool:
        """Whether a suggestion is not to be shown."""
        return self.settings.withholds(case_id, slot)

    def needs_all(self) -> bool:
        """Whether every case needs a suggestion before it is known which comes next."""
        return self.settings.order in BY_CERTAINTY

    def coming(self, slots: Sequence[ComingSlot]) -> Sequence[ComingSlot]:
        """See `coming.Coming`: other targets of open cases, then the cases in the campaign's order."""
        settings = self.settings
        if settings.order == "added":
            return self._desk.next_first(slots)
        scores: dict[str, list[float]] = defaultdict(list)
        for slot in slots:
            mark = self._desk.mark(slot.case_id, slot.slot) if self.needs_all() else None
            scores[slot.case_id] += [mark.score] if mark is not None and mark.score is not None else []
        sure = {case_id: mean_certainty(known) for case_id, known in scores.items()}
        place = {case_id: n for n, case_id in enumerate(settings.arrange(list(scores), sure))}
        return sorted(slots, key=lambda slot: (not slot.is_beside_work, place[slot.case_id]))


def change_settings(campaign: Campaign, events: EventLog, settings: CaseSettings, who: str) -> None:
    """See `CaseQueue.change`; for whoever needs no engine."""
    before = CaseSettings.of(campaign.config)
    asked = replace(settings, seed=before.seed)
    if asked == before:
        return
    config = asked.into(campaign.config)
    campaign.store.set_settings(config.to_dict())
    campaign.config = config
    events.publish(
        "case_settings_changed",
        order=asked.order,
        without_suggestion=asked.without_suggestion,
        annotator=who,
    )
