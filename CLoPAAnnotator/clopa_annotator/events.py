"""Telling whoever watches what happened: a numbered, bounded, thread-safe log of events.

The campaign's owner publishes; the engine's event stream, the command line's progress bars and the report
listen. A listener that raises is logged and does not disturb the publisher or the other listeners.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from clopa_annotator.types import Event, EventValue

logger = logging.getLogger(__name__)

Listener = Callable[[Event], None]


class EventLog:
    """Numbers events from ``first`` on, keeps the last ``capacity``, hands each to every listener."""

    def __init__(self, capacity: int = 10_000, first: int = 1) -> None:
        self._events: deque[Event] = deque(maxlen=capacity)
        self._next = first
        self._listeners: list[Listener] = []
        self._condition = threading.Condition()

    def publish(self, name: str, **data: EventValue) -> Event:
        """Append an event and tell the listeners, in the caller's thread."""
        with self._condition:
            event = Event(self._next, name, data)
            self._next += 1
            self._events.append(event)
            listeners = list(self._listeners)
            self._condition.notify_all()
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("A listener failed on event %d (%s)", event.sequence, event.name)
        return event

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` for every later event; the returned function ends that."""
        with self._condition:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._condition:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unsubscribe

    @property
    def last_sequence(self) -> int:
        """Number of the newest event; ``first - 1`` if there is none."""
        return self._next - 1

    def since(self, sequence: int) -> tuple[Event, ...]:
        """Events after ``sequence`` that are still kept, oldest first."""
        with self._condition:
            return tuple(e for e in self._events if e.sequence > sequence)

    def wait_since(self, sequence: int, timeout_s: float) -> tuple[Event, ...]:
        """Like `since`, but wait up to ``timeout_s`` for one to come."""
        with self._condition:
            self._condition.wait_for(lambda: self._next - 1 > sequence, timeout_s)
            return tuple(e for e in self._events if e.sequence > sequence)
