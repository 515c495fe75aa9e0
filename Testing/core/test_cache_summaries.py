"""Lists of cases and versions: what the index's rows mean."""

from __future__ import annotations

import sqlite3

import pytest

from clopa_annotator.cache.summaries import case_from_row, ref_from_row, version_from_row
from clopa_annotator.types import CaseRef, CaseState


def a_row(**values: object) -> sqlite3.Row:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    names = ", ".join(f"? AS {name}" for name in values)
    row: sqlite3.Row = connection.execute(f"SELECT {names}", tuple(values.values())).fetchone()
    connection.close()
    return row


def a_case(state: str, **changes: object) -> sqlite3.Row:
    values: dict[str, object] = {
        "case_id": "one", "number": 1, "state": state, "versions": 2, "image_hash": "i",
        "source": "one.nii", "note": "why", "current": 5,
    }  # fmt: skip
    return a_row(**values | changes)


def a_version(**changes: object) -> sqlite3.Row:
    values: dict[str, object] = {
        "case_id": "one", "case_version": 2, "sequence": 5, "image_hash": "i", "mask_hash": "m",
        "record_hash": "r", "folder": "cases/one/v2", "annotator": "Ada", "confirmed_at": "now",
        "withdrawn": 0, "conflict": 0, "based_on": 1, "first_shown_dice": 0.5, "prompts": 3,
        "seconds_active": 7.0, "weights_version": 4, "current": 5,
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
    case = case_from_row(a_case(state), has_draft)
    assert (case.state, case.has_draft) == (shown, has_draft)


def test_a_case_has_the_number_of_its_current_confirmation_or_none() -> None:
    assert case_from_row(a_case("CONFIRMED"), False).sequence == 5
    assert case_from_row(a_case("NEEDS_REVIEW", current=None), False).sequence is None


def test_only_the_version_that_its_case_names_is_current() -> None:
    assert version_from_row(a_version()).current
    assert not version_from_row(a_version(current=6)).current
    assert not version_from_row(a_version(current=None, withdrawn=1)).current


def test_a_version_keeps_what_it_cost_and_what_it_is_based_on() -> None:
    version = version_from_row(a_version(conflict=1))
    assert (version.annotator, version.weights_version, version.first_shown_dice) == ("Ada", 4, 0.5)
    assert (version.prompts, version.seconds_active, version.based_on_version) == (3, 7.0, 1)
    assert version.conflict and not version.withdrawn
    assert version.ref == ref_from_row(a_version())
    assert version.ref == CaseRef("one", 2, 5, "i", "m", "r", "cases/one/v2")


def test_what_was_not_said_is_not_zero() -> None:
    version = version_from_row(a_version(based_on=None, first_shown_dice=None))
    assert version.based_on_version is None and version.first_shown_dice is None
