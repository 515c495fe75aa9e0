"""What answers at an address need not be an engine: a login page, a proxy, another program's interface."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest

from clopa_annotator.client.operations import ClientOperations
from clopa_annotator.client.remote_session import RemoteSession
from clopa_annotator.client.transport import Transport, TransportSettings
from clopa_annotator.client.undelivered import UndeliveredConfirmations
from clopa_annotator.errors import ClopaError, ConfigError, EngineUnreachable, NotAnEngine, WrongToken
from clopa_annotator.types import CaseState, Confirmation
from clopa_annotator.wire import codec
from clopa_annotator.wire.messages import EngineInfo

PAGE = b"<!DOCTYPE html><html><form>Please log in</form></html>"
STRANGERS = [
    (200, "text/html", PAGE),
    (200, "application/json", b"{}"),
    (200, "application/json", b"[1]"),
    (200, "application/json", b'{"engine": {}, "case": {}, "cases": {}, "learning": 3, "ref": []}'),
    (200, "application/octet-stream", b"CLOP nothing more"),
    (302, "text/html", PAGE),
    (502, "text/html", b"<html>Bad gateway</html>"),
    (404, "text/html", b"<html>"),
]


def a_line(status: int, kind: str, content: bytes) -> Transport:
    answer = httpx.Response(status, content=content, headers={"Content-Type": kind})
    line = Transport("http://engine", "t" * 20, TransportSettings(patience_s=0.1))
    transport = httpx.MockTransport(lambda _: answer)
    line._http = httpx.Client(base_url="http://engine", transport=transport)
    return line


@pytest.mark.parametrize(("status", "kind", "content"), STRANGERS)
def test_every_question_to_a_stranger_ends_in_a_sentence(
    status: int, kind: str, content: bytes, tmp_path: Path
) -> None:
    line = a_line(status, kind, content)
    bench = ClientOperations(line, tmp_path)
    questions = (
        bench.hello,
        lambda: bench.table("cases", "cases", codec.case_row_from_wire),
        lambda: bench.steer("state", {}),
        lambda: bench.mark("skip", "case", "why"),
        lambda: RemoteSession(line),
        lambda: list(line.events(0)),
    )
    for ask in questions:
        with pytest.raises(ClopaError) as caught:
            ask()
        assert "engine" in str(caught.value)


@pytest.mark.parametrize(("status", "kind", "content"), STRANGERS)
def test_a_confirmation_that_a_stranger_answers_is_kept(
    status: int, kind: str, content: bytes, tmp_path: Path
) -> None:
    bench = ClientOperations(a_line(status, kind, content), tmp_path)
    bench._info = EngineInfo(1, "", "", "", "", "", "", 1, campaign_id="here")
    with pytest.raises(EngineUnreachable, match="kept on this computer"):
        bench.confirm(Confirmation("id", "case", np.ones((1, 2, 3), np.uint8)))
    assert [kept.case_id for kept in UndeliveredConfirmations(tmp_path, "here").waiting()] == ["case"]
    assert bench.deliveries.deliver_kept() == []
    assert [kept.case_id for kept in UndeliveredConfirmations(tmp_path, "here").waiting()] == ["case"], (
        "it is not refused"
    )


def test_a_login_page_is_called_what_it_is() -> None:
    with pytest.raises(NotAnEngine, match=r"a web page.*log in"):
        a_line(200, "text/html; charset=utf-8", PAGE).exchange("hello", {})


@pytest.mark.parametrize(
    "address", ["http://[::1", "server:8443", "ftp://server", "http://", "http://a b", "http://host:port"]
)
def test_an_address_that_is_none_is_refused_in_a_sentence(address: str) -> None:
    with pytest.raises(ConfigError, match="server's address"):
        Transport(address, "t" * 20)


@pytest.mark.parametrize("token", ["Schlüssel", "a\nb", "tab\there"])
def test_a_token_that_cannot_travel_is_refused_in_a_sentence(token: str) -> None:
    with pytest.raises(WrongToken, match="Copy it again"):
        Transport("http://engine", token)


def test_a_token_copied_with_its_line_end_is_taken() -> None:
    line = Transport("http://engine", "secret-token\n")
    assert line._http.headers["Authorization"] == "Bearer secret-token"


def test_a_certificate_that_is_none_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        (tmp_path / "empty.pem").write_text("no certificate")
        with pytest.raises(ConfigError, match="certificate"):
            Transport("https://engine", "t" * 20, TransportSettings(certificate=path))


def test_a_newer_engines_new_kinds_of_prompt_are_passed_over() -> None:
    row = {**codec.info_to_wire(EngineInfo(1, "", "", "", "", "", "", 1)), "supported": ["point", "gaze"]}
    assert {kind.value for kind in codec.info_from_wire(row).supported} == {"point"}


def test_a_row_of_a_case_is_read_as_it_was_written() -> None:
    row = {"case_id": "c", "state": CaseState.TODO.value}
    assert codec.case_row_from_wire(row).state is CaseState.TODO
