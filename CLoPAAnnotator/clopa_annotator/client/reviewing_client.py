"""The part of `engine_client.EngineClient` that is about a second person's look at what was confirmed."""

from __future__ import annotations

from typing import Protocol

from clopa_annotator.client.calls import Call
from clopa_annotator.types import Slot
from clopa_annotator.types.review import Comparison, Lps, PairAgreement, ReviewFilter, ReviewRow
from clopa_annotator.types.targets import FIRST


class ReviewingClient(Protocol):
    """What is asked and said in a review."""

    def reviews(self, chosen: ReviewFilter | None = None) -> Call[tuple[ReviewRow, ...]]:
        """What is confirmed and who has judged it, as far as the filter shows it; never waits."""
        ...

    def accept(
        self, case_id: str, slot: Slot = FIRST, seen: int | None = None, comment: str = ""
    ) -> Call[ReviewRow]:
        """Accept a target's confirmed version; ``seen`` is that of the row that was looked at.

        Fails with `OwnCase` (one's own confirmation), `ReviewConflict` (it changed, or somebody judged it,
        meanwhile), `CaseTaken` (somebody has it open), `CacheError` (nothing is confirmed), `NotPermitted`.
        """
        ...

    def send_back(
        self,
        case_id: str,
        comment: str,
        slot: Slot = FIRST,
        seen: int | None = None,
        place_lps_mm: Lps | None = None,
    ) -> Call[ReviewRow]:
        """Return a target's confirmed version; it does not train until it is confirmed anew.

        Whoever opens the target next begins with its mask and is told the comment and the place. Fails as
        `accept` does, and with `InputError` (no comment, a place outside the image).
        """
        ...

    def compare(self, case_id: str, slot: Slot = FIRST) -> Call[Comparison]:
        """The version before a target's newest, and the suggestion, where there are any."""
        ...

    def agreement(self) -> Call[tuple[PairAgreement, ...]]:
        """How well each pair of people agrees about each target that both have read, blind to each other."""
        ...
