"""The events on disk: numbers that never come twice, a file that does not grow without end, a full disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clopa_annotator.campaign import journal as module
from clopa_annotator.campaign.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "events.jsonl"


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["sequence"] for line in path.read_text("utf-8").splitlines()]


def test_numbers_go_on_after_each_restart_and_never_come_twice(path: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        journal = Journal(path)
        seen += [journal.log.publish("confirmed", case_id="ü").sequence for _ in range(2)]
        journal.close()
    assert seen == sorted(set(seen)) and numbers(path) == seen


def test_room_is_left_for_numbers_that_a_client_has_seen_and_the_file_has_not(path: Path) -> None:
    journal = Journal(path)
    journal.log.publish("confirmed", case_id="a")
    fleeting = [journal.log.publish("episode_progress", epoch=n).sequence for n in range(100)]
    journal.close()
    assert numbers(path) == [1], "progress is in the job folder"
    again = Journal(path)
    assert again.log.publish("confirmed", case_id="b").sequence > max(fleeting)
    again.close()


def test_a_torn_line_spoils_neither_the_numbers_nor_the_next_line(path: Path) -> None:
    journal = Journal(path)
    journal.log.publish("confirmed", case_id="a")
    journal.close()
    with path.open("a") as file:
        file.write('{"sequence": 9')
    again = Journal(path)
    number = again.log.publish("confirmed", case_id="b").sequence
    again.close()
    lines = path.read_text().splitlines()
    assert json.loads(lines[-1])["sequence"] == number and lines[1] == '{"sequence": 9'


def test_a_file_that_is_full_is_put_aside_and_its_numbers_count(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 300)
    journal = Journal(path)
    last = [journal.log.publish("confirmed", case_id="a" * 40).sequence for _ in range(4)][-1]
    journal.close()
    aside = path.with_suffix(".1.jsonl")
    assert aside.exists() and path.stat().st_size < 300
    path.unlink()
    again = Journal(path)
    assert again.log.publish("confirmed", case_id="b").sequence > last
    again.close()


def test_nothing_is_noted_after_closing(path: Path) -> None:
    journal = Journal(path)
    journal.close()
    journal.log.publish("confirmed", case_id="late")
    assert path.read_text() == ""


def test_a_disk_that_fails_stops_nobody(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(path)
    heard: list[int] = []
    journal.log.subscribe(lambda event: heard.append(event.sequence))

    def fail(self: Journal) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "_rotate", fail)
    journal.log.publish("confirmed", case_id="a")
    journal.close()
    assert heard == [1] and "could not be noted" in caplog.text
