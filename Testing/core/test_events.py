"""Events are numbered without gaps, kept for those who rejoin, and survive a failing listener."""

from __future__ import annotations

import logging
import threading

import pytest

from clopa_annotator.events import EventLog


def test_a_client_rejoins_from_the_last_event_it_saw() -> None:
    log = EventLog()
    for n in range(5):
        log.publish("tick", n=n)
    assert [e.data["n"] for e in log.since(3)] == [3, 4]
    assert log.last_sequence == 5


def test_old_events_are_forgotten_but_numbers_go_on() -> None:
    log = EventLog(capacity=2, first=10)
    for _ in range(4):
        log.publish("tick")
    assert [e.sequence for e in log.since(0)] == [12, 13]


def test_a_failing_listener_is_logged_and_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    log, seen = EventLog(), []

    def broken(_: object) -> None:
        raise RuntimeError("listener broke")

    log.subscribe(broken)
    log.subscribe(seen.append)
    with caplog.at_level(logging.ERROR):
        log.publish("tick")
    assert len(seen) == 1
    assert "listener failed on event 1" in caplog.text


def test_nobody_is_told_after_unsubscribing_twice() -> None:
    log, seen = EventLog(), []
    stop = log.subscribe(seen.append)
    stop()
    stop()
    log.publish("tick")
    assert seen == []


def test_waiting_ends_with_the_event_or_with_the_time() -> None:
    log = EventLog()
    assert log.wait_since(0, timeout_s=0.01) == ()
    threading.Timer(0.05, log.publish, args=("late",)).start()
    assert [e.name for e in log.wait_since(0, timeout_s=10)] == ["late"]


def test_threads_never_share_a_number() -> None:
    log = EventLog()
    threads = [threading.Thread(target=lambda: [log.publish("t") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [e.sequence for e in log.since(0)] == list(range(1, 801))
