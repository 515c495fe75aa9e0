"""The small parts of the engine and its client, each by itself."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import nullcontext
from pathlib import Path

import httpx
import numpy as np
import pytest

from clopa_annotator.engine import codec, doctor
from clopa_annotator.engine.calls import CallQueue
from clopa_annotator.engine.frames import WireLimits, unpack_bundle
from clopa_annotator.engine.host import confined
from clopa_annotator.engine.journal import Journal
from clopa_annotator.engine.lanes import Lane
from clopa_annotator.engine.logs import close_engine_log, make_room, open_engine_log
from clopa_annotator.engine.messages import (
    CaseRow,
    CaseStatistics,
    Draft,
    EngineInfo,
    EpisodeRow,
    LearningState,
)
from clopa_annotator.engine.prediction import PredictionThread
from clopa_annotator.engine.sessions import SessionTable
from clopa_annotator.engine.spool import Spool, confirmation_message
from clopa_annotator.engine.sse import render
from clopa_annotator.engine.transport import Transport, TransportSettings
from clopa_annotator.engine.watching import Watcher
from clopa_annotator.engine.workbench import Workbench
from clopa_annotator.errors import (
    EngineError,
    EngineFull,
    EngineUnreachable,
    InputError,
    NoImage,
    SessionExpired,
    StorageFull,
    VersionMismatch,
    WrongToken,
)
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.fake import FakeSession
from clopa_annotator.types import (
    CaseRef,
    CaseState,
    Confirmation,
    Event,
    GateDecision,
    Image,
    PointPrompt,
    PromptKind,
    ScribblePrompt,
    TimedPrompt,
    WeightsVersion,
)


def an_image() -> Image:
    return Image(
        np.random.default_rng(0).normal(size=(12, 12, 12)).astype(np.float32), Geometry((12, 12, 12))
    )


# -- the prediction thread -------------------------------------------------------------------------------


class Weights:
    current = 0

    def __init__(self) -> None:
        self.used: list[int] = []

    def use(self, version: int) -> None:
        self.used.append(version)

    def held(self) -> nullcontext[None]:
        return nullcontext()


class Signal:
    def __init__(self) -> None:
        self.level, self.highest = 0, 0

    def click_begins(self) -> None:
        self.level += 1
        self.highest = max(self.highest, self.level)

    def click_ends(self) -> None:
        self.level -= 1


class Volume:
    """Stands for a preprocessed image tensor."""

    def __init__(self, good: bool = True) -> None:
        self._good = good

    def isfinite(self) -> np.ndarray:
        return np.array([self._good])


class StockSession:
    def __init__(self) -> None:
        self.preprocessed_image: Volume | None = Volume()


def test_training_steps_back_from_the_moment_a_click_waits_until_it_is_answered() -> None:
    weights, signal = Weights(), Signal()
    thread = PredictionThread(weights, signal)
    assert thread.predict(3, lambda: signal.level) == 1
    with pytest.raises(ZeroDivisionError):
        thread.predict(None, lambda: 1 / 0)
    assert (signal.level, weights.used) == (0, [3])
    thread.shutdown()
    with pytest.raises((RuntimeError, CancelledError)):
        thread.predict(0, lambda: None)
    assert signal.level == 0


def test_a_stock_session_keeps_its_version_until_its_next_image() -> None:
    weights, signal = Weights(), Signal()
    thread, session = PredictionThread(weights, signal), StockSession()
    for version in (0, 1, 1):
        thread.submit(lambda s: None, session).result()
        weights.current = version + 1
    session.preprocessed_image = Volume()
    thread.submit(lambda s: None, session).result()
    assert weights.used == [0, 0, 0, 2]
    thread.shutdown()


@pytest.mark.parametrize("image", [None, Volume(good=False)])
def test_a_stock_session_without_a_usable_image_is_refused_in_words(image: Volume | None) -> None:
    thread, session = PredictionThread(Weights(), Signal()), StockSession()
    session.preprocessed_image = image
    with pytest.raises(ValueError, match="image"):
        thread.submit(lambda s: None, session).result()
    thread.shutdown()


def test_whatever_a_stock_session_raises_becomes_a_value_error() -> None:
    thread = PredictionThread(Weights(), Signal())
    with pytest.raises(ValueError, match="could not be carried out"):
        thread.submit(lambda s: {}["missing"], StockSession()).result()
    thread.shutdown()


# -- sessions --------------------------------------------------------------------------------------------


def test_places_are_given_back_when_nobody_is_heard_of() -> None:
    now = [0.0]
    table = SessionTable(FakeSession, max_sessions=1, expiry_s=10, clock=lambda: now[0])
    first = table.open("Ada", an_image(), 0, None)
    with pytest.raises(EngineFull):
        table.open("Bob", an_image(), 0, None)
    now[0] = 9
    table.get(first.key, "Ada")
    now[0] = 18
    assert table.sweep() == 0
    now[0] = 20
    table.open("Bob", an_image(), 0, None)
    with pytest.raises(SessionExpired):
        table.get(first.key, "Ada")
    with pytest.raises(NoImage):
        _ = first.session.proposal


def test_a_refused_image_takes_no_place() -> None:
    table = SessionTable(FakeSession, max_sessions=1)
    with pytest.raises(InputError):
        table.open("Ada", Image(np.zeros((4, 4, 4), np.float32), Geometry((4, 4, 4))), 0, None)
    assert len(table) == 0


def test_a_client_that_missed_answers_is_told_all_that_changed() -> None:
    hosted = SessionTable(FakeSession).open("Ada", an_image(), 0, None)
    start = hosted.session.proposal.revision
    before = hosted.session.proposal.mask.copy()
    for position in ((6, 6, 6), (2, 2, 2)):
        hosted.note(hosted.session.add_prompt(PointPrompt(position)))
    box = hosted.changed_since(start)
    differs = before != hosted.session.proposal.mask
    differs[tuple(slice(*side) for side in box)] = False
    assert not differs.any()
    assert hosted.changed_since(hosted.session.proposal.revision) is None
    assert hosted.changed_since(-5) == ((0, 12), (0, 12), (0, 12))


# -- the client's parts ----------------------------------------------------------------------------------


def a_confirmation(name: str = "one") -> Confirmation:
    region = ScribblePrompt(np.ones((1, 2, 2), np.uint8), ((0, 1), (0, 2), (0, 2)))
    prompts = (TimedPrompt(PointPrompt((1, 2, 3)), 0.5), TimedPrompt(region, 1.5))
    return Confirmation(
        name, "Fall ä/1", np.eye(3, dtype=np.uint8)[None], prompts, "Ada", 12.0, 3, 0.5, "note"
    )


def test_the_spool_keeps_confirmations_in_order_and_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "campaign")
    for name in ("b", "a", "c", "a"):
        spool.put(name, confirmation_message(a_confirmation(name), 0))
    assert [s.confirmation_id for s in spool.waiting()] == ["b", "a", "c"]
    again = Spool(tmp_path, "campaign")
    kept = again.waiting()[0]
    meta = unpack_bundle(kept.body(), WireLimits()).meta
    assert (meta["case_id"], meta["note"], meta["based_on_version"], len(meta["prompts"])) == (
        "Fall ä/1",
        "note",
        0,
        2,
    )
    again.remove(kept.path)
    assert [s.confirmation_id for s in spool.waiting()] == ["a", "c"]
    assert Spool(tmp_path, "another campaign").waiting() == ()


def test_an_unreadable_spool_file_is_put_aside_not_deleted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "campaign")
    path = spool.put("one", b"torn")
    assert spool.waiting() == ()
    assert path.with_suffix(".unreadable").read_bytes() == b"torn"


class FailingLine:
    """Answers a confirmation with one error after the other, then takes it."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.taken = list(errors), 0

    def send(self, path: str, body: bytes, kind: str) -> tuple[dict[str, object], dict[str, object]]:
        assert path == "confirm"
        if self.errors:
            raise self.errors.pop(0)
        self.taken += 1
        return {"ref": codec.ref_to_wire(CaseRef("a", 1, 1, "i", "m", "r", "f"))}, {}


def bench_with(line: FailingLine, folder: Path) -> Workbench:
    bench = Workbench(line, folder)
    bench._info = EngineInfo(1, "0", "CPU", "m", "h", "CC", "c", 5, frozenset(), "Ada", False, "id")
    return bench


@pytest.mark.parametrize("passing", [StorageFull("Full."), WrongToken("Changed."), EngineFull("Busy.")])
def test_a_kept_confirmation_waits_out_what_will_pass(tmp_path: Path, passing: Exception) -> None:
    line = FailingLine(EngineUnreachable("Gone."), passing, EngineUnreachable("Gone."))
    bench = bench_with(line, tmp_path)
    with pytest.raises(EngineUnreachable, match="kept on this computer"):
        bench.confirm(Confirmation("id", "a", np.ones((4, 4, 4), np.uint8)))
    assert bench.owes
    for _ in range(2):
        assert bench.deliver_spooled() == [] and bench.owes
    assert bench.deliver_spooled() == [] and not bench.owes
    assert line.taken == 1 and not list(tmp_path.rglob("*.confirmation"))


def test_a_kept_confirmation_that_is_refused_for_good_is_put_aside_and_told(tmp_path: Path) -> None:
    bench = bench_with(FailingLine(EngineUnreachable("Gone."), InputError("Wrong shape.")), tmp_path)
    with pytest.raises(EngineUnreachable):
        bench.confirm(Confirmation("id", "a", np.ones((4, 4, 4), np.uint8)))
    (told,) = bench.deliver_spooled()
    assert told.name == "confirmation_refused" and told.data["reason"] == "Wrong shape."
    assert not bench.owes and list(tmp_path.rglob("*.refused"))


class EventLine:
    """A line on which nothing but signs of life arrives."""

    def __init__(self) -> None:
        self.heard = threading.Event()

    def events(self, after: int) -> Iterator[Event | None]:
        for _ in range(50):
            yield None
        self.heard.set()
        threading.Event().wait(30)


def test_what_is_owed_is_remembered_while_the_line_is_up() -> None:
    line, reminders = EventLine(), []
    watcher = Watcher(line, lambda _: None, lambda: reminders.append(1), lambda: True)
    watcher.start(0)
    assert line.heard.wait(30)
    watcher.close()
    assert len(reminders) == 1, "once in a few seconds, not at every sign of life"


def test_a_lane_works_in_order_and_skips_what_was_cancelled() -> None:
    calls, done, gate = CallQueue(), [], threading.Event()
    lane = Lane("test", calls)
    lane.do("wait", gate.wait)
    dropped = lane.do("drop", lambda: done.append("dropped"))
    failed = lane.do("fail", lambda: 1 / 0).then(None, lambda e: done.append(type(e)))
    last = lane.do("last", lambda: done.append("last"))
    dropped.cancel()
    gate.set()
    while not (failed.done and last.done):
        calls.poll(0.05)
    calls.poll()
    assert sorted(map(str, done)) == sorted(["last", str(EngineError)])
    lane.close()


def test_nobody_at_the_address_is_told_in_a_sentence() -> None:
    line = Transport("http://127.0.0.1:9", "t" * 20, TransportSettings(patience_s=0.3))
    with pytest.raises(EngineUnreachable, match="is it running"):
        line.exchange("hello", {})
    line.close()


def test_a_question_that_may_have_been_heard_is_not_repeated() -> None:
    tries = []

    def cut(request: httpx.Request) -> httpx.Response:
        tries.append(request.url.path)
        raise httpx.ReadError("cut")

    line = Transport("http://engine", "t" * 20, TransportSettings(patience_s=0.3, backoff_s=0.05))
    line._http = httpx.Client(base_url="http://engine", transport=httpx.MockTransport(cut))
    with pytest.raises(EngineUnreachable, match="not known"):
        line.exchange("cases/withdraw", {})
    assert len(tries) == 1
    with pytest.raises(EngineUnreachable):
        line.exchange("hello", {})
    assert len(tries) > 2


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (200, b"<html>", InputError),
        (502, b"<html>Bad gateway</html>", EngineError),
        (404, b"<html>", VersionMismatch),
        (426, b'{"error": "VersionMismatch", "detail": "update"}', VersionMismatch),
    ],
)
def test_something_else_at_the_address_is_told_apart(
    status: int, content: bytes, error: type[Exception]
) -> None:
    answer = httpx.MockTransport(lambda request: httpx.Response(status, content=content))
    line = Transport("http://engine", "t" * 20)
    line._http = httpx.Client(base_url="http://engine", transport=answer)
    with pytest.raises(error):
        line.exchange("hello", {})


def test_messages_come_back_as_they_were_sent() -> None:
    decision = GateDecision(True, "Better.", ("a",), (0.5,), (0.6,))
    rows = [
        (
            codec.case_row_to_wire,
            codec.case_row_from_wire,
            CaseRow("a", CaseState.SKIPPED, 2, "Ada", True, "n", "s"),
        ),
        (codec.ref_to_wire, codec.ref_from_wire, CaseRef("a", 1, 2, "i", "m", "r", "f")),
        (
            codec.statistics_to_wire,
            codec.statistics_from_wire,
            CaseStatistics("a", 1, -3, None, 2, 1.5, "Ada"),
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
            WeightsVersion(1, 0, "h", "CC", "d", decision=decision),
        ),
        (
            codec.info_to_wire,
            codec.info_from_wire,
            EngineInfo(
                1, "0", "CPU", "m", "h", "CC", "c", 5, frozenset({PromptKind.POINT}), "Ada", False, "id"
            ),
        ),
    ]
    for there, back, message in rows:
        assert back(json.loads(json.dumps(there(message)))) == message
    draft = Draft(np.ones((1, 2, 2), np.uint8), a_confirmation().prompts, 3.0)
    meta, arrays = codec.draft_to_wire(draft)
    again = codec.draft_from_wire(json.loads(json.dumps(meta)), arrays)
    assert again.prompts[0] == draft.prompts[0] and again.seconds_active == 3.0
    assert np.array_equal(again.prompts[1].prompt.mask, draft.prompts[1].prompt.mask)


def test_an_answer_of_another_version_is_a_sentence() -> None:
    assert codec.learning_from_wire({"phase": "idle", "sentence": "x", "from the future": 1}).phase == "idle"
    with pytest.raises(VersionMismatch, match="update the older"):
        codec.learning_from_wire({"phase": "idle"})
    with pytest.raises(EngineError):
        codec.ref_from_wire(None)


# -- the engine's parts ----------------------------------------------------------------------------------


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


def test_the_log_rotates_and_keeps_leases_out(tmp_path: Path) -> None:
    handler = open_engine_log(tmp_path)
    logging.getLogger("clopa_annotator.engine").info("served")
    logging.getLogger("nninteractive.server").info("claimed session secret-lease")
    close_engine_log(handler)
    text = (tmp_path / "engine.log").read_text()
    assert "served" in text and "secret-lease" not in text
    trainer = tmp_path / "trainer.log"
    trainer.write_bytes(b"x" * (3 << 20))
    make_room(trainer)
    assert not trainer.exists() and (tmp_path / "trainer.1.log").exists()


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/../../x", "/x", "~x", "C:\\x", "a\\..\\..\\b", "x\0", "."]
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        confined(tmp_path / "exports", name)


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError):
        confined(tmp_path / "exports", "link/x")
    assert confined(tmp_path / "exports", "mine") == tmp_path / "exports" / "mine"


def test_the_client_needs_neither_torch_nor_the_servers_packages() -> None:
    blocked = ("torch", "fastapi", "starlette", "uvicorn", "psutil", "scipy", "SimpleITK", "safetensors")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import clopa_annotator.engine.client, "
        "clopa_annotator.engine.tokens, clopa_annotator.engine.doctor"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_the_doctor_says_what_it_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ask_torch", lambda: ("cpu", 8))
    found = {f.subject: f for f in doctor.examine(tmp_path)}
    assert set(found) == {"Python", "Packages", "Device", "Memory", "Disk", "Writing", "Ports"}
    assert found["Packages"].ok and "8 CPU threads" in found["Device"].sentence
    assert all(f.sentence.endswith(".") or "pip install" in f.sentence for f in found.values())
    assert not list(tmp_path.iterdir())


def test_the_doctor_tells_what_is_wrong_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> tuple[str, int]:
        raise OSError("no torch")

    monkeypatch.setattr(doctor, "ask_torch", broken)
    monkeypatch.setattr(doctor, "NEEDED", {"numpy": "99.0", "no-such-package": "1"})
    monkeypatch.setattr(doctor, "SMALL_DISK_BYTES", 1 << 60)
    found = {f.subject: f for f in doctor.examine(tmp_path)}
    assert not found["Device"].ok and "pip install" in found["Device"].sentence
    assert (
        "no-such-package is missing" in found["Packages"].sentence
        and "99.0 is needed" in found["Packages"].sentence
    )
    assert not found["Disk"].ok and "make room" in found["Disk"].sentence
