"""The guard by itself: what is refused before a body is read, and what a failure looks like from outside."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from clopa_annotator.errors import (
    CaseTaken,
    ClopaError,
    EngineError,
    EngineFull,
    ImageError,
    InputError,
    SessionExpired,
    StorageFull,
    VersionMismatch,
)
from clopa_annotator.server.request_guard import RequestGuard, RequestGuardSettings
from clopa_annotator.wire.array_framing import WireLimits
from clopa_annotator.wire.faults import TooLarge, error_from, fault_body, status_of
from clopa_annotator.wire.tokens import Identity, TokenBook

TOKEN = "t" * 30
SETTINGS = RequestGuardSettings(
    WireLimits(max_json_bytes=100), max_body_bytes=1000, max_waiting_bytes=1500, body_timeout_s=0.2
)


async def _never(scope: Any, receive: Any, send: Any) -> None:
    pytest.fail("the request got through")


def ask(
    app: Callable[..., Awaitable[None]] = _never,
    path: str = "/campaign/v2/state",
    *,
    headers: dict[str, str] | None = None,
    chunks: tuple[bytes, ...] = (b"",),
    guard: RequestGuard | None = None,
    stall: bool = False,
    waiting: int = 0,
) -> tuple[int, dict[str, Any], int]:
    """Send one request; status, JSON, and how many chunks were read."""
    given = {"authorization": f"Bearer {TOKEN}", **(headers or {})}
    scope = {
        "type": "http",
        "path": path,
        "method": "POST",
        "headers": [(k.encode(), v.encode()) for k, v in given.items()],
    }
    left, sent, read = list(chunks), [], 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        if stall and not left:
            await asyncio.sleep(60)
        read += 1
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or stall}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    guard = guard or RequestGuard(app, TokenBook({TOKEN: Identity("Ada", "owner")}), SETTINGS)
    asyncio.run(guard(scope, receive, send))
    assert guard._waiting_bytes == waiting
    return sent[0]["status"], json.loads(sent[1]["body"]), read


@pytest.mark.parametrize(
    ("trusts", "sent", "name"),
    [
        (False, "J%C3%BCrgen", "Ada"),
        (True, "J%C3%BCrgen", "Jürgen"),
        (True, "", "Ada"),
        (True, "%20%20", "Ada"),
    ],
)
def test_a_client_says_who_its_person_is_only_where_that_is_believed(
    trusts: bool, sent: str, name: str
) -> None:
    settings = replace(SETTINGS, trusts_names=trusts)
    guard = RequestGuard(_never, TokenBook({TOKEN: Identity("Ada", "owner")}), settings)
    assert guard._named(Identity("Ada", "owner"), sent) == Identity(name, "owner")


@pytest.mark.parametrize("sent", ["a" * 201, "a%0Ab"])
def test_a_name_that_is_none_is_refused(sent: str) -> None:
    settings = replace(SETTINGS, trusts_names=True)
    guard = RequestGuard(_never, TokenBook({TOKEN: Identity("Ada", "owner")}), settings)
    with pytest.raises(InputError, match="printable"):
        guard._named(Identity("Ada", "owner"), sent)


def answering(body: bytes = b"{}") -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["more_body"] is False
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


def failing(error: Exception) -> Callable[..., Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise error

    return app


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "Bearer x", f"Basic {TOKEN}", TOKEN])
def test_without_the_token_nothing_is_even_read(given: str) -> None:
    status, body, read = ask(headers={"authorization": given}, chunks=(b"x" * 50,))
    assert (status, body["error"], read) == (401, "WrongToken", 0)


def test_a_body_that_is_announced_too_large_is_not_read() -> None:
    status, body, read = ask(headers={"content-length": "101"}, chunks=(b"x" * 101,))
    assert (status, read) == (413, 0)
    assert "at most 100 bytes" in body["detail"]


@pytest.mark.parametrize("length", ["-1", "1e3", "ten", "9" * 30])
def test_an_impossible_length_is_refused(length: str) -> None:
    assert ask(headers={"content-length": length})[0] == 413


def test_a_body_without_a_length_is_cut_at_the_limit() -> None:
    status, _, read = ask(chunks=(b"x" * 60,) * 50)
    assert (status, read) == (413, 2)


def test_too_much_at_once_is_refused_for_the_moment() -> None:
    guard = RequestGuard(_never, TokenBook({TOKEN: Identity("Ada", "owner")}), SETTINGS)
    guard._waiting_bytes = 1400
    kind = {"content-type": "application/octet-stream"}
    status, body, _ = ask(headers=kind, chunks=(b"x" * 200,), guard=guard, waiting=1400)
    assert status == 503 and "try again" in body["detail"]


def test_a_body_that_stalls_is_given_up() -> None:
    status, body, _ = ask(chunks=(b"x",), stall=True)
    assert status == 400 and "did not arrive in time" in body["detail"]


@pytest.mark.parametrize("version", ["1", "0", "9999"])
def test_another_version_of_the_interface_is_told_in_a_sentence(version: str) -> None:
    status, body, _ = ask(path=f"/campaign/v{version}/state")
    assert (status, body["error"]) == (426, "VersionMismatch")
    assert f"version {version}" in body["detail"] and "update the older" in body["detail"]


def test_a_good_request_gets_through() -> None:
    assert ask(answering(b'{"a": 1}'), chunks=(b"{", b"}")) == (200, {"a": 1}, 2)


def test_an_unforeseen_failure_is_logged_under_the_number_that_is_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Other tests of this process set up logging; the guard's own logger is what is asked here.
    logger = logging.getLogger("clopa_annotator.campaign")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.ERROR, logger.name):
            status, body, _ = ask(failing(ZeroDivisionError("secret detail")))
    finally:
        logger.removeHandler(caplog.handler)
    assert status == 500 and "secret" not in body["detail"]
    assert body["detail"].rstrip(".")[-8:] in caplog.text


def test_a_malformed_stock_request_is_the_clients_fault() -> None:
    assert ask(failing(KeyError("do_autozoom")), "/set_do_autozoom")[0] == 400
    assert ask(failing(KeyError("do_autozoom")))[0] == 500


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CaseTaken("Eve has it."), 423),
        (StorageFull("No room."), 507),
        (ImageError("Constant."), 400),
        (SessionExpired("Gone."), 410),
        (EngineFull("Full."), 503),
        (VersionMismatch("Old."), 426),
        (TooLarge("Big."), 413),
        (EngineError("Odd."), 500),
    ],
)
def test_errors_travel_by_name(error: ClopaError, status: int) -> None:
    answered, body, _ = ask(failing(error))
    assert answered == status == status_of(error)
    again = error_from(answered, body)
    assert type(again) is type(error) and str(again) == str(error)
    assert fault_body(error) == body


def test_an_answer_that_nobody_understands_is_an_error_in_words() -> None:
    assert "status 418" in str(error_from(418, None))
    assert isinstance(error_from(400, {"error": "SystemExit", "detail": "x"}), ClopaError)
    assert isinstance(error_from(410, {"detail": "lease expired"}), SessionExpired)


def test_web_sockets_are_closed() -> None:
    sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    guard = RequestGuard(_never, TokenBook({TOKEN: Identity("Ada", "owner")}))
    asyncio.run(guard({"type": "websocket", "path": "/"}, lambda: None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]
