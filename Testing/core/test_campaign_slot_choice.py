"""A session goes from target to target: the right weights at once, exact steps, images without targets."""

from __future__ import annotations

import os
from pathlib import Path

import engine_lines
import numpy as np
import pytest
import switch_race
from engine_lines import CLICK, add_case
from engine_support import OTHER, Running, make_campaign, serving

from clopa_annotator.client.remote_session import RemoteSession
from clopa_annotator.client.transport import Transport
from clopa_annotator.errors import ConfigError, SessionError
from clopa_annotator.types import Slot, Target, Targets

model = engine_lines.model
KIDNEY = Slot("kidney")
SWITCHES = int(os.environ.get("CLOPA_SWITCHES", "24"))
"""CLOPA_SWITCHES=1000 for the long race."""


@pytest.fixture
def running(model: Path, tmp_path: Path):
    targets = Targets.named(["liver", "kidney"])
    with serving(make_campaign(tmp_path / "campaign", model, targets=targets)) as running:
        yield running


@pytest.fixture
def line(running: Running):
    line = Transport(running.url, engine_lines.OWNER)
    yield line
    line.close()


def test_a_click_that_follows_a_switch_at_once_gets_the_right_weights(tmp_path: Path) -> None:
    race = switch_race.run(tmp_path, SWITCHES)
    print(f"{race.checked} answers compared, {race.rolled_back} times rolled back meanwhile")
    assert race.checked == SWITCHES and not race.wrong
    learned = [mask for (_, version, click), mask in race.pure.items() if version and not click]
    alike = sum(np.array_equal(a, b) for a in learned for b in learned)
    assert alike == len(learned) == 6, "every version of every target answers something else"


def test_a_session_that_was_lost_begins_the_chosen_target_anew(running: Running, line: Transport) -> None:
    add_case(line, "case 1")
    session = RemoteSession(line)
    session.open_case("case 1", (40, 36, 32))
    first = session.add_prompt(CLICK).mask.copy()
    assert not session.choose(KIDNEY) and not session.proposal.mask.any()
    session.add_prompt(CLICK)
    assert session.choose(Slot()) and np.array_equal(session.proposal.mask, first)
    running.engine.sessions.close(session._key, "Ada")
    assert not session.choose(KIDNEY) and session.prompts == () and not session.can_undo
    assert session.add_prompt(CLICK).mask.any()
    running.engine.sessions.close(session._key, "Ada")
    assert not session.undo().mask.any(), "the steps of the chosen target are replayed"


def test_an_uploaded_image_has_no_targets(line: Transport) -> None:
    session = RemoteSession(line)
    session.set_image(engine_lines.an_image())
    with pytest.raises(SessionError, match="open a case"):
        session.choose(KIDNEY)
    session.close()


def test_a_target_that_was_removed_under_ones_hands_can_be_left(running: Running, line: Transport) -> None:
    add_case(line, "case 1")
    for path in ("cases/take", "session/open"):
        answer, _ = line.exchange(path, {"case_id": "case 1", "slot": {"target": "kidney"}})
    running.engine.set_targets(Targets([Target("liver")]))
    with pytest.raises(ConfigError, match="no target 'kidney'"):
        line.exchange("session/choose", {"session": answer["session"], "slot": {"target": "kidney"}})
    chosen, _ = line.exchange("session/choose", {"session": answer["session"], "slot": {"target": ""}})
    assert not chosen["kept"]
    line.exchange("cases/leave", {"case_id": "case 1", "slot": {"target": "kidney"}})
    assert [row.slot for row in running.engine.cases.case("case 1").slots] == [Slot()]


def test_somebody_elses_session_cannot_be_switched(running: Running, line: Transport) -> None:
    add_case(line, "case 1")
    session = RemoteSession(line)
    session.open_case("case 1", (40, 36, 32))
    stranger = Transport(running.url, OTHER)
    answer = None
    with pytest.raises(Exception, match="no such session"):
        answer = stranger.exchange("session/choose", {"session": session._key, "slot": {}})
    assert answer is None
    stranger.close()
