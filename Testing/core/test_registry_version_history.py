"""The history of the weights: append-only, each line checked, the last deciding one counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clopa_annotator.errors import CorruptRecord
from clopa_annotator.registry.version_history import History, check_of, decision_from
from clopa_annotator.types import GateDecision

YES = GateDecision(True, "Promoted: better.", ("a", "b"), (0.5, 0.6), (0.7, 0.7))
NO = GateDecision(False, "Not promoted: no better.", ("a", "b"), (0.7, 0.7), (0.6, 0.7))


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "history.jsonl")


def test_nothing_has_happened_and_the_base_is_current(history: History) -> None:
    assert history.entries() == () and history.current_version() == 0
    assert history.course().decisions == {}


def test_entries_come_back_as_they_were_added_and_count_from_one(history: History) -> None:
    added = [
        history.append("created", 0),
        history.append("added", 1),
        history.append("promoted", 1, decision=YES),
        history.append("rolled_back", 0, by="Dr. Ä"),
    ]
    assert history.entries() == tuple(added)
    assert [entry.sequence for entry in added] == [1, 2, 3, 4]


def test_only_promotions_and_roll_backs_decide(history: History) -> None:
    seen = []
    for what, version, decision in (
        ("created", 0, None),
        ("added", 1, None),
        ("promoted", 1, YES),
        ("added", 2, None),
        ("rejected", 2, NO),
        ("rolled_back", 0, None),
        ("added", 3, None),
    ):
        history.append(what, version, decision=decision)  # type: ignore[arg-type]
        seen.append(history.current_version())
    assert seen == [0, 0, 1, 1, 1, 0, 0]


def test_the_newest_decision_on_a_version_counts(history: History) -> None:
    history.append("rejected", 2, decision=NO)
    history.append("promoted", 2, decision=YES)
    history.append("rolled_back", 2)
    assert history.course().decisions == {2: YES}


def test_a_line_without_an_end_is_no_entry_and_one_that_was_changed_is_damage(
    history: History, tmp_path: Path
) -> None:
    file = tmp_path / "history.jsonl"
    history.append("created", 0)
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:-1])
    assert len(history.entries()) == 1
    file.write_bytes(whole.replace(b'"created"', b'"rolled_back"'))
    with pytest.raises(CorruptRecord, match="Line 1"):
        history.entries()


def test_a_line_that_is_missing_or_there_twice_is_damage(history: History, tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    for version in range(3):
        history.append("added", version)
    lines = file.read_bytes().splitlines(keepends=True)
    for damaged in ([lines[0], lines[2]], [lines[0], lines[1], lines[1]], [lines[1], lines[0]]):
        file.write_bytes(b"".join(damaged))
        with pytest.raises(CorruptRecord, match="version folders beside it"):
            history.append("added", 9)
        assert file.read_bytes() == b"".join(damaged), "nothing is written behind damage"


def test_a_check_covers_every_value_in_any_order() -> None:
    values = {"b": 1, "a": ["ü"]}
    assert check_of(values) == check_of({"a": ["ü"], "b": 1})
    assert check_of(values) != check_of({"a": ["u"], "b": 1})


def test_a_decision_comes_back_from_json() -> None:
    assert decision_from(json.loads(json.dumps(vars(YES)))) == YES
    assert decision_from(None) is None
