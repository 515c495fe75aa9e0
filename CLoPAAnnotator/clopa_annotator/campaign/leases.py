"""Who is working on which target of which case: leases that expire when nobody renews them.

A lease is a courtesy, not a lock on data: when two people confirm one case all the same (the first lost the
network for longer than the expiry, say), both confirmations are kept as versions and the case is flagged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from clopa_annotator.errors import CaseTaken, ConfigError
from clopa_annotator.types import Slot
from clopa_annotator.types.targets import FIRST

_Place = tuple[str, Slot]


@dataclass(frozen=True)
class CaseLease:
    """One target of a case in one person's hands.

    Attributes:
        case_id: the case.
        slot: which target of it, and which of several of a kind.
        owner: name from the holder's token.
        expires_at_s: on the clock of the `CaseLeases` that gave it.
    """

    case_id: str
    slot: Slot
    owner: str
    expires_at_s: float


class CaseLeases:
    """The table of leases; thread-safe."""

    def __init__(self, expiry_s: float = 120.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Leases last ``expiry_s`` seconds from the last `take`.

        Raises:
            ConfigError: the expiry is not positive.
        """
        if not expiry_s > 0:
            raise ConfigError(f"A lease must last a positive time, not {expiry_s} s.")
        self._expiry_s = expiry_s
        self._clock = clock
        self._leases: dict[_Place, CaseLease] = {}
        self._hands: dict[_Place, tuple[str, int]] = {}
        self._mutex = threading.Lock()

    def take(self, case_id: str, owner: str, slot: Slot = FIRST) -> CaseLease:
        """Take a free or expired target of a case, or renew one's own.

        Raises:
            CaseTaken: somebody else holds it.
        """
        with self._mutex:
            held = self._held((case_id, slot))
            if held is not None and held.owner != owner:
                left = max(1, round(held.expires_at_s - self._clock()))
                raise CaseTaken(
                    f"{held.owner} is working on this case; it is free again when confirmed or skipped, "
                    f"or {left} s after {held.owner} went away."
                )
            lease = CaseLease(case_id, slot, owner, self._clock() + self._expiry_s)
            self._leases[case_id, slot] = lease
            self._pass_to((case_id, slot), owner)
            return lease

    def release(self, case_id: str, owner: str, slot: Slot = FIRST) -> None:
        """Give a target of a case back; nothing happens if it is not in this person's hands."""
        with self._mutex:
            held = self._held((case_id, slot))
            if held is not None and held.owner == owner:
                del self._leases[case_id, slot]

    def holder(self, case_id: str, slot: Slot = FIRST) -> str | None:
        """Who holds a target of a case now."""
        with self._mutex:
            held = self._held((case_id, slot))
            return held.owner if held else None

    def holders(self, case_id: str) -> dict[Slot, str]:
        """Who holds which targets of a case now."""
        with self._mutex:
            mine = [place for place in self._leases if place[0] == case_id]
            return {place[1]: held.owner for place in mine if (held := self._held(place)) is not None}

    def note(self, case_id: str, who: str, slot: Slot = FIRST) -> None:
        """Somebody changes what is kept of a target, with or without holding it."""
        with self._mutex:
            self._pass_to((case_id, slot), who)

    def hands(self, case_id: str, slot: Slot = FIRST) -> int:
        """How often a target of a case came into other hands; the same as before if nobody else had it."""
        with self._mutex:
            return self._hands.get((case_id, slot), ("", 0))[1]

    def _pass_to(self, place: _Place, who: str) -> None:
        last, count = self._hands.get(place, ("", 0))
        if who != last:
            self._hands[place] = (who, count + 1)

    def _held(self, place: _Place) -> CaseLease | None:
        lease = self._leases.get(place)
        if lease is not None and lease.expires_at_s <= self._clock():
            del self._leases[place]
            return None
        return lease
