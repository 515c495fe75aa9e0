"""The part of `HttpEngineClient` that is about reviewing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from clopa_annotator.client.call_workers import CallWorker
from clopa_annotator.client.calls import Call
from clopa_annotator.client.operations import ClientOperations
from clopa_annotator.errors import NotAnEngine
from clopa_annotator.types import Slot
from clopa_annotator.types.review import Comparison, Lps, PairAgreement, ReviewFilter, ReviewRow, Verdict
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire import codec
from clopa_annotator.wire import review_messages as messages

T = TypeVar("T")


class ReviewCalls:
    """A second person's questions and verdicts; mixed in."""

    _engine: ClientOperations
    _quick: CallWorker

    def reviews(self, chosen: ReviewFilter | None = None) -> Call[tuple[ReviewRow, ...]]:
        """What is confirmed and who has judged it, as far as the filter shows it."""
        return self._quick.do("list the reviews", lambda: self._listed(chosen or ReviewFilter()))

    def _listed(self, chosen: ReviewFilter) -> tuple[ReviewRow, ...]:
        meta = {**vars(chosen), "verdict": None if chosen.verdict is None else chosen.verdict.value}
        row, _ = self._engine.ask("review/list", meta)
        if not isinstance(row.get("rows"), list):
            raise NotAnEngine("The answer is no list of reviews: is it a CLoPA engine that answers there?")
        return tuple(messages.review_row_from_wire(item) for item in row["rows"])

    def accept(
        self, case_id: str, slot: Slot = FIRST, seen: int | None = None, comment: str = ""
    ) -> Call[ReviewRow]:
        """Accept a target's confirmed version."""
        return self._judge(Verdict.ACCEPTED, case_id, slot, seen, comment, None)

    def send_back(
        self,
        case_id: str,
        comment: str,
        slot: Slot = FIRST,
        seen: int | None = None,
        place_lps_mm: Lps | None = None,
    ) -> Call[ReviewRow]:
        """Return a target's confirmed version to be mended."""
        return self._judge(Verdict.RETURNED, case_id, slot, seen, comment, place_lps_mm)

    def _judge(
        self,
        verdict: Verdict,
        case_id: str,
        slot: Slot,
        seen: int | None,
        comment: str,
        place_lps_mm: Lps | None,
    ) -> Call[ReviewRow]:
        meta: dict[str, Any] = {"case_id": case_id, "slot": codec.slot_to_wire(slot), "seen": seen}
        meta |= {"comment": comment, "place_lps_mm": place_lps_mm}
        path = "review/accept" if verdict is Verdict.ACCEPTED else "review/return"
        return self._do(
            "store the verdict", lambda: messages.review_row_from_wire(self._engine.ask(path, meta)[0]["row"])
        )

    def compare(self, case_id: str, slot: Slot = FIRST) -> Call[Comparison]:
        """The version before a target's newest, and the suggestion, where there are any."""
        meta = {"case_id": case_id, "slot": codec.slot_to_wire(slot)}

        def work() -> Comparison:
            row, arrays = self._engine.ask("review/compare", meta)
            return messages.comparison_from_wire(row, arrays)

        return self._quick.do("compare the versions", work)

    def agreement(self) -> Call[tuple[PairAgreement, ...]]:
        """How well each pair of people agrees about each target that both have read."""

        def work() -> tuple[PairAgreement, ...]:
            row, _ = self._engine.ask("review/agreement", {})
            return tuple(messages.agreement_from_wire(item) for item in row.get("pairs") or ())

        return self._quick.do("say how well people agree", work)

    def _do(self, name: str, work: Callable[[], T]) -> Call[T]:
        raise NotImplementedError
