"""Who may talk to an engine: a token file with owner-only rights, compared in constant time.

The file is JSON, ``{"tokens": [{"token": "...", "name": "Ada", "role": "owner"}, ...]}``, or a single line
that is the owner's token. A missing file is created with one new owner token.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clopa_annotator.errors import ConfigError, NotPermitted, WrongToken

Role = Literal["owner", "annotator"]
MIN_TOKEN_LENGTH = 16


@dataclass(frozen=True)
class Identity:
    """A person, as far as an engine knows one.

    Attributes:
        name: what is written into records and shown to others as a case's holder.
        role: an owner may roll weights back, steer episodes and export; an annotator annotates.
    """

    name: str
    role: Role

    def require_owner(self, what: str) -> None:
        """Refuse annotators.

        Raises:
            NotPermitted: with ``what`` in the sentence.
        """
        if self.role != "owner":
            raise NotPermitted(f"Only the campaign's owner may {what}; you are signed in as annotator.")


class TokenBook:
    """All tokens that an engine accepts."""

    def __init__(self, entries: dict[str, Identity]) -> None:
        """Take a token -> identity table.

        Raises:
            ConfigError: no token, or one that is too short to be secret.
        """
        if not entries:
            raise ConfigError("The token file names no token; delete it, and the engine writes a new one.")
        if any(len(token) < MIN_TOKEN_LENGTH or not token.isascii() for token in entries):
            raise ConfigError(f"A token needs at least {MIN_TOKEN_LENGTH} ASCII characters to be a secret.")
        self._entries = [(token.encode(), identity) for token, identity in entries.items()]

    def identify(self, presented: str) -> Identity:
        """Whose token this is; every entry is compared, each in constant time.

        Raises:
            WrongToken: nobody's.
        """
        found: Identity | None = None
        given = presented.encode("utf-8", "replace")
        for token, identity in self._entries:
            if hmac.compare_digest(token, given):
                found = identity
        if found is None:
            raise WrongToken("The engine does not accept this token; copy the one from its token file.")
        return found


def new_token() -> str:
    """A fresh secret of 256 bits."""
    return secrets.token_urlsafe(32)


def write_token_file(path: Path, entries: dict[str, Identity]) -> None:
    """Write a token file that only its owner can read; the file must not exist yet."""
    rows = [{"token": t, "name": i.name, "role": i.role} for t, i in entries.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"tokens": rows}, file, indent=1)


def _parse(text: str) -> dict[str, Identity]:
    if not text.lstrip().startswith("{"):
        return {text.strip(): Identity("owner", "owner")}
    entries: dict[str, Identity] = {}
    for row in json.loads(text)["tokens"]:
        if row["role"] not in ("owner", "annotator"):
            raise ConfigError(f"The token file gives {row['name']!r} an unknown role {row['role']!r}.")
        entries[str(row["token"])] = Identity(str(row["name"]), row["role"])
    return entries


def load_token_file(path: Path) -> TokenBook:
    """Read a token file, or create it with one owner token.

    Raises:
        ConfigError: others may read it, or it is malformed.
    """
    if not path.exists():
        write_token_file(path, {new_token(): Identity("owner", "owner")})
    # Windows has no such mode bits; its user profile folders are private by their access lists.
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"Others on this machine can read the tokens; run: chmod 600 {path}")
    try:
        return TokenBook(_parse(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"The token file {path.name} is malformed: {error}") from error


def first_token(path: Path, role: Role = "owner") -> str:
    """The first token of that role, for a client on the same machine.

    Raises:
        ConfigError: the file has none.
    """
    for token, identity in _parse(path.read_text(encoding="utf-8")).items():
        if identity.role == role:
            return token
    raise ConfigError(f"The token file {path.name} has no token for the role {role!r}.")
