"""Lists of cases and versions: what the index's rows mean."""

from __future__ import annotations

import sqlite3

import pytest

from clopa_annotator.cache.summaries import (
    SlotSummary,
    case_from_row,
    case_slots,
    ref_from_row,
    version_from_row,
)
from clopa_annotator.types import CaseRef, CaseState, Slot, SuggestionUse, Target, Targets
from clopa_annotator.types.targets import FIRST


def a_row(**values: object) -> sqlite3.Row:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    names = ", ".join(f"? AS {name}" for name in values)
    row: sqlite3.Row = connection.execute(f"SELECT {names}", tuple(values.values())).fetchone()
    connection.close()
    return row


CASE = a_row(case_id="one", number=1, image_hash="i", source="one.nii")
ONE = Targets.named(["target"])
THREE = Targets([*Targets.named(["liver", "spleen"]), Target("lesion", "lesion", instances=True)])


def a_slot(state: str, **changes: object) -> sqlite3.Row:
    values: dict[str, object] = {
        "case_id": "one", "target": "", "instance": 1, "state": state, "versions": 2, "note": "why",
        "current": 5, "is_absent": 0, "marks": 0, "annotator": "Ada", "confirmed_at": "now",
        "verdict": "NONE", "reviewer": "", "judged": None,
    }  # fmt: skip
    return a_row(**values | changes)


def a_version(**changes: object) -> sqlite3.Row:
    values: dict[str, object] = {
        "case_id": "one", "target": "", "instance": 1, "case_version": 2, "sequence": 5,
        "image_hash": "i", "mask_hash": "m", "record_hash": "r", "folder": "cases/one/v2",
        "annotator": "Ada", "confirmed_at": "now",
        "withdrawn": 0, "conflict": 0, "based_on": 1, "first_shown_dice": 0.5, "prompts": 3,
        "seconds_active": 7.0, "weights_version": 4, "current": 5,
        "suggestion": "cleared", "reading": 1,
    }  # fmt: skip
    return a_row(**values | changes)


@pytest.mark.parametrize(
    ("state", "has_draft", "shown"),
    [
        ("TODO", False, CaseState.TODO),
        ("TODO", True, CaseState.IN_PROGRESS),
        ("CONFIRMED", True, CaseState.CONFIRMED),
        ("SKIPPED", True, CaseState.SKIPPED),
        ("NEEDS_REVIEW", False, CaseState.NEEDS_REVIEW),
    ],
)
def test_a_draft_puts_a_case_in_progress_that_waits_and_no_other(
    state: str, has_draft: bool, shown: CaseState
) -> None:
    drafts = {FIRST: False} if has_draft else {}
    case = case_from_row(CASE, case_slots(ONE, [a_slot(state)], drafts))
    assert (case.state, case.has_draft) == (shown, has_draft)


def test_a_case_has_the_number_of_its_current_confirmation_or_none() -> None:
    assert case_from_row(CASE, case_slots(ONE, [a_slot("CONFIRMED")], {})).sequence == 5
    withdrawn = a_slot("NEEDS_REVIEW", current=None)
    assert case_from_row(CASE, case_slots(ONE, [withdrawn], {})).sequence is None


def test_every_target_is_shown_in_the_campaigns_order_and_several_of_a_kind_in_theirs() -> None:
    rows = [
        a_slot("CONFIRMED", target="lesion", instance=3),
        a_slot("SKIPPED", target="spleen", current=None),
    ]
    slots = case_slots(THREE, rows, {Slot("lesion", 2): True})
    shown = [(s.slot, s.state.name, s.has_draft, s.is_suggestion) for s in slots]
    assert shown == [
        (FIRST, "TODO", False, False),
        (Slot("spleen"), "SKIPPED", False, False),
        (Slot("lesion"), "TODO", False, False),
        (Slot("lesion", 2), "IN_PROGRESS", True, True),
        (Slot("lesion", 3), "CONFIRMED", False, False),
    ]
    case = case_from_row(CASE, slots)
    assert (case.state, case.decided, case.versions, case.has_draft) == (CaseState.IN_PROGRESS, 2, 4, True)
    assert (case.sequence, case.note) == (5, "why")
    assert case.slot(Slot("lesion", 3)).state is CaseState.CONFIRMED
    assert case.slot(Slot("lesion", 9)) == SlotSummary(Slot("lesion", 9))


def test_one_of_a_kind_of_which_only_a_number_is_left_is_not_shown() -> None:
    row = a_slot("TODO", target="lesion", instance=2, versions=0, current=None)
    assert [s.slot for s in case_slots(THREE, [row], {})] == [FIRST, Slot("spleen"), Slot("lesion")]


def test_an_empty_mask_is_a_decision() -> None:
    (slot,) = case_slots(ONE, [a_slot("CONFIRMED", is_absent=1)], {})
    assert slot.is_absent and slot.is_decided
    assert (slot.annotator, slot.confirmed_at) == ("Ada", "now")


def test_without_a_current_version_nobody_has_confirmed() -> None:
    row = a_slot("TODO", current=None, annotator=None, confirmed_at=None)
    (slot,) = case_slots(ONE, [row], {})
    assert (slot.annotator, slot.confirmed_at) == ("", "")


def test_only_the_version_that_its_case_names_is_current() -> None:
    assert version_from_row(a_version()).current
    assert not version_from_row(a_version(current=6)).current
    assert not version_from_row(a_version(current=None, withdrawn=1)).current


def test_a_version_keeps_what_it_cost_and_what_it_is_based_on() -> None:
    version = version_from_row(a_version(conflict=1))
    assert (version.annotator, version.weights_version, version.first_shown_dice) == ("Ada", 4, 0.5)
    assert (version.prompts, version.seconds_active, version.based_on_version) == (3, 7.0, 1)
    assert version.conflict and not version.withdrawn
    assert version.suggestion is SuggestionUse.CLEARED
    assert version.ref == ref_from_row(a_version())
    assert version.ref == CaseRef("one", 2, 5, "i", "m", "r", "cases/one/v2")
    assert version_from_row(a_version(target="liver", instance=3)).ref.slot == Slot("liver", 3)


def test_what_was_not_said_is_not_zero() -> None:
    version = version_from_row(a_version(based_on=None, first_shown_dice=None))
    assert version.based_on_version is None and version.first_shown_dice is None
