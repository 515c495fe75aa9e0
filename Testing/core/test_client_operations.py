"""A client's calls, step by step: what is kept before it is sent, what is told, what is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clopa_annotator.client.operations import ClientOperations
from clopa_annotator.errors import EngineUnreachable, NoImage, StorageFull, VersionMismatch
from clopa_annotator.types import CaseRef, Confirmation, PointPrompt, Proposal
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire import codec
from clopa_annotator.wire.array_framing import WireLimits, unpack_bundle
from clopa_annotator.wire.messages import API_VERSION, Answer, Draft, EngineInfo

INFO = EngineInfo(API_VERSION, "0", "CPU", "m", "h", "CC", "c", 5, frozenset(), "Ada", True, "campaign")
MASK = np.ones((4, 4, 4), np.uint8)


class Line:
    """An engine that answers what the test says, and remembers what it was sent."""

    def __init__(self, folder: Path, **answers: dict[str, Any]) -> None:
        self.folder, self.answers = folder, answers
        self.sent: list[dict[str, Any]] = []
        self.on_disk: list[list[bytes]] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.fail: Exception | None = None

    def send(self, path: str, body: bytes, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
        self.sent.append(unpack_bundle(body, WireLimits()).meta)
        self.on_disk.append(self.kept())
        if self.fail is not None:
            raise self.fail
        version = len(self.sent)
        return {"ref": codec.ref_to_wire(CaseRef("a", version, version, "i", "m", "r", "f"))}, {}

    def exchange(self, path: str, meta: dict[str, Any], arrays: object = None) -> tuple[dict[str, Any], Any]:
        self.asked.append((path, meta))
        return self.answers.get(path.replace("/", "_"), {}), {}

    def kept(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.rglob("*.confirmation"))]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[ClientOperations, Line]]:
    def made(**answers: dict[str, Any]) -> tuple[ClientOperations, Line]:
        line = Line(tmp_path, **answers)
        bench = ClientOperations(line, tmp_path)  # type: ignore[arg-type]
        bench._info = INFO
        return bench, line

    return made


def test_a_confirmation_is_kept_before_it_is_sent_and_until_it_is_answered(make) -> None:
    bench, line = make()
    bench.confirm(Confirmation("one", "a", MASK))
    (at_sending,) = line.on_disk
    assert [unpack_bundle(body, WireLimits()).meta["confirmation_id"] for body in at_sending] == ["one"]
    assert line.kept() == [] and not bench.deliveries.owes
    line.fail = EngineUnreachable("Gone.")
    with pytest.raises(EngineUnreachable, match="kept on this computer"):
        bench.confirm(Confirmation("two", "a", MASK))
    assert len(line.kept()) == 1 and bench.deliveries.owes
    line.fail = None
    assert bench.deliveries.deliver_kept() == [] and line.kept() == []
    assert [meta["confirmation_id"] for meta in line.sent] == ["one", "two", "two"]


def test_a_refused_confirmation_is_told_and_not_delivered_again(make) -> None:
    bench, line = make()
    line.fail = StorageFull("There is no room.")
    with pytest.raises(StorageFull):
        bench.confirm(Confirmation("one", "a", MASK))
    assert line.kept() == [] and not bench.deliveries.owes, "the person decides what to do"


def test_a_confirmation_says_which_version_it_was_made_on(make) -> None:
    bench, line = make()
    bench._based_on["a", FIRST] = 0
    for name in ("one", "two"):
        bench.confirm(Confirmation(name, "a", MASK))
    assert [meta["based_on_version"] for meta in line.sent] == [0, 1]


def test_an_engine_of_another_version_is_told_apart(make) -> None:
    info = codec.info_to_wire(replace(INFO, api_version=API_VERSION + 1))
    bench, _ = make(hello={"engine": info})
    with pytest.raises(VersionMismatch, match="update the older one"):
        bench.hello()


def test_a_greeting_is_remembered_with_the_number_of_the_last_event(make) -> None:
    bench, line = make(hello={"engine": codec.info_to_wire(INFO), "last_event": 41})
    assert bench.hello() == INFO and bench.last_event == 41
    assert [path for path, _ in line.asked] == ["hello"]


def test_steps_and_drafts_without_an_open_case_are_refused(make) -> None:
    bench, line = make()
    for step in (lambda: bench.add_prompts((PointPrompt((1, 1, 1)),)), bench.undo, bench.redo, bench.reset):
        with pytest.raises(NoImage, match="Open a case first"):
            step()
    with pytest.raises(NoImage, match="draft"):
        bench.save_draft(Draft(MASK))
    bench.leave()
    assert line.asked == [], "nothing was open, so nothing is given back"


def test_an_answer_that_nobody_got_widens_the_next_one(make) -> None:
    class Stepping:
        can_undo, can_redo, prompts = True, False, ()
        box = ((0, 1), (0, 1), (0, 1))

        def undo(self) -> Proposal:
            return Proposal(MASK, self.box, 0, 1, 0.0)

    bench, _ = make()
    bench._session, bench._case = Stepping(), "a"
    first: Answer = bench.undo()
    bench.delivered(False, first)
    Stepping.box = ((2, 4), (2, 3), (2, 3))
    second = bench.undo()
    assert second.proposal.changed_kji == ((0, 4), (0, 3), (0, 3))
    bench.delivered(True, second)
    assert bench.undo().proposal.changed_kji == Stepping.box


def test_an_engine_that_cannot_be_reached_does_not_keep_anybody_from_leaving(make) -> None:
    bench, line = make()

    def gone(*_: object) -> None:
        raise EngineUnreachable("Gone.")

    line.exchange, bench._case = gone, "a"
    bench.leave_quietly()
    assert bench._case is None
