"""Which slot gets its suggestion next, as long as the campaign has no order of its own."""

from __future__ import annotations

from clopa_annotator.campaign.idle.coming import ComingSlot, NextFirst
from clopa_annotator.types import Slot

SLOTS = tuple(ComingSlot(f"case {n}", Slot("", 1), n, f"hash {n}") for n in range(1, 9))


def names(opened: int, slots: tuple[ComingSlot, ...] = SLOTS) -> list[str]:
    order = NextFirst()
    order.sent(opened)
    return [slot.case_id for slot in order(slots)]


def test_it_goes_on_behind_what_was_opened_last_and_round() -> None:
    assert names(6) == [f"case {n}" for n in (6, 7, 8, 1, 2, 3, 4, 5)]


def test_other_targets_of_an_open_case_come_first() -> None:
    beside = (*SLOTS, ComingSlot("open", Slot("kidney", 1), 9, "hash 9", is_beside_work=True))
    assert names(3, beside)[0] == "open"
