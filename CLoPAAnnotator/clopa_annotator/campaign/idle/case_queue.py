"""Which cases a campaign turns to next: the lead's settings, and the cases that are left, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from clopa_annotator.case_order import CaseSettings
from clopa_annotator.events import EventLog
from clopa_annotator.types import CaseState
from clopa_annotator.wire.messages import CaseRow

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign

DONE = (CaseState.CONFIRMED, CaseState.SKIPPED)


class CaseQueue:
    """The settings in the campaign's folder, and what they make of a list of cases."""

    def __init__(self, campaign: Campaign, events: EventLog) -> None:
        self._campaign, self._events = campaign, events

    @property
    def settings(self) -> CaseSettings:
        """As they are now."""
        return CaseSettings.of(self._campaign.config)

    def change(self, settings: CaseSettings, who: str) -> None:
        """Have cases come otherwise from now on; the seed stays the campaign's. Told in the journal.

        Raises:
            CacheError: the change could not be written; nothing has changed.
        """
        campaign, before = self._campaign, self.settings
        asked = replace(settings, seed=before.seed)
        if asked == before:
            return
        config = replace(
            campaign.config, order=asked.order, without_suggestion=float(asked.without_suggestion)
        )
        manifest = replace(campaign.store.manifest, settings=config.to_dict())
        campaign.store.update_manifest(manifest)
        campaign.config = config
        self._events.publish(
            "case_settings_changed",
            order=asked.order,
            without_suggestion=asked.without_suggestion,
            annotator=who,
        )

    def following(self, rows: Iterable[CaseRow]) -> list[str]:
        """Names of the cases with something left to do, the next first; those that somebody holds come last.

        Args:
            rows: every case, in the order in which they were added.
        """
        left = {row.case_id: row for row in rows if row.state not in DONE}
        names = self.settings.arrange(list(left), {name: row.certainty for name, row in left.items()})
        return sorted(names, key=lambda name: bool(left[name].owner))
