"""Messages about reviews: what is asked for, whose verdict it is, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clopa_annotator.errors import ConfigError, InputError
from clopa_annotator.server.http import Ask
from clopa_annotator.server.routes_review import ReviewRoutes, filter_from_wire
from clopa_annotator.types import Slot
from clopa_annotator.types.review import Comparison, Judgement, ReviewFilter, ReviewRow, Verdict
from clopa_annotator.wire.array_framing import Bundle
from clopa_annotator.wire.review_messages import comparison_from_wire
from clopa_annotator.wire.tokens import Identity

ROW = ReviewRow("one", Slot("liver"), Verdict.ACCEPTED, "Ada", 1, 4, 5, "Bob")


class Host:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def rows(self, chosen: ReviewFilter) -> tuple[ReviewRow, ...]:
        self.asked.append(chosen)
        return (ROW,)

    def judge(self, judgement: Judgement) -> ReviewRow:
        self.asked.append(judgement)
        return ROW

    def compare(self, case_id: str, slot: Slot) -> Comparison:
        return Comparison((1, 2, 3), 4, np.ones((1, 2, 3), np.uint8))


@pytest.fixture
def host() -> Host:
    return Host()


def ask(**meta: Any) -> Ask:
    return Ask(Identity("Bob", "owner"), Bundle(meta, {}))


def handler(host: Host, path: str):
    routes = ReviewRoutes(host)
    return {
        "accept": lambda a: routes._judge(Verdict.ACCEPTED, a),
        "list": routes.list,
        "return": lambda a: routes._judge(Verdict.RETURNED, a),
        "compare": routes.compare,
    }[path]


def test_a_verdict_is_the_tokens_persons_with_all_that_was_sent(host: Host) -> None:
    slot = {"target": "liver", "instance": 2}
    sent = ask(case_id="one", slot=slot, seen=7, comment="wide", place_lps_mm=[1, 2, 3], reviewer="Ada")
    assert handler(host, "return")(sent).meta == {"row": ROW.to_dict()}
    place = (1.0, 2.0, 3.0)
    assert host.asked == [Judgement("one", Verdict.RETURNED, "Bob", 7, "wide", place, Slot("liver", 2))]


@pytest.mark.parametrize(
    "meta",
    [
        {"case_id": ""},
        {"case_id": "one", "seen": "7"},
        {"case_id": "one", "place_lps_mm": [1, 2]},
        {"case_id": "one", "place_lps_mm": "abc"},
        {"case_id": "one", "comment": 7},
        {"case_id": "one", "slot": []},
    ],
)
def test_a_malformed_verdict_is_refused_in_words(host: Host, meta: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        handler(host, "accept")(ask(**meta))
    assert not host.asked


def test_a_list_is_asked_for_with_its_filter(host: Host) -> None:
    handler(host, "list")(ask(verdict="returned", annotator="Ada", target="", measured_below=0.5))
    assert host.asked == [ReviewFilter(Verdict.RETURNED, "Ada", "", measured_below=0.5)]


@pytest.mark.parametrize(
    "meta", [{"verdict": "good"}, {"target": 7}, {"expected_below": 2.0}, {"annotator": []}]
)
def test_a_filter_that_is_none_is_refused(meta: dict[str, Any]) -> None:
    with pytest.raises((InputError, ConfigError)):
        filter_from_wire(meta)


def test_masks_to_compare_travel_where_there_are_any(host: Host) -> None:
    reply = handler(host, "compare")(ask(case_id="one"))
    found = comparison_from_wire(dict(reply.meta), reply.arrays)
    assert (found.shape_kji, found.earlier_version, found.suggestion) == ((1, 2, 3), 4, None)
    assert found.earlier is not None and found.earlier.all()
