"""Who is working on which case: leases that expire when nobody renews them.

A lease is a courtesy, not a lock on data: when two people confirm one case all the same (the first lost the
network for longer than the expiry, say), both confirmations are kept as versions and the case is flagged.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from clopa_annotator.errors import CaseTaken, ConfigError


@dataclass(frozen=True)
class CaseLease:
    """One case in one person's hands.

    Attributes:
        case_id: the case.
        owner: name from the holder's token.
        expires_at_s: on the clock of the `CaseLeases` that gave it.
    """

    case_id: str
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
        self._leases: dict[str, CaseLease] = {}
        self._mutex = threading.Lock()

    def take(self, case_id: str, owner: str) -> CaseLease:
        """Take a free or expired case, or renew one's own.

        Raises:
            CaseTaken: somebody else holds it.
        """
        with self._mutex:
            held = self._held(case_id)
            if held is not None and held.owner != owner:
                left = max(1, round(held.expires_at_s - self._clock()))
                raise CaseTaken(
                    f"{held.owner} is working on this case; it is free again when confirmed or skipped, "
                    f"or {left} s after {held.owner} went away."
                )
            lease = CaseLease(case_id, owner, self._clock() + self._expiry_s)
            self._leases[case_id] = lease
            return lease

    def release(self, case_id: str, owner: str) -> None:
        """Give a case back; nothing happens if it is not in this person's hands."""
        with self._mutex:
            held = self._held(case_id)
            if held is not None and held.owner == owner:
                del self._leases[case_id]

    def holder(self, case_id: str) -> str | None:
        """Who holds a case now."""
        with self._mutex:
            held = self._held(case_id)
            return held.owner if held else None

    def _held(self, case_id: str) -> CaseLease | None:
        lease = self._leases.get(case_id)
        if lease is not None and lease.expires_at_s <= self._clock():
            del self._leases[case_id]
            return None
        return lease
