"""What a person types to reach an engine, checked before a connection is made of it; torch-free.

An address or a token that HTTP cannot carry fails deep inside the library, each in a way of its own. Here it
becomes a sentence about what was typed.
"""

from __future__ import annotations

import httpx

from clopa_annotator.errors import ConfigError, WrongToken
from clopa_annotator.wire.tokens import is_sendable

EXAMPLE = "https://gpu-server:8443"


def checked_address(text: str) -> str:
    """An engine's address, as the client takes it.

    Args:
        text: with or without space around it; the scheme is needed.

    Raises:
        ConfigError: not an http or https address of a host that can exist.
    """
    address = text.strip().rstrip("/")
    try:
        url = httpx.URL(address)
        url.raw_host.decode("ascii").encode("idna")  # what looking the name up does first
    except (httpx.InvalidURL, ValueError) as error:
        raise _refusal(address) from error
    if url.scheme not in ("http", "https") or not url.host or "%" in url.host:
        raise _refusal(address)
    if url.port is not None and not 0 < url.port < 65536:
        raise _refusal(address)
    if url.userinfo or url.query or url.fragment:
        raise _refusal(address)
    return address


def _refusal(address: str) -> ConfigError:
    return ConfigError(
        f"{address!r} is not a server's address. Type it as its owner gave it, for instance {EXAMPLE}."
    )


def checked_token(text: str) -> str:
    """A token, as the client takes it.

    Raises:
        WrongToken: it has characters that no token has, for instance through copying a line of text.
    """
    token = text.strip()
    if not is_sendable(token):
        raise WrongToken(
            "The token has characters that no token has: it is made of plain letters, digits and signs, "
            "without spaces. Copy it again from the owner's token file."
        )
    return token
