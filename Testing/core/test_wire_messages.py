"""Messages and events: they come back as they were sent, and go on after a restart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_support import a_confirmation

from clopa_annotator.campaign.journal import Journal
from clopa_annotator.errors import ConfigError, EngineError, InputError, VersionMismatch
from clopa_annotator.server.event_stream import render
from clopa_annotator.types import (
    CaseRef,
    CaseState,
    CodedTerm,
    Event,
    GateDecision,
    PromptKind,
    Slot,
    SuggestionUse,
    Target,
    WeightsVersion,
)
from clopa_annotator.wire import codec
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningState
from clopa_annotator.wire.messages import CaseRow, CaseStatistics, Draft, EngineInfo, SlotRow

DECISION = GateDecision(True, "Better.", ("a",), (0.5,), (0.6,))
MESSAGES: list[tuple[Callable[[Any], Any], Callable[[Any], Any], object]] = [
    (
        codec.case_row_to_wire,
        codec.case_row_from_wire,
        CaseRow(
            "a",
            CaseState.SKIPPED,
            2,
            "Ada",
            True,
            "n",
            "s",
            (SlotRow(Slot("lesion", 2), CaseState.CONFIRMED, 1, "Bob", True, True, True, "x"),),
        ),
    ),
    (
        codec.ref_to_wire,
        codec.ref_from_wire,
        CaseRef("a", 1, 2, "i", "m", "r", "f", Slot("lesion", 2)),
    ),
    (
        codec.statistics_to_wire,
        codec.statistics_from_wire,
        CaseStatistics("a", 1, -3, None, 2, 1.5, "Ada", Slot("lesion", 2), SuggestionUse.TAKEN),
    ),
    (codec.learning_to_wire, codec.learning_from_wire, LearningState("waiting", "1 of 5", loss=0.5)),
    (
        codec.episode_to_wire,
        codec.episode_from_wire,
        EpisodeRow(1, 5, 4, 1, "running", train_loss=(1.0, 0.5)),
    ),
    (
        codec.version_to_wire,
        codec.version_from_wire,
        WeightsVersion(1, 0, "h", "CC", "d", decision=DECISION),
    ),
    (
        codec.info_to_wire,
        codec.info_from_wire,
        EngineInfo(
            1,
            "0",
            "CPU",
            "m",
            "h",
            "CC",
            "c",
            5,
            frozenset({PromptKind.POINT}),
            "Ada",
            False,
            "id",
            targets=(
                Target("liver"),
                Target(
                    "lesion",
                    "lesion",
                    (1, 2, 3),
                    None,
                    CodedTerm("SCT", "52988006", "Lesion"),
                    True,
                    True,
                ),
            ),
        ),
    ),
]


def test_messages_come_back_as_they_were_sent() -> None:
    for there, back, message in MESSAGES:
        assert back(json.loads(json.dumps(there(message)))) == message
    draft = Draft(
        np.ones((1, 2, 2), np.uint8), a_confirmation().prompts, 3.0, suggestion=SuggestionUse.CLEARED
    )
    meta, arrays = codec.draft_to_wire(draft)
    again = codec.draft_from_wire(json.loads(json.dumps(meta)), arrays)
    assert again.prompts[0] == draft.prompts[0] and again.seconds_active == 3.0
    assert again.suggestion is SuggestionUse.CLEARED
    assert np.array_equal(again.prompts[1].prompt.mask, draft.prompts[1].prompt.mask)


def test_an_answer_of_another_version_is_a_sentence() -> None:
    assert codec.learning_from_wire({"phase": "idle", "sentence": "x", "from the future": 1}).phase == "idle"
    with pytest.raises(VersionMismatch, match="update the older"):
        codec.learning_from_wire({"phase": "idle"})
    with pytest.raises(EngineError):
        codec.ref_from_wire(None)
    with pytest.raises(VersionMismatch, match="update the older"):
        codec.ref_from_wire({"slot": {"target": 3}})


def test_a_message_that_names_no_target_is_about_the_first() -> None:
    assert codec.slot_from_wire(None) == codec.slot_from_wire({}) == Slot()
    for wrong in (3, {"target": 1}, {"target": "Not a key"}, {"instance": 0}, {"instance": "1"}):
        with pytest.raises(InputError):
            codec.slot_from_wire(wrong)


def test_a_message_that_says_nothing_of_a_suggestion_is_of_a_case_without_one() -> None:
    assert codec.suggestion_use_from_wire(None) is SuggestionUse.NONE
    for wrong in ("swallowed", 3, ["taken"]):
        with pytest.raises(InputError, match="untouched"):
            codec.suggestion_use_from_wire(wrong)


def test_targets_that_cannot_be_read_are_refused_in_words() -> None:
    two = [Target("liver").to_dict(), Target("LIVER", "liver").to_dict()]
    for wrong in (None, [], ["liver"], [{"key": "a"}], two):
        with pytest.raises(ConfigError):
            codec.targets_from_wire(wrong)


def test_event_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    journal = Journal(path)
    assert journal.log.publish("confirmed", case_id="a").sequence == 1
    journal.log.publish("episode_progress", epoch=1)
    journal.close()
    journal.log.publish("confirmed", case_id="late")
    with path.open("a") as file:
        file.write('{"torn')
    again = Journal(path)
    assert again.log.publish("confirmed", case_id="b").sequence > 2
    again.close()
    whole = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    assert [row["data"]["case_id"] for row in whole] == ["a", "b"]


def test_an_event_is_rendered_as_the_stream_wants_it() -> None:
    assert (
        render(Event(7, "confirmed", {"a": "line\nbreak"}))
        == 'id: 7\nevent: confirmed\ndata: {"a": "line\\nbreak"}\n\n'
    )
