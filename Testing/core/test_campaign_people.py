"""Several people on one engine: who has a case, whose confirmation it is, and who steers."""

from __future__ import annotations

from dataclasses import replace

import engine_lines
import pytest
from engine_lines import add_case, confirm
from engine_support import Running

from clopa_annotator.client.transport import Transport
from clopa_annotator.errors import (
    CaseTaken,
    ConfirmationConflict,
    NotPermitted,
    ReviewConflict,
    StorageFull,
)
from clopa_annotator.types import CaseState
from clopa_annotator.types.review import DOUBLE_READING

model, running, lines = engine_lines.model, engine_lines.running, engine_lines.lines


def test_a_case_in_somebodys_hands_is_told_and_refused(lines: dict[str, Transport]) -> None:
    add_case(lines["Ada"], "case 1")
    lines["Bob"].exchange("cases/take", {"case_id": "case 1"})
    (row,) = lines["Ada"].exchange("cases", {})[0]["cases"]
    assert (row["owner"], row["state"]) == ("Bob", CaseState.IN_PROGRESS.value)
    for path in ("cases/take", "cases/skip", "cases/withdraw"):
        with pytest.raises(CaseTaken, match="Bob is working on this case"):
            lines["Eve"].exchange(path, {"case_id": "case 1", "reason": "mine"})
    lines["Bob"].exchange("cases/leave", {"case_id": "case 1"})
    lines["Eve"].exchange("cases/take", {"case_id": "case 1"})


def test_two_confirmations_of_one_case_are_both_kept_and_flagged(lines: dict[str, Transport]) -> None:
    add_case(lines["Ada"], "case 1")
    first = confirm(lines["Bob"], "case 1", "from Bob")
    second = confirm(lines["Eve"], "case 1", "from Eve")
    assert (first["case_version"], second["case_version"]) == (1, 2)
    (row,) = lines["Ada"].exchange("cases", {})[0]["cases"]
    assert row["state"] == CaseState.NEEDS_REVIEW.value
    (line,) = lines["Ada"].exchange("statistics", {})[0]["statistics"]
    assert line["annotator"] == "Eve"


def test_a_confirmation_belongs_to_the_token_whatever_it_says(
    running: Running, lines: dict[str, Transport]
) -> None:
    add_case(lines["Ada"], "case 1")
    confirm(lines["Bob"], "case 1", "one")
    (version,) = running.engine.campaign.store.versions("case 1")
    assert version.annotator == "Bob"


def test_a_confirmation_is_stored_once_and_a_conflicting_one_refused(
    running: Running, lines: dict[str, Transport]
) -> None:
    add_case(lines["Ada"], "case 1")
    assert confirm(lines["Bob"], "case 1", "one") == confirm(lines["Bob"], "case 1", "one")
    with pytest.raises(ConfirmationConflict):
        confirm(lines["Bob"], "case 1", "one", value=0)
    assert len(running.engine.campaign.store.versions("case 1")) == 1


def test_an_annotator_sees_the_list_of_a_review_and_judges_nothing(lines: dict[str, Transport]) -> None:
    add_case(lines["Ada"], "case 1")
    confirm(lines["Eve"], "case 1", "one")
    for path in ("review/accept", "review/return", "review/compare"):
        with pytest.raises(NotPermitted, match="reviewer or the campaign's lead"):
            lines["Bob"].exchange(path, {"case_id": "case 1", "comment": "wide"})
    assert lines["Bob"].exchange("hello", {})[0]["engine"]["may_review"] is False
    (row,) = lines["Bob"].exchange("review/list", {})[0]["rows"]
    assert (row["annotator"], row["verdict"]) == ("Eve", "waiting")
    back = lines["Ada"].exchange("review/return", {"case_id": "case 1", "comment": "wide"})[0]["row"]
    assert (back["reviewer"], back["verdict"]) == ("Ada", "returned")


def test_the_second_reader_of_a_case_begins_with_nothing_and_both_readings_are_kept(
    running: Running, lines: dict[str, Transport]
) -> None:
    store = running.engine.campaign.store
    store.update_manifest(replace(store.manifest, settings={**store.manifest.settings, DOUBLE_READING: 1.0}))
    add_case(lines["Ada"], "case 1")
    confirm(lines["Bob"], "case 1", "from Bob")
    (row,) = lines["Eve"].exchange("cases", {})[0]["cases"]
    assert (row["state"], row["versions"], row["slots"][0]["versions"]) == ("to do", 0, 0)
    with pytest.raises(ReviewConflict, match="read by a second person"):
        lines["Ada"].exchange("review/accept", {"case_id": "case 1"})
    taken, arrays = lines["Eve"].exchange("cases/take", {"case_id": "case 1"})
    assert "confirmed" not in taken and not arrays and taken["case"]["state"] == "in progress"
    with pytest.raises(NotPermitted):
        lines["Eve"].exchange("review/agreement", {})
    confirm(lines["Eve"], "case 1", "from Eve")
    assert [(v.annotator, v.reading, v.current) for v in store.versions("case 1")] == [
        ("Bob", 1, True), ("Eve", 2, False),
    ]  # fmt: skip
    (pair,) = lines["Ada"].exchange("review/agreement", {})[0]["pairs"]
    assert (pair["one"], pair["two"], pair["dice"]) == ("Bob", "Eve", 1.0)
    (line,) = lines["Ada"].exchange("statistics", {})[0]["statistics"]
    assert line["annotator"] == "Bob"
    assert lines["Ada"].exchange("review/accept", {"case_id": "case 1"})[0]["row"]["verdict"] == "accepted"


def test_only_the_owner_steers(lines: dict[str, Transport]) -> None:
    for path, meta in (
        ("weights/rollback", {"version": 0}),
        ("weights/activate", {"version": 0}),
        ("weights/policy", {"policy": "at once"}),
        ("episodes/start", {}),
        ("episodes/pause", {"paused": True}),
        ("episodes/cancel", {}),
        ("export", {"format": "weights", "folder": "x"}),
        ("export/start", {"export": "1", "format": "weights", "folder": "x"}),
        ("export/state", {"export": "1"}),
        ("export/stop", {"export": "1"}),
        ("import/begin", {}),
        ("import/look", {"case_id": "x", "import_id": "y"}),
        ("import/keep", {"case_id": "x", "confirmed": True}),
        ("import/done", {"case_id": "x"}),
    ):
        with pytest.raises(NotPermitted):
            lines["Bob"].exchange(path, meta)
    assert lines["Bob"].exchange("hello", {})[0]["engine"]["is_owner"] is False


def test_a_full_disk_confirms_nothing_and_says_so(
    running: Running, lines: dict[str, Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_case(lines["Ada"], "case 1")

    def full(*_: object, **__: object) -> None:
        raise StorageFull("There is no room on the disk; nothing was confirmed.")

    monkeypatch.setattr(running.engine.campaign.store, "confirm", full)
    with pytest.raises(StorageFull, match="no room"):
        confirm(lines["Bob"], "case 1", "one")
    monkeypatch.undo()
    assert confirm(lines["Bob"], "case 1", "one")["case_version"] == 1


def test_a_durable_confirmation_is_acknowledged_even_if_learning_fails(
    running: Running, lines: dict[str, Transport], monkeypatch: pytest.MonkeyPatch
) -> None:
    add_case(lines["Ada"], "case 1")
    monkeypatch.setattr(running.engine.desk, "confirmed", lambda target: 1 / 0)
    assert confirm(lines["Bob"], "case 1", "one")["case_version"] == 1
    assert running.engine.events.since(0)[-1].name == "episode_failed"
