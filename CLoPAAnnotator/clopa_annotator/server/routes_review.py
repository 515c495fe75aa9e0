"""Routes of reviewing: list, accept, return, compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt
from starlette.routing import Route

from clopa_annotator.errors import InputError
from clopa_annotator.server.http import Ask, Reply, route
from clopa_annotator.server.routes_cases import text
from clopa_annotator.types import Slot
from clopa_annotator.types.review import (
    Comparison,
    Judgement,
    PairAgreement,
    ReviewFilter,
    ReviewRow,
    Verdict,
    place_from,
)
from clopa_annotator.wire.array_framing import WireLimits
from clopa_annotator.wire.codec import slot_from_wire
from clopa_annotator.wire.review_messages import agreement_to_wire
from clopa_annotator.wire.session_messages import integer, number

_BOUNDS = ("expected_below", "expected_above", "measured_below", "measured_above")


class ReviewHost(Protocol):
    """What these routes need from the engine."""

    def rows(self, chosen: ReviewFilter) -> tuple[ReviewRow, ...]:
        """What a second person may look at."""
        ...

    def judge(self, judgement: Judgement) -> ReviewRow:
        """Accept or return a slot's version."""
        ...

    def compare(self, case_id: str, slot: Slot) -> Comparison:
        """What the version can be held against."""
        ...

    def agreement(self) -> tuple[PairAgreement, ...]:
        """How well each pair of people agrees about each target that both have read."""
        ...


class ReviewRoutes:
    """Handlers over a `ReviewHost`."""

    def __init__(self, host: ReviewHost) -> None:
        """Serve the reviews of ``host``."""
        self._host = host

    def routes(self, limits: WireLimits) -> list[Route]:
        """All routes of this module."""
        return [
            route("review/list", self.list, limits, ("GET", "POST")),
            route("review/accept", lambda ask: self._judge(Verdict.ACCEPTED, ask), limits),
            route("review/return", lambda ask: self._judge(Verdict.RETURNED, ask), limits),
            route("review/compare", self.compare, limits),
            route("review/agreement", self.agreement, limits, ("GET", "POST")),
        ]

    def list(self, ask: Ask) -> Reply:
        """What is confirmed and who has judged it, as far as a filter shows it."""
        return Reply({"rows": [row.to_dict() for row in self._host.rows(filter_from_wire(ask.meta))]})

    def _judge(self, verdict: Verdict, ask: Ask) -> Reply:
        """The reviewer is the token's person, whatever the message says."""
        ask.who.require_reviewer("accept or return a case")
        seen = ask.meta.get("seen")
        judgement = Judgement(
            text(ask.meta, "case_id"),
            verdict,
            ask.who.name,
            None if seen is None else integer(seen),
            text(ask.meta, "comment", ""),
            place_from(ask.meta.get("place_lps_mm")),
            slot_from_wire(ask.meta.get("slot")),
        )
        return Reply({"row": self._host.judge(judgement).to_dict()})

    def agreement(self, ask: Ask) -> Reply:
        """How well people agree who read the same cases."""
        ask.who.require_reviewer("see how well people agree")
        return Reply({"pairs": [agreement_to_wire(pair) for pair in self._host.agreement()]})

    def compare(self, ask: Ask) -> Reply:
        """Masks that the version can be held against."""
        ask.who.require_reviewer("compare versions")
        slot = slot_from_wire(ask.meta.get("slot"))
        found = self._host.compare(text(ask.meta, "case_id"), slot)
        given = {"earlier": found.earlier, "suggestion": found.suggestion}
        arrays: dict[str, npt.NDArray[Any]] = {k: mask for k, mask in given.items() if mask is not None}
        meta = {"earlier_version": found.earlier_version, "suggested_by": found.suggested_by}
        return Reply({**meta, "shape_kji": list(found.shape_kji)}, arrays)


def filter_from_wire(meta: Mapping[str, Any]) -> ReviewFilter:
    """Which rows are asked for.

    Raises:
        InputError: no such verdict, or a bound that is no Dice.
    """
    verdict, target = meta.get("verdict"), meta.get("target")
    words = [v.value for v in Verdict]
    if verdict is not None and verdict not in words:
        raise InputError(f"A verdict is one of {', '.join(words)}, not {verdict!r}.")
    if target is not None and not isinstance(target, str):
        raise InputError("A target is named by its key.")
    bounds = {name: number(meta[name]) for name in _BOUNDS if meta.get(name) is not None}
    asked = None if verdict is None else Verdict(verdict)
    return ReviewFilter(asked, text(meta, "annotator", ""), target, **bounds)
