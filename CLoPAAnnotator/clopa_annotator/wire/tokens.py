"""Who may talk to an engine: a token file with owner-only rights, compared in constant time.

The file is JSON, ``{"tokens": [{"token": "...", "name": "Ada", "role": "owner"}, ...]}``, or a single line
that is the owner's token. Roles are "annotator", "reviewer" and "owner"; "lead" is another word for "owner".
A missing file is created with one new owner token.
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

Role = Literal["owner", "reviewer", "annotator"]
ROLES: dict[str, Role] = {
    "owner": "owner",
    "lead": "owner",
    "reviewer": "reviewer",
    "annotator": "annotator",
}
"""What a token file may say, and what it means."""
MIN_TOKEN_LENGTH = 16
PERSON, LONGEST_NAME = "x-clopa-person", 200
"""Header in which a client names its person, percent-encoded, to an engine that believes it."""


@dataclass(frozen=True)
class Identity:
    """A person, as far as an engine knows one.

    Attributes:
        name: what is written into records and shown to others as a case's holder.
        role: an owner (the campaign's lead) may do everything; a reviewer annotates, and accepts or returns
            what others confirmed; an annotator annotates.
    """

    name: str
    role: Role

    def require_owner(self, what: str) -> None:
        """Refuse annotators.

        Raises:
            NotPermitted: with ``what`` in the sentence.
        """
        if self.role != "owner":
            raise NotPermitted(f"Only the campaign's owner may {what}; you are signed in as {self.role}.")

    @property
    def may_review(self) -> bool:
        """Whether this person may accept and return what others confirmed."""
        return self.role in ("owner", "reviewer")

    def require_reviewer(self, what: str) -> None:
        """Refuse annotators.

        Raises:
            NotPermitted: with ``what`` in the sentence.
        """
        if not self.may_review:
            raise NotPermitted(
                f"Only a reviewer or the campaign's lead may {what}; you are signed in as {self.role}."
            )


def is_sendable(token: str) -> bool:
    """Whether a token can stand in a request: ASCII letters, digits and signs, no space."""
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


class TokenBook:
    """All tokens that an engine accepts."""

    def __init__(self, entries: dict[str, Identity]) -> None:
        """Take a token -> identity table.

        Raises:
            ConfigError: no token, or one that is too short to be secret or that no request can carry.
        """
        if not entries:
            raise ConfigError("The token file names no token; delete it, and the engine writes a new one.")
        if any(len(token) < MIN_TOKEN_LENGTH or not is_sendable(token) for token in entries):
            raise ConfigError(
                f"A token needs at least {MIN_TOKEN_LENGTH} plain letters, digits or signs (ASCII), and no "
                "spaces, to be a secret that can be sent."
            )
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
    """Write a token file that only its owner can read; the file must not exist yet.

    Raises:
        ConfigError: it cannot be written there.
    """
    rows = [{"token": t, "name": i.name, "role": i.role} for t, i in entries.items()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({"tokens": rows}, file, indent=1)
    except OSError as error:
        raise ConfigError(
            f"The token file {path} cannot be written ({error.strerror}). Make its folder writable, or name "
            "another place with --token-file."
        ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The token file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The token file {path} is malformed: it is not text in UTF-8.") from error


def _parse(text: str) -> dict[str, Identity]:
    if not text.lstrip().startswith("{"):
        return {text.strip(): Identity("owner", "owner")}
    entries: dict[str, Identity] = {}
    for row in json.loads(text)["tokens"]:
        role = ROLES.get(str(row["role"]))
        if role is None:
            raise ConfigError(
                f"The token file gives {row['name']!r} an unknown role {row['role']!r}; there are "
                f"{', '.join(ROLES)}."
            )
        entries[str(row["token"])] = Identity(str(row["name"]), role)
    return entries


def load_token_file(path: Path) -> TokenBook:
    """Read a token file, or create it with one owner token.

    Raises:
        ConfigError: others may read it, it is malformed, or it can be neither read nor written.
    """
    if not path.exists():
        write_token_file(path, {new_token(): Identity("owner", "owner")})
    text = _read(path)
    # Windows has no such mode bits; its user profile folders are private by their access lists.
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"Others on this machine can read the tokens; run: chmod 600 {path}")
    try:
        return TokenBook(_parse(text))
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"The token file {path.name} is malformed: {error}") from error


def first_token(path: Path, role: Role = "owner") -> str:
    """The first token of that role, for a client on the same machine.

    Raises:
        ConfigError: the file has none.
    """
    for token, identity in _parse(_read(path)).items():
        if identity.role == role:
            return token
    raise ConfigError(f"The token file {path.name} has no token for the role {role!r}.")
