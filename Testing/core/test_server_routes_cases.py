"""Routes of the cases: what a message becomes, whose it is, and what is refused before the host sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clopa_annotator.errors import ClopaError, GeometryError, ImageError, InputError, PromptError, UnknownCase
from clopa_annotator.geometry import Geometry
from clopa_annotator.server.http import Ask, Reply
from clopa_annotator.server.routes_cases import CaseRoutes
from clopa_annotator.types import CaseRef, CaseState, Image, Slot, SuggestionUse
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire import codec
from clopa_annotator.wire.array_framing import Bundle, WireLimits
from clopa_annotator.wire.messages import CaseRow, Draft
from clopa_annotator.wire.session_messages import geometry_to_wire
from clopa_annotator.wire.tokens import Identity

REF = CaseRef("one", 2, 5, "i" * 64, "m", "r", "cases/one/v2")
ROW = CaseRow("one", CaseState.TODO, 0, "", False, "", "")
MASK = np.ones((2, 3, 4), np.uint8)
KIDNEY = Slot("left-kidney")
BOB = Identity("Bob", "annotator")


class Host:
    """Answers everything and notes what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.draft: Draft | None = None

    def confirm(self, confirmation, based_on_version=None):
        self.calls.append(("confirm", confirmation, based_on_version))
        return REF

    def mark(self, *what):
        self.calls.append(("mark", *what))
        return ROW

    def save_draft(self, *what):
        self.calls.append(("save_draft", *what))

    def load_draft(self, case_id, slot):
        return self.draft

    def newest(self, case_id, slot):
        return REF, MASK

    def suggestion(self, case_id, slot):
        return None

    def is_withheld(self, case_id, slot):
        return True

    def others(self, case_id, slot):
        return ((Slot("vessel"), MASK),)

    def first_open(self, case_id, who):
        return KIDNEY

    def image_hash_of(self, case_id):
        return "i" * 64

    def take_case(self, case_id, who, slot):
        self.calls.append(("take", case_id, who, slot))
        return ROW

    def add_case(self, case_id, image, source):
        self.calls.append(("add", case_id, image, source))
        return ROW

    def read_image(self, digest):
        return Image(MASK.astype(np.int16), Geometry((2, 3, 4)))


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def routes(host: Host) -> CaseRoutes:
    return CaseRoutes(host)  # type: ignore[arg-type]


def ask(meta: dict[str, Any], arrays: dict[str, Any] | None = None, **path: str) -> Ask:
    return Ask(BOB, Bundle(meta, arrays or {}), path)


CONFIRM = {
    "confirmation_id": "id 1",
    "case_id": "one",
    "prompts": [{"kind": "point", "position_kji": [1, 1, 1], "at_s": 2.5}],
    "seconds_active": 9.5,
    "weights_version": 3,
    "first_shown_dice": 0.25,
    "note": "thin",
    "based_on_version": 1,
    "suggestion": "taken",
}


def test_a_confirmation_is_the_tokens_persons_with_all_that_was_sent(host: Host, routes: CaseRoutes) -> None:
    reply = routes.confirm(ask({**CONFIRM, "annotator": "Ada", "who": "Ada"}, {"mask": MASK}))
    ((_, sent, based_on),) = host.calls
    assert (sent.annotator, sent.confirmation_id, sent.case_id, sent.note) == ("Bob", "id 1", "one", "thin")
    assert (sent.seconds_active, sent.weights_version, sent.first_shown_dice) == (9.5, 3, 0.25)
    assert sent.prompts[0].at_s == 2.5 and np.array_equal(sent.mask, MASK) and based_on == 1
    assert reply.meta["ref"]["record_hash"] == "r" and sent.suggestion is SuggestionUse.TAKEN


def test_what_was_not_said_of_a_confirmation_is_not_zero(host: Host, routes: CaseRoutes) -> None:
    unsaid = ("first_shown_dice", "based_on_version", "suggestion")
    left_out = {k: v for k, v in CONFIRM.items() if k not in unsaid}
    routes.confirm(ask(left_out, {"mask": MASK}))
    ((_, sent, based_on),) = host.calls
    assert sent.first_shown_dice is None and based_on is None
    assert sent.suggestion is SuggestionUse.NONE


@pytest.mark.parametrize(
    ("changes", "mask", "error"),
    [
        ({"confirmation_id": ""}, MASK, InputError),
        ({"case_id": 7}, MASK, InputError),
        ({"note": "x" * 5000}, MASK, InputError),
        ({"seconds_active": "long"}, MASK, InputError),
        ({"weights_version": 1.5}, MASK, PromptError),
        ({"first_shown_dice": float("nan")}, MASK, InputError),
        ({"based_on_version": True}, MASK, PromptError),
        ({"prompts": "many"}, MASK, PromptError),
        ({"suggestion": "swallowed"}, MASK, InputError),
        ({}, MASK[0], PromptError),
        ({}, MASK.astype(np.float32), PromptError),
        ({}, None, InputError),
    ],
)
def test_a_malformed_confirmation_reaches_nobody(
    host: Host, routes: CaseRoutes, changes: dict[str, Any], mask: Any, error: type[ClopaError]
) -> None:
    with pytest.raises(error):
        routes.confirm(ask({**CONFIRM, **changes}, {} if mask is None else {"mask": mask}))
    assert host.calls == []


@pytest.mark.parametrize("action", ["skip", "reopen", "withdraw", "flag"])
def test_a_decision_is_the_tokens_persons_with_its_reason(
    host: Host, routes: CaseRoutes, action: str
) -> None:
    routes._mark(action, ask({"case_id": "one", "reason": "motion", "who": "Ada"}))
    assert host.calls == [("mark", action, "one", "Bob", "motion", FIRST)]
    assert f"/campaign/v2/cases/{action}" in {route.path for route in routes.routes(WireLimits())}


def test_a_draft_comes_with_its_case_and_brief_leaves_it_out(host: Host, routes: CaseRoutes) -> None:
    host.draft = Draft(MASK, (), 4.0)
    full: Reply = routes.take(ask({"case_id": "one", "image_hash": "i" * 64}))
    assert full.meta["is_withheld"] is True
    assert full.meta["draft"]["seconds_active"] == 4.0 and full.meta["confirmed"]["sequence"] == 5
    assert np.array_equal(full.arrays["confirmed"], MASK)
    brief = routes.take(ask({"case_id": "one", "brief": True}))
    assert "draft" not in brief.meta and brief.arrays == {}


def test_another_image_under_a_known_name_is_not_taken(host: Host, routes: CaseRoutes) -> None:
    with pytest.raises(GeometryError, match="new name"):
        routes.take(ask({"case_id": "one", "image_hash": "x" * 64}))
    assert host.calls == [], "the case is in nobody's hands for that"


def test_a_saved_draft_is_the_tokens_persons(host: Host, routes: CaseRoutes) -> None:
    routes.save_draft(ask({"case_id": "one", "seconds_active": 3}, {"mask": MASK.astype(bool)}))
    ((_, case_id, who, draft, _),) = host.calls
    assert (case_id, who, draft.seconds_active) == ("one", "Bob", 3.0) and draft.mask.dtype == np.uint8


def test_an_unusable_image_is_not_added(host: Host, routes: CaseRoutes) -> None:
    geometry = geometry_to_wire(Geometry((2, 3, 4)))
    voxels = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    routes.add(ask({"case_id": "one", "geometry": geometry}, {"image": voxels}))
    assert host.calls[0][1] == "one" and host.calls[0][3] == ""
    with pytest.raises(ImageError):
        routes.add(ask({"case_id": "two", "geometry": geometry}, {"image": voxels * np.nan}))
    assert len(host.calls) == 1


@pytest.mark.parametrize("name", ["", "../campaign.json", "I" * 64, "0" * 63])
def test_an_image_is_asked_for_by_a_whole_hash_and_nothing_else(routes: CaseRoutes, name: str) -> None:
    with pytest.raises(UnknownCase):
        routes.image(ask({}, hash=name))
    assert routes.image(ask({}, hash="0" * 64)).arrays["image"].dtype == np.int16


def test_a_message_says_which_target_it_is_about(host: Host, routes: CaseRoutes) -> None:
    kidney = {"target": "left-kidney", "instance": 1}
    routes.confirm(ask({**CONFIRM, "slot": kidney}, {"mask": MASK}))
    routes.save_draft(ask({"case_id": "one", "slot": kidney}, {"mask": MASK}))
    assert host.calls[0][1].slot == KIDNEY and host.calls[1][-1] == KIDNEY
    with pytest.raises(InputError):
        routes.confirm(ask({**CONFIRM, "slot": "left-kidney"}, {"mask": MASK}))


def test_without_a_target_the_first_open_one_is_taken_and_the_others_masks_come_along(
    host: Host, routes: CaseRoutes
) -> None:
    reply = routes.take(ask({"case_id": "one"}))
    assert host.calls == [("take", "one", "Bob", KIDNEY)]
    assert codec.slot_from_wire(reply.meta["slot"]) == KIDNEY
    ((slot, mask),) = codec.others_from_wire(reply.meta["others"], reply.arrays)
    assert slot == Slot("vessel") and np.array_equal(mask, MASK)
