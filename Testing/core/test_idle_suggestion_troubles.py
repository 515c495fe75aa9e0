"""Suggesting goes wrong: images that are gone, torn files, a full disk; what was confirmed never suffers."""

from __future__ import annotations

import threading
from pathlib import Path

import cache_helpers
import numpy as np
import pytest
from idle_engine import SHAPE, IdleEngine, a_desk, a_store, an_image, at_work, until

from clopa_annotator.errors import StorageFull
from clopa_annotator.suggestions.suggestion_folder import SuggestionFolder
from clopa_annotator.types import Confirmation
from clopa_annotator.types.targets import FIRST

tmp_path = cache_helpers.tmp_path
MASK = np.zeros(SHAPE, np.uint8)
MASK[2:4, 2:5, 2:6] = 1


@pytest.fixture
def around(tmp_path: Path):
    with a_store(tmp_path / "campaign") as store:
        yield IdleEngine(store)


def confirm(around: IdleEngine, case_id: str, desk=None) -> None:
    ref = around.store.confirm(Confirmation(f"id {case_id}", case_id, MASK))
    if desk is not None:
        desk.confirmed(case_id, FIRST, MASK, ref.sequence)


def test_an_image_that_is_gone_is_named_and_passed_over_until_it_is_sent_again(around: IdleEngine) -> None:
    folder = around.store.folder / "images" / around.store.image_hash("case 1")
    for path in folder.iterdir():
        path.unlink()
    with at_work(a_desk(around)) as desk:
        until(lambda: len(around.suggested) == 2 and desk.state().passed_over)
        ((case, reason),) = desk.state().passed_over
        assert case == "case 1" and "not to be had any more" in reason
        around.store.add_case("case 1", an_image(1))
        desk.sent("case 1")
        until(lambda: "case 1" in around.suggested)
        assert desk.state().passed_over == ()


def test_what_the_network_cannot_do_is_named_and_the_others_go_on(around: IdleEngine) -> None:
    around.fake.fail_next = "The network's answer was not finite."
    with at_work(a_desk(around)) as desk:
        until(lambda: len(around.suggested) == 2)
        assert desk.state().passed_over == (("case 0", "The network's answer was not finite."),)
        desk.want_all()
        until(lambda: len(around.suggested) == 3)


def test_a_full_disk_stops_suggestions_in_words_and_they_begin_again_with_room(
    around: IdleEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, is_full = SuggestionFolder._write, threading.Event()
    is_full.set()

    def write(self, relative, values):
        if is_full.is_set():
            self.full = "There is no room on the disk."
            raise StorageFull(self.full)
        real(self, relative, values)

    monkeypatch.setattr(SuggestionFolder, "_write", write)
    with at_work(a_desk(around)) as desk:
        until(lambda: desk.state().phase == "stopped")
        assert "confirming goes on" in desk.state().sentence and around.suggested == []
        confirm(around, "case 2", desk)
        is_full.clear()
        until(lambda: len(around.suggested) == 2)
        assert desk.state().phase != "stopped"


def test_a_torn_file_goes_to_quarantine_when_its_case_is_opened_and_is_made_again(around: IdleEngine) -> None:
    with at_work(a_desk(around)) as desk:
        until(lambda: len(around.suggested) == 3)
        (path,) = (around.store.folder / "suggestions").glob("case-0-*/target-01.json")
        path.write_bytes(path.read_bytes()[:200])
        assert desk.suggestion("case 0", FIRST) is None
        assert (around.store.folder / "quarantine/0001/finding.json").is_file()
        until(lambda: around.suggested.count("case 0") == 2)
        assert desk.suggestion("case 0", FIRST) is not None


def test_a_torn_file_is_found_by_the_next_engine_too(around: IdleEngine) -> None:
    with at_work(a_desk(around)):
        until(lambda: len(around.suggested) == 3)
    (path,) = (around.store.folder / "suggestions").glob("case-1-*/target-01.json")
    path.write_bytes(path.read_bytes()[:-30])
    with at_work(a_desk(around)):
        until(lambda: around.suggested.count("case 1") == 2)


def test_nothing_that_goes_wrong_with_an_outcome_reaches_whoever_confirms(
    around: IdleEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(SuggestionFolder, "confirmed", fail)
    a_desk(around).confirmed("case 0", FIRST, MASK, 1)
    assert "a fault" in caplog.text
