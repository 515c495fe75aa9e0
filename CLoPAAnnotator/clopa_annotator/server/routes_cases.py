"""Routes of the cases: list, add, take, drafts, confirm, skip, reopen, withdraw, flag, images by hash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.routing import Route

from clopa_annotator.errors import GeometryError, InputError, PromptError, UnknownCase
from clopa_annotator.server.case_host import CaseHost, ReturnedOf, SeenBy, everything, nothing_returned
from clopa_annotator.server.http import Ask, Reply, route
from clopa_annotator.session.checks import usable_voxels
from clopa_annotator.types import Confirmation, Image, Mask, Slot
from clopa_annotator.wire.array_framing import WireLimits
from clopa_annotator.wire.codec import (
    case_row_to_wire,
    draft_to_wire,
    others_to_wire,
    ref_to_wire,
    slot_from_wire,
    slot_to_wire,
    statistics_to_wire,
    suggestion_use_from_wire,
)
from clopa_annotator.wire.messages import Draft
from clopa_annotator.wire.session_messages import (
    geometry_from_wire,
    geometry_to_wire,
    integer,
    number,
    timed_from_wire,
)
from clopa_annotator.wire.suggestion_messages import suggested_to_wire

HASH = re.compile(r"^[0-9a-f]{64}$")
_LONGEST_TEXT = 4000


class CaseRoutes:
    """Handlers over a `CaseHost`."""

    def __init__(
        self, host: CaseHost, returned: ReturnedOf = nothing_returned, seen_by: SeenBy = everything
    ) -> None:
        """Serve the cases of ``host``.

        Args:
            host: who has them.
            returned: says what a reviewer has sent back of a slot.
            seen_by: the host as a person may see it.
        """
        self._host, self._returned, self._seen_by = host, returned, seen_by

    def _of(self, ask: Ask) -> CaseHost:
        return self._seen_by(self._host, ask.who.name)

    def routes(self, limits: WireLimits) -> list[Route]:
        """All routes of this module."""
        posts = {
            "cases/add": self.add,
            "cases/take": self.take,
            "cases/leave": self.leave,
            "cases/skip": lambda ask: self._mark("skip", ask),
            "cases/reopen": lambda ask: self._mark("reopen", ask),
            "cases/withdraw": lambda ask: self._mark("withdraw", ask),
            "cases/flag": lambda ask: self._mark("flag", ask),
            "drafts/save": self.save_draft,
            "drafts/load": self.load_draft,
            "confirm": self.confirm,
        }
        return [
            route("cases", self.list, limits, ("GET", "POST")),
            route("statistics", self.statistics, limits, ("GET", "POST")),
            route("images/{hash}", self.image, limits, ("GET",)),
            *(route(path, handler, limits) for path, handler in posts.items()),
        ]

    def list(self, ask: Ask) -> Reply:
        """Every case, in the order in which they were added."""
        return Reply({"cases": [case_row_to_wire(row) for row in self._of(ask).cases()]})

    def statistics(self, ask: Ask) -> Reply:
        """Every valid confirmation's numbers of a target."""
        rows = self._host.statistics(text(ask.meta, "target", ""))
        return Reply({"statistics": [statistics_to_wire(row) for row in rows]})

    def image(self, ask: Ask) -> Reply:
        """An image by its hash."""
        name = ask.path["hash"]
        if not HASH.match(name):
            raise UnknownCase("The campaign has no such image.")
        image = self._host.read_image(name)
        return Reply({"geometry": geometry_to_wire(image.geometry)}, {"image": image.voxels})

    def add(self, ask: Ask) -> Reply:
        """Add a case with its image; nothing happens if it is there already."""
        case_id = text(ask.meta, "case_id")
        image = Image(ask.message.array("image"), geometry_from_wire(ask.meta.get("geometry")))
        usable_voxels(image)
        row = self._of(ask).add_case(case_id, image, text(ask.meta, "source", ""))
        return Reply({"case": case_row_to_wire(row)})

    def take(self, ask: Ask) -> Reply:
        """Take a target of a case, the first open one if none is named.

        Answers the case's row, its image's hash, the target's draft and newest version, or what is suggested
        for it, and the other targets' masks; ``brief`` leaves all masks out.
        """
        case_id = text(ask.meta, "case_id")
        expected = ask.meta.get("image_hash")
        image_hash = self._host.image_hash_of(case_id)
        if expected is not None and expected != image_hash:
            raise GeometryError(
                f"The campaign already has another image under the name {case_id!r}; "
                "give this case a new name."
            )
        named = ask.meta.get("slot")
        who, host = ask.who.name, self._of(ask)
        slot = host.first_open(case_id, who) if named is None else slot_from_wire(named)
        row = host.take_case(case_id, who, slot)
        meta: dict[str, Any] = {"case": case_row_to_wire(row), "image_hash": image_hash}
        meta["slot"] = slot_to_wire(slot)
        arrays: dict[str, npt.NDArray[Any]] = {}
        if ask.meta.get("brief") is True:
            return Reply(meta)
        newest = host.newest(case_id, slot)
        if newest is not None:
            meta["confirmed"], arrays["confirmed"] = ref_to_wire(newest[0]), newest[1]
        returned = self._returned(case_id, slot)
        if returned is not None:
            meta["returned"], arrays["returned"] = returned[0].to_dict(), returned[1]
        _put_draft(host, case_id, slot, meta, arrays)
        meta["is_withheld"] = host.is_withheld(case_id, slot)
        suggested = host.suggestion(case_id, slot)
        if suggested is not None:
            meta["suggestion"], more = suggested_to_wire(suggested)
            arrays.update(more)
        meta["others"], others = others_to_wire(host.others(case_id, slot))
        return Reply(meta, {**arrays, **others})

    def leave(self, ask: Ask) -> Reply:
        """Give a target of a case back."""
        self._host.leave_case(text(ask.meta, "case_id"), ask.who.name, _slot(ask))
        return Reply({"left": True})

    def save_draft(self, ask: Ask) -> Reply:
        """Keep unconfirmed work on a case."""
        draft = Draft(
            mask_of(ask),
            timed_from_wire(ask.meta.get("prompts", []), ask.message.arrays),
            number(ask.meta.get("seconds_active", 0.0)),
            suggestion=suggestion_use_from_wire(ask.meta.get("suggestion")),
        )
        self._of(ask).save_draft(text(ask.meta, "case_id"), ask.who.name, draft, _slot(ask))
        return Reply({"saved": True})

    def load_draft(self, ask: Ask) -> Reply:
        """The kept work on a case, if there is any."""
        meta: dict[str, Any] = {}
        arrays: dict[str, npt.NDArray[Any]] = {}
        _put_draft(self._of(ask), text(ask.meta, "case_id"), _slot(ask), meta, arrays)
        return Reply(meta, arrays)

    def confirm(self, ask: Ask) -> Reply:
        """Store a decision; the person is the token's, whatever the message says."""
        dice = ask.meta.get("first_shown_dice")
        version = integer(ask.meta.get("weights_version", 0))
        confirmation = Confirmation(
            confirmation_id=text(ask.meta, "confirmation_id"),
            case_id=text(ask.meta, "case_id"),
            mask=mask_of(ask),
            prompts=timed_from_wire(ask.meta.get("prompts", []), ask.message.arrays),
            annotator=ask.who.name,
            seconds_active=number(ask.meta.get("seconds_active", 0.0)),
            weights_version=version,
            first_shown_dice=None if dice is None else number(dice),
            note=text(ask.meta, "note", ""),
            slot=_slot(ask),
            replaces_accepted=ask.meta.get("replaces_accepted") is True,
            suggestion=suggestion_use_from_wire(ask.meta.get("suggestion")),
        )
        based_on = ask.meta.get("based_on_version")
        ref = self._of(ask).confirm(confirmation, None if based_on is None else integer(based_on))
        return Reply({"ref": ref_to_wire(ref)})

    def _mark(self, action: str, ask: Ask) -> Reply:
        reason = text(ask.meta, "reason", "")
        row = self._of(ask).mark(action, text(ask.meta, "case_id"), ask.who.name, reason, _slot(ask))
        return Reply({"case": case_row_to_wire(row)})


def _put_draft(
    host: CaseHost, case_id: str, slot: Slot, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]
) -> None:
    draft = host.load_draft(case_id, slot)
    if draft is not None:
        meta["draft"], more = draft_to_wire(draft)
        arrays.update(more)


def _slot(ask: Ask) -> Slot:
    """The target that a message is about; the campaign's first if it says nothing."""
    return slot_from_wire(ask.meta.get("slot"))


def text(meta: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A text of reasonable length.

    Raises:
        InputError: missing, of another type, or too long.
    """
    value = meta.get(name, default)
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or (default is None and not value):
        raise InputError(f"The message needs {name} as a text of at most {_LONGEST_TEXT} characters.")
    return value


def mask_of(ask: Ask) -> Mask:
    """The message's mask.

    Raises:
        PromptError: not a three-dimensional array of 8-bit numbers or bool.
    """
    mask = ask.message.array("mask")
    if mask.ndim != 3 or mask.dtype not in (np.uint8, np.bool_):
        raise PromptError("A mask travels as a volume of 8-bit numbers or bool.")
    return mask.view(np.uint8)
