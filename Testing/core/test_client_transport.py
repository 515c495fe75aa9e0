"""The client's line to the engine: its threads, and what is said when nobody or somebody else answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from clopa_annotator.client.call_workers import CallWorker
from clopa_annotator.client.calls import CallQueue
from clopa_annotator.client.event_follower import EventFollower
from clopa_annotator.client.transport import Transport, TransportSettings
from clopa_annotator.errors import EngineError, EngineUnreachable, InputError, VersionMismatch
from clopa_annotator.types import Event


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
    watcher = EventFollower(line, lambda _: None, lambda: reminders.append(1), lambda: True)
    watcher.start(0)
    assert line.heard.wait(30)
    watcher.close()
    assert len(reminders) == 1, "once in a few seconds, not at every sign of life"


def test_a_lane_works_in_order_and_skips_what_was_cancelled() -> None:
    calls, done, gate = CallQueue(), [], threading.Event()
    lane = CallWorker("test", calls)
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
