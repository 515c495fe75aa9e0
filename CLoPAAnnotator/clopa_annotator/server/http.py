"""Turning handlers into routes: a message and an identity in, a reply out.

A request's body is a bundle (see `frames`), a JSON object, or empty; a reply with arrays is a bundle, one
without is JSON. Handlers run on worker threads, so that nothing holds up the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from clopa_annotator.wire.array_framing import (
    BUNDLE_MAGIC,
    Bundle,
    WireLimits,
    pack_bundle,
    read_json,
    unpack_bundle,
)
from clopa_annotator.wire.messages import API_VERSION
from clopa_annotator.wire.tokens import Identity

PREFIX = f"/campaign/v{API_VERSION}"
BINARY = "application/octet-stream"


@dataclass(frozen=True, eq=False)
class Ask:
    """One request, as a handler sees it.

    Attributes:
        who: whose token it carries.
        message: its JSON and arrays.
        path: values from the path, for instance ``{"hash": "..."}``.
    """

    who: Identity
    message: Bundle
    path: Mapping[str, str] = field(default_factory=dict)

    @property
    def meta(self) -> dict[str, Any]:
        """The message's JSON."""
        return self.message.meta


@dataclass(frozen=True, eq=False)
class Reply:
    """What a handler answers."""

    meta: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)


Handler = Callable[[Ask], Reply]


def read_message(body: bytes, limits: WireLimits) -> Bundle:
    """A request's or a reply's body.

    Raises:
        InputError: malformed or beyond the limits.
    """
    if body[:4] == BUNDLE_MAGIC:
        return unpack_bundle(body, limits)
    return Bundle(read_json(body, limits) if body else {})


def route(path: str, handler: Handler, limits: WireLimits, methods: tuple[str, ...] = ("POST",)) -> Route:
    """A route under the campaign's prefix."""

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        who: Identity = request.state.identity

        def work() -> Response:
            ask = Ask(who, read_message(body, limits), request.path_params)
            reply = handler(ask)
            if not reply.arrays:
                return JSONResponse(dict(reply.meta))
            return Response(pack_bundle(reply.meta, reply.arrays), media_type=BINARY)

        return await run_in_threadpool(work)

    return Route(f"{PREFIX}/{path}", endpoint, methods=list(methods))
