"""Which slot gets its suggestion next, by the campaign's order."""

from __future__ import annotations

from clopa_annotator.campaign.idle.coming import CampaignsOrder, ComingSlot, NextFirst
from clopa_annotator.case_order import CaseSettings
from clopa_annotator.types import Slot

SLOTS = tuple(ComingSlot(f"case {n}", Slot("", 1), n, f"hash {n}") for n in range(1, 9))


def names(order: CaseSettings, slots: tuple[ComingSlot, ...] = SLOTS, opened: int = 0) -> list[str]:
    usual = NextFirst()
    usual.sent(opened)
    return [slot.case_id for slot in CampaignsOrder(lambda: order, usual)(slots)]


def test_as_added_it_goes_on_behind_what_was_opened_last() -> None:
    assert names(CaseSettings(), opened=6) == [f"case {n}" for n in (6, 7, 8, 1, 2, 3, 4, 5)]


def test_by_certainty_every_case_needs_one_first() -> None:
    assert names(CaseSettings("least-certain")) == [slot.case_id for slot in SLOTS]


def test_at_random_they_are_made_in_the_order_in_which_cases_are_handed_out() -> None:
    drawn = CaseSettings("random", seed=4)
    handed_out = drawn.arrange([slot.case_id for slot in SLOTS], {})
    assert names(drawn) == handed_out != [slot.case_id for slot in SLOTS]
    assert names(drawn, SLOTS[3:]) == [name for name in handed_out if int(name[5:]) > 3]


def test_other_targets_of_an_open_case_come_first_in_any_order() -> None:
    beside = (*SLOTS, ComingSlot("open", Slot("kidney", 1), 9, "hash 9", is_beside_work=True))
    for order in ("added", "random", "most-certain"):
        assert names(CaseSettings(order), beside)[0] == "open"


def test_a_case_with_two_targets_keeps_both_together() -> None:
    two = tuple(
        ComingSlot(s.case_id, Slot(key, 1), s.number, s.image_hash) for s in SLOTS for key in ("", "b")
    )
    order = names(CaseSettings("random", seed=1), two)
    assert order[::2] == order[1::2] and len(order) == 16
