"""What people type for an address and a token is checked in words before anything is sent."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from clopa_annotator.client.addresses import checked_address, checked_token
from clopa_annotator.client.http_client import HttpEngineClient
from clopa_annotator.client.transport import Transport, TransportSettings
from clopa_annotator.errors import ConfigError, WrongToken
from clopa_annotator.wire.tokens import load_token_file

ADDRESSES = (
    "http://[::1",
    "http://gpu:abc",
    "http://gpu:99999",
    "http://gpu:0",
    "http://gpu server:80",
    "http://",
    "ftp://gpu",
    "gpu:8443",
    "http://a..b",
    f"http://{'a' * 70}",
    "http://ü..x",
    "http://gpu:80\nx",
    "http://ada:secret@gpu",
    "http://gpu?x=1",
    "",
)
TOKENS = ("ü" * 20, "geheim–geheim–geheim", "two words of a line", "line\nline", "", "tab\there")


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_is_no_address_is_refused_with_an_example(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a server's address.*https://gpu-server:8443"):
        HttpEngineClient(address, "t" * 20, tmp_path)


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_that_no_request_can_carry_is_refused_without_being_repeated(token: str) -> None:
    with pytest.raises(WrongToken, match="plain letters, digits and signs") as refused:
        Transport("http://gpu", token)
    assert not token or token not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:41873",
        "http://[::1]:80",
        "https://gpu-server:8443/",
        " http://gpü.example ",
        "http://gpu/a",
    ],
)
def test_addresses_that_can_exist_are_taken(address: str) -> None:
    line = Transport(address, " token-of-16-and-more \n", TransportSettings(patience_s=0))
    assert line._http.headers["Authorization"] == "Bearer token-of-16-and-more"
    assert httpx.URL(checked_address(address)).host
    line.close()


@pytest.mark.parametrize("token", ["x" * 15, "ü" * 20, "two words of a line", "two\nlines-of-a-file"])
def test_an_engine_takes_no_token_that_its_clients_cannot_send(token: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.touch(mode=0o600)
    path.write_text(token, encoding="utf-8")
    with pytest.raises(ConfigError, match="at least 16 plain letters, digits or signs"):
        load_token_file(path)


def test_a_token_is_taken_without_the_space_around_it() -> None:
    assert checked_token("  abc\n") == "abc"
