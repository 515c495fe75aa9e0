"""Imported labels on the engine's side: looked at, confirmed or kept as suggestions, told about in one go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from clopa_annotator.cache.campaign_store import CampaignStore, CaseDraft
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.campaign.occupancy import Occupancy
from clopa_annotator.errors import CaseTaken
from clopa_annotator.events import EventLog
from clopa_annotator.importers.receiver import KnownCase, confirmation_of, known_case
from clopa_annotator.types import Imported, Mask, Slot, Targets
from clopa_annotator.types.targets import FIRST

TELL_EVERY_S = 2.0
"""Every event makes each client ask for the whole list; a thousand labels must not make a thousand lists."""


class LabelIntake:
    """Takes the labels of one import after the other; thread-safe, as the store and the leases are."""

    def __init__(
        self,
        store: CampaignStore,
        leases: CaseLeases,
        events: EventLog,
        on_done: Callable[[str], None],
        occupancy: Occupancy | None = None,
    ) -> None:
        """Nothing has come yet.

        Args:
            store: the campaign's cache.
            leases: who has which target of which case open.
            events: what clients are told.
            on_done: called when an import has ended, with the key of each target that it confirmed masks of:
                it may be time to learn.
            occupancy: which voxels belong to which target, to be told of new masks.
        """
        self._store, self._leases, self._events, self._on_done = store, leases, events, on_done
        self._occupancy = occupancy or Occupancy(store)
        self._told = 0.0
        self._confirmed: dict[str, None] = {}

    @property
    def targets(self) -> Targets:
        """The campaign's targets."""
        return self._store.targets

    def sources(self) -> Mapping[str, str]:
        """Every case, and where its image came from."""
        return {case.case_id: case.source for case in self._store.cases()}

    def look(self, case_id: str, import_id: str, slot: Slot = FIRST) -> KnownCase:
        """A slot of a case as it stands."""
        return known_case(self._store, case_id, import_id, slot)

    def keep(
        self,
        case_id: str,
        mask: Mask,
        imported: Imported,
        confirmed: bool,
        who: str,
        slot: Slot = FIRST,
    ) -> None:
        """Confirm a mask durably, or keep it as a suggestion.

        Raises:
            CaseTaken: somebody has this target of the case open.
        """
        holder = self._leases.holder(case_id, slot)
        if holder is not None:
            raise CaseTaken(f"{holder} has this case open. Import its label when it is closed.")
        if confirmed:
            self._store.confirm(confirmation_of(case_id, mask, imported, who, slot))
            self._confirmed[slot.target] = None
        else:
            draft = CaseDraft(case_id, mask, annotator=who, imported=imported, slot=slot)
            self._store.save_draft(draft)
        self._leases.note(case_id, f"import by {who}", slot)
        self._occupancy.changed(case_id, slot)
        if time.monotonic() - self._told >= TELL_EVERY_S:
            self._tell(case_id)

    def done(self, case_id: str) -> None:
        """The last label of an import has come; learn if it is time."""
        self._tell(case_id)
        confirmed, self._confirmed = self._confirmed, {}
        for target in confirmed or {"": None}:
            self._on_done(target)

    def _tell(self, case_id: str) -> None:
        self._told = time.monotonic()
        self._events.publish("case_changed", case_id=case_id)
