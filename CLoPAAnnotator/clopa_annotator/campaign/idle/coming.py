"""What is still to be annotated, and in which order it is likely to be opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.types import Slot, Subject

Coming = Callable[[Sequence["ComingSlot"]], Sequence["ComingSlot"]]
"""Puts slots into the order in which they will be opened, the next one first."""


@dataclass(frozen=True)
class ComingSlot:
    """A target of a case that waits for its first mask.

    Attributes:
        case_id: the case.
        slot: which target; instance 1.
        number: the case's place in the campaign's list.
        image_hash: its image.
        is_beside_work: somebody has another target of this case open.
    """

    case_id: str
    slot: Slot
    number: int
    image_hash: str
    is_beside_work: bool = False

    @property
    def subject(self) -> Subject:
        """What its suggestion is about."""
        return Subject(self.case_id, self.slot.target, self.slot.instance)


def coming_slots(store: CampaignStore, leases: CaseLeases) -> tuple[ComingSlot, ...]:
    """Every target of every case that nobody has begun, in the campaign's order.

    Not one that was confirmed ever: weights may have learned from it, so that its suggestion would look
    better than suggestions are. Not a target of which there may be several in an image: without a prompt the
    model marks all of them at once.
    """
    single = {target.key for target in store.targets if not target.instances}
    found = []
    for case in store.cases():
        held = leases.holders(case.case_id)
        for row in case.slots:
            waits = not (row.is_decided or row.has_draft or row.versions) and row.slot not in held
            if waits and row.slot.target in single:
                found.append(ComingSlot(case.case_id, row.slot, case.number, case.image_hash, bool(held)))
    return tuple(found)


class NextFirst:
    """The order unless the campaign has another: other targets of open cases, what a client has sent last to
    have it ready, then on through the campaign's list from there."""

    def __init__(self) -> None:
        self._number = 0

    def sent(self, number: int) -> None:
        """A client has sent the image of the case with this number, or has opened it."""
        self._number = number

    def __call__(self, slots: Sequence[ComingSlot]) -> Sequence[ComingSlot]:
        """See `Coming`."""
        start = self._number
        return sorted(slots, key=lambda s: (not s.is_beside_work, s.number < start, s.number))
