"""What every request passes before any route sees it: token, interface version, sizes, frames.

Plain ASGI, so that a body is refused before it is read, and so that nnInteractive's own routes are covered
without being changed. Whatever a route raises becomes a status, a name and a sentence here; an unforeseen
exception is logged under a number that the answer carries.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from clopa_annotator.campaign.prediction import ClickSignal
from clopa_annotator.errors import (
    ClopaError,
    EngineError,
    EngineFull,
    InputError,
    VersionMismatch,
    WrongToken,
)
from clopa_annotator.server import stock_routes
from clopa_annotator.server.stock_routes import StockChecks
from clopa_annotator.wire.array_framing import WireLimits, read_header
from clopa_annotator.wire.faults import TooLarge, fault_body, status_of
from clopa_annotator.wire.messages import API_VERSION
from clopa_annotator.wire.tokens import LONGEST_NAME, PERSON, Identity, TokenBook

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CAMPAIGN = re.compile(r"^/campaign/v(\d{1,4})/")
_AWAITED = re.compile(r"^/campaign/v\d{1,4}/(session/(?!beat)|confirm$|images/)")
_NOT_AWAITED = frozenset({"/healthz", "/heartbeat", "/lease_status", "/capabilities"})
MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)
"""What nnInteractive's routes raise on a request that lacks something: a client's fault, not the engine's."""


@dataclass(frozen=True)
class RequestGuardSettings:
    """What a request may cost.

    Attributes:
        limits: of arrays and JSON.
        max_body_bytes: size of one (compressed) request.
        max_waiting_bytes: size of all requests together that are being received or worked on.
        body_timeout_s: the longest pause while a body arrives.
        trusts_names: the client says who its person is, in the header `PERSON`; for an engine that the user's
            own program started, where one token stands for whoever sits at the computer.
    """

    limits: WireLimits = field(default_factory=WireLimits)
    max_body_bytes: int = 1 << 30
    max_waiting_bytes: int = 4 << 30
    body_timeout_s: float = 60.0
    trusts_names: bool = False


@dataclass
class _Request:
    scope: Scope
    path: str
    headers: dict[str, str]
    identity: Identity | None = None
    body: bytes = b""

    @property
    def lease(self) -> str:
        return self.headers.get("x-lease-token", "")

    @property
    def is_stock(self) -> bool:
        return self.path in stock_routes.PATHS

    @property
    def is_awaited(self) -> bool:
        """Whether somebody sits and waits for the answer, so that training has to stand back."""
        return bool(_AWAITED.match(self.path)) or (self.is_stock and self.path not in _NOT_AWAITED)


class RequestGuard:
    """The outermost layer of the engine's web application."""

    def __init__(
        self,
        app: App,
        book: TokenBook,
        settings: RequestGuardSettings | None = None,
        signal: ClickSignal | None = None,
    ) -> None:
        """Wrap an application.

        Args:
            app: what is behind the guard.
            book: the tokens that are let in.
            settings: what a request may cost.
            signal: who stands back while somebody waits for an answer, from the arrival of the request (the
                prediction is not all of it: masks are unpacked and packed) until the answer is sent.
        """
        self._app, self._book, self._settings = app, book, settings or RequestGuardSettings()
        self._signal = signal
        self._stock = StockChecks(self._settings.limits)
        self._waiting_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI defines it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        request = _Request(scope, scope["path"], headers)
        answer = _Answer(send)
        try:
            await self._admit(request, receive)
            with self._standing_back(request):
                await self._pass_on(request, receive, answer)
        except ClopaError as error:
            if status_of(error) >= 500:
                logger.warning("%s failed: %s", request.path, error)
            await answer.fail(status_of(error), fault_body(error))
        except MALFORMED as error:
            if not request.is_stock:
                await self._unforeseen(request, answer, error)
            else:
                logger.warning("Malformed request to %s: %s", request.path, type(error).__name__)
                sentence = f"The request is malformed: {type(error).__name__}."
                await answer.fail(400, {"error": "InputError", "detail": sentence})
        except Exception as error:  # noqa: BLE001 - logged, and answered in words
            await self._unforeseen(request, answer, error)
        finally:
            self._waiting_bytes -= len(request.body)

    @contextmanager
    def _standing_back(self, request: _Request) -> Iterator[None]:
        if self._signal is None or not request.is_awaited:
            yield
            return
        self._signal.click_begins()
        try:
            yield
        finally:
            self._signal.click_ends()

    async def _unforeseen(self, request: _Request, answer: _Answer, error: Exception) -> None:
        number = secrets.token_hex(4)
        logger.error("Unforeseen failure %s in %s", number, request.path, exc_info=error)
        sentence = f"The engine failed unexpectedly; its log has the details under {number}."
        await answer.fail(500, {"error": "EngineError", "detail": sentence})

    async def _admit(self, request: _Request, receive: Receive) -> None:
        if request.path != "/healthz":
            request.identity = self._named(
                self._identify(request.headers.get("authorization", "")), request.headers.get(PERSON, "")
            )
            request.scope.setdefault("state", {})["identity"] = request.identity
        spoken = CAMPAIGN.match(request.path)
        if spoken and int(spoken.group(1)) != API_VERSION:
            raise VersionMismatch(
                f"This engine speaks version {API_VERSION} of the interface, the client version "
                f"{int(spoken.group(1))}; update the older one of the two."
            )
        if request.lease and request.identity is not None:
            self._stock.require_owner(request.lease, request.identity.name)
        request.body = await self._read_body(request, receive)
        if request.is_stock and request.scope["method"] == "POST":
            meta = request.headers.get("x-meta")
            header = self._stock.check(request.path, request.lease, meta, request.body)
            if request.path == stock_routes.SET_IMAGE and header is not None:
                self._stock.image_accepted(request.lease, header.shape)

    def _identify(self, authorization: str) -> Identity:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise WrongToken("The engine wants a token; take it from the engine's token file.")
        return self._book.identify(token.strip())

    def _named(self, token: Identity, person: str) -> Identity:
        """The token's person; or who the client says that it is, where that is believed."""
        name = unquote(person).strip()
        if not self._settings.trusts_names or not name:
            return token
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise InputError(f"A person's name has at most {LONGEST_NAME} printable characters.")
        return replace(token, name=name)

    async def _read_body(self, request: _Request, receive: Receive) -> bytes:
        limit = self._limit(request)
        stated = request.headers.get("content-length", "0")
        if not stated.isdigit() or int(stated) > limit:
            raise TooLarge(f"A request of this kind may have at most {limit} bytes.")
        chunks: list[bytes] = []
        size = 0
        try:
            more = True
            while more:
                message = await asyncio.wait_for(receive(), self._settings.body_timeout_s)
                if message["type"] == "http.disconnect":
                    raise InputError("The connection broke off.")
                chunk, more = message.get("body", b""), message.get("more_body", False)
                if not size and chunk and request.path in stock_routes.BINARY and len(chunk) >= 300:
                    read_header(chunk, self._settings.limits)
                size += len(chunk)
                self._reserve(size, limit, len(chunk))
                chunks.append(chunk)
        except BaseException as error:
            self._waiting_bytes -= size
            if isinstance(error, asyncio.TimeoutError):
                raise InputError("The request's body did not arrive in time; send it again.") from error
            raise
        return b"".join(chunks)

    def _reserve(self, size: int, limit: int, more: int) -> None:
        self._waiting_bytes += more
        if size > limit:
            raise TooLarge(f"A request of this kind may have at most {limit} bytes.")
        if self._waiting_bytes > self._settings.max_waiting_bytes:
            raise EngineFull("The engine is receiving too much at once; try again in a moment.")

    def _limit(self, request: _Request) -> int:
        binary = request.headers.get("content-type", "").startswith("application/octet-stream")
        return self._settings.max_body_bytes if binary else self._settings.limits.max_json_bytes

    async def _pass_on(self, request: _Request, receive: Receive, answer: _Answer) -> None:
        delivered = False

        async def replay() -> Message:
            nonlocal delivered
            if delivered:
                return await receive()
            delivered = True
            return {"type": "http.request", "body": request.body, "more_body": False}

        if request.path == stock_routes.CLAIM and request.identity is not None:
            answer.keep = True
        await self._app(request.scope, replay, answer)
        if answer.keep and answer.status == 200 and request.identity is not None:
            self._stock.claimed(json.loads(answer.kept)["lease_token"], request.identity.name)
        if request.path == stock_routes.RELEASE:
            self._stock.released(request.lease)


class _Answer:
    """Passes an answer on, and knows whether one has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.keep = False
        self.kept = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif self.keep:
            self.kept += message.get("body", b"")
        await self._send(message)

    async def fail(self, status: int, body: dict[str, str]) -> None:
        """Send an error, unless an answer is already on its way: then the connection is cut."""
        if self.status:
            raise EngineError("An answer broke off.")
        text = json.dumps(body).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": text})
