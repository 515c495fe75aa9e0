"""Requests to an engine: one connection pool, retries with back-off, errors by type. Torch-free, Qt-free.

Every message can be repeated safely: sessions remember their last request, confirmations have ids, the rest
sets a state. The few that cannot (see `ONCE`) are repeated only if they certainly never left this machine.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy.typing as npt

from clopa_annotator.client.addresses import checked_address, checked_token
from clopa_annotator.errors import (
    ClopaError,
    ConfigError,
    EngineUnreachable,
    InputError,
    NotAnEngine,
    VersionMismatch,
)
from clopa_annotator.types import Event
from clopa_annotator.wire.array_framing import BUNDLE_MAGIC, WireLimits, pack_bundle, read_json, unpack_bundle
from clopa_annotator.wire.faults import error_from
from clopa_annotator.wire.messages import API_VERSION
from clopa_annotator.wire.tokens import PERSON

logger = logging.getLogger(__name__)

PREFIX = f"/campaign/v{API_VERSION}"
ONCE = frozenset({"cases/withdraw", "cases/skip", "cases/flag", "cases/reopen", "episodes/start"})
_QUICK = frozenset(
    {"hello", "state", "cases", "episodes", "weights", "statistics", "session/beat", "export/state"}
)


@dataclass(frozen=True)
class TransportSettings:
    """How patient a client is.

    Attributes:
        patience_s: how long an engine that does not answer is tried again.
        backoff_s: pause before the first repetition; it doubles up to two seconds.
        quick_s: how long a list or a state may take.
        work_s: how long a prediction, an upload or a confirmation may take.
        connect_s: how long a connection may take.
        certificate: PEM file to trust for an engine with its own certificate; None for the system's.
    """

    patience_s: float = 5.0
    backoff_s: float = 0.1
    quick_s: float = 20.0
    work_s: float = 600.0
    connect_s: float = 5.0
    certificate: Path | None = None


def _person(name: str) -> dict[str, str]:
    """The header that names a person; none for nobody."""
    return {PERSON: quote(name.strip())} if name.strip() else {}


class Transport:
    """The line to one engine; fulfils `session.remote.Line`. Safe to use from several threads."""

    def __init__(
        self, url: str, token: str, settings: TransportSettings | None = None, person: str = ""
    ) -> None:
        """Nothing is sent yet; ``person`` is who sits here, for an engine that believes its client.

        Raises:
            ConfigError: an address that is none, or a certificate that cannot be read.
            WrongToken: a token that no request can carry.
        """
        self.settings = settings or TransportSettings()
        self._limits = WireLimits(max_json_bytes=256 << 20)
        self._closed = threading.Event()
        self._http = httpx.Client(
            base_url=checked_address(url),
            headers={"Authorization": f"Bearer {checked_token(token)}", **_person(person)},
            timeout=httpx.Timeout(self.settings.work_s, connect=self.settings.connect_s),
            verify=_trust(self.settings.certificate),
            trust_env=False,
        )

    def close(self) -> None:
        """Give up waiting and close the connections; idempotent."""
        self._closed.set()
        self._http.close()

    def exchange(
        self, path: str, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]] | None = None
    ) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Send a message to one of the engine's routes and wait for the answer.

        Raises:
            EngineUnreachable: nobody answered within the patience.
            ClopaError: what the engine answered.
        """
        if arrays:
            body, kind = pack_bundle(meta, arrays), "application/octet-stream"
        else:
            body, kind = json.dumps(dict(meta)).encode(), "application/json"
        return self.send(path, body, kind)

    def send(self, path: str, body: bytes, kind: str) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Like `exchange`, for a message that is packed already."""
        limit_s = self.settings.quick_s if path in _QUICK else self.settings.work_s
        timeout = httpx.Timeout(limit_s, connect=self.settings.connect_s)
        answer = self._patiently(
            lambda: self._http.post(
                f"{PREFIX}/{path}", content=body, headers={"Content-Type": kind}, timeout=timeout
            ),
            repeatable=path not in ONCE,
        )
        return self._read(answer)

    def _patiently(self, send: Callable[[], httpx.Response], repeatable: bool) -> httpx.Response:
        end = time.monotonic() + self.settings.patience_s
        pause = self.settings.backoff_s
        while True:
            try:
                return send()
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                lost: Exception = error
            except httpx.TransportError as error:
                lost = error
                if not repeatable:
                    raise EngineUnreachable(
                        "The connection to the engine broke off; whether it did what was asked is not known. "
                        "Look before asking again."
                    ) from error
            except RuntimeError as error:
                raise EngineUnreachable("The connection to the engine was closed.") from error
            if time.monotonic() + pause > end or self._closed.wait(pause):
                raise EngineUnreachable(
                    "The engine does not answer; is it running, and is the address right?"
                ) from lost
            pause = min(2 * pause, 2.0)

    def _read(self, answer: httpx.Response) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        if answer.status_code != 200:
            raise _error_of(answer)
        try:
            if answer.content[:4] == BUNDLE_MAGIC:
                bundle = unpack_bundle(answer.content, self._limits)
                return Reply(bundle.meta), Reply(bundle.arrays)
            return Reply(read_json(answer.content, self._limits)), Reply()
        except InputError as error:
            raise NotAnEngine(_STRANGER.format(what=_kind_of(answer))) from error

    def events(self, after: int) -> Iterator[Event | None]:
        """The engine's events after a sequence number, as long as the connection lives.

        Yields:
            Events; None for a sign of life without news. A missing stretch comes as an event "gap".

        Raises:
            EngineUnreachable: the connection broke off or could not be made.
            ClopaError: what the engine answered.
        """
        timeout = httpx.Timeout(30.0, connect=self.settings.connect_s)
        try:
            with self._http.stream("GET", f"{PREFIX}/events?after={after}", timeout=timeout) as answer:
                if answer.status_code != 200:
                    answer.read()
                    raise _error_of(answer)
                if not answer.headers.get("Content-Type", "").startswith("text/event-stream"):
                    raise NotAnEngine(_STRANGER.format(what=_kind_of(answer)))
                yield from _parse(answer.iter_lines())
        except (httpx.HTTPError, httpx.StreamError, RuntimeError) as error:
            raise EngineUnreachable("The connection to the engine broke off.") from error
        raise EngineUnreachable("The engine has ended the connection.")


class Reply(dict[str, Any]):
    """What an engine answered; what an answer must have and lacks says that no engine sent it."""

    def __missing__(self, name: str) -> Any:
        raise NotAnEngine(_STRANGER.format(what=f"an answer without {name!r}"))


def _trust(certificate: Path | None) -> ssl.SSLContext:
    """Whom to trust: the one certificate that was given, or the system's authorities."""
    try:
        return ssl.create_default_context(cafile=str(certificate) if certificate else None)
    except OSError as error:
        raise ConfigError(f"The certificate {certificate} cannot be read; is it a PEM file?") from error


def _kind_of(answer: httpx.Response) -> str:
    """What was sent instead of an engine's answer."""
    page = "html" in answer.headers.get("Content-Type", "").lower()
    return "a web page" if page else "something that no engine sends"


_STRANGER = (
    "Something answers at this address, but it is no CLoPA engine: it sent {what}. Check the address; if the "
    "network asks for a login first, log in with a browser."
)


def _parse(lines: Iterator[str]) -> Iterator[Event | None]:
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield None
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            try:
                number, data = int(fields.get("id", 0)), json.loads(fields.get("data", "{}"))
            except ValueError as error:
                raise NotAnEngine(_STRANGER.format(what="an event that cannot be read")) from error
            yield Event(number, fields.get("event", ""), data)
            fields = {}


def _error_of(answer: httpx.Response) -> ClopaError:
    if answer.status_code == 404 and b'"error"' not in answer.content:
        return VersionMismatch(
            "Something answers at this address, but it is no CLoPA engine that this client knows."
        )
    try:
        body = answer.json()
    except ValueError:
        what = f"status {answer.status_code} and {_kind_of(answer)}"
        return NotAnEngine(_STRANGER.format(what=what))
    return error_from(answer.status_code, body)
