"""The stream of a campaign's events, which a client can rejoin from a sequence number.

Server-sent events: ``id`` is the event's sequence number, ``event`` its name, ``data`` its values as JSON.
``GET /campaign/v2/events?after=N`` first sends what is still kept after ``N``; if something in between is no
longer kept (or the engine counts anew) an event ``gap`` comes first and the client should ask for the whole
state. A comment line every few seconds tells that the line is alive.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from clopa_annotator.errors import InputError
from clopa_annotator.events import EventLog
from clopa_annotator.server.http import PREFIX
from clopa_annotator.types import Event

KEEPALIVE_S = 5.0
_LOOK_S = 0.25


def render(event: Event) -> str:
    """One event in the stream's format."""
    return f"id: {event.sequence}\nevent: {event.name}\ndata: {json.dumps(event.data)}\n\n"


async def _stream(log: EventLog, after: int, stopping: asyncio.Event) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def wake(_: Event) -> None:
        loop.call_soon_threadsafe(news.set)

    unsubscribe = log.subscribe(wake)
    try:
        kept = log.since(after)
        if after > log.last_sequence or (kept and kept[0].sequence > after + 1):
            yield f"event: gap\ndata: {json.dumps({'last': log.last_sequence})}\n\n"
            after = after if kept else log.last_sequence
        yield ": hello\n\n"
        quiet_s = 0.0
        while not stopping.is_set():
            news.clear()
            for event in log.since(after):
                after = event.sequence
                yield render(event)
            try:
                await asyncio.wait_for(news.wait(), _LOOK_S)
                quiet_s = 0.0
            except asyncio.TimeoutError:
                quiet_s += _LOOK_S
            if quiet_s >= KEEPALIVE_S:
                quiet_s = 0.0
                yield ": alive\n\n"
    finally:
        unsubscribe()


def events_route(log: EventLog, stopping: asyncio.Event) -> Route:
    """The stream's route; it ends when ``stopping`` is set, so that the engine can."""

    async def endpoint(request: Request) -> StreamingResponse:
        text = request.query_params.get("after") or request.headers.get("last-event-id") or "0"
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            raise InputError("The number after which events are wanted must be a whole number.")
        return StreamingResponse(
            _stream(log, int(text), stopping),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
        )

    return Route(f"{PREFIX}/events", endpoint, methods=["GET"])
