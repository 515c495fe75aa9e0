"""How much of the time belongs to the training even where clicks never pause."""

from __future__ import annotations

import time
from collections.abc import Callable


class TrainingTimeShare:
    """Keeps the account of one trainer that stands back for clicks.

    Clicks come first. But four people who click without rest keep two cores busy for hours, and an episode
    that never ends helps none of them. So waiting builds up a claim, a tenth of the time by default; once it
    has grown to ``claim_s`` the trainer may go on, one layer at a time, until it is below that again. Where
    there are pauses between the clicks the claim never grows so large, and every click has the machine alone.
    """

    def __init__(
        self, share: float = 0.1, claim_s: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start without a claim.

        Args:
            share: part of the time, in (0, 1).
            claim_s: seconds of work that may be owed before the trainer goes on beside a click.
            clock: seconds, rising.
        """
        self._share, self._most_s, self._clock = share, claim_s, clock
        self._claim_s, self._since = 0.0, clock()

    def worked(self) -> None:
        """The time since the last call was spent at work."""
        self._claim_s = max(0.0, self._claim_s - (1 - self._share) * self._elapsed())

    def waited(self) -> bool:
        """The time since the last call was spent waiting; True if it is the trainer's turn now."""
        self._claim_s = min(self._most_s, self._claim_s + self._share * self._elapsed())
        return self._claim_s >= self._most_s

    def _elapsed(self) -> float:
        now = self._clock()
        since, self._since = self._since, now
        return now - since
