"""Routes of the cases: list, add, take, drafts, confirm, skip, reopen, withdraw, flag, images by hash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from starlette.routing import Route

from clopa_annotator.errors import GeometryError, InputError, PromptError, UnknownCase
from clopa_annotator.server.http import Ask, Reply, route
from clopa_annotator.session.checks import usable_voxels
from clopa_annotator.types import CaseRef, Confirmation, Image, Mask
from clopa_annotator.wire.array_framing import WireLimits
from clopa_annotator.wire.codec import case_row_to_wire, draft_to_wire, ref_to_wire, statistics_to_wire
from clopa_annotator.wire.messages import CaseRow, CaseStatistics, Draft
from clopa_annotator.wire.session_messages import (
    geometry_from_wire,
    geometry_to_wire,
    integer,
    number,
    timed_from_wire,
)

HASH = re.compile(r"^[0-9a-f]{64}$")
_LONGEST_TEXT = 4000


class CaseHost(Protocol):
    """What these routes need from the engine; ``who`` is the name from the token."""

    def cases(self) -> tuple[CaseRow, ...]:
        """Every case."""
        ...

    def case(self, case_id: str) -> CaseRow:
        """One case."""
        ...

    def image_hash_of(self, case_id: str) -> str:
        """Hash of a case's image."""
        ...

    def add_case(self, case_id: str, image: Image, source: str) -> CaseRow:
        """Add a case, or find it again."""
        ...

    def take_case(self, case_id: str, who: str) -> CaseRow:
        """Take a case, or renew one's hold on it."""
        ...

    def leave_case(self, case_id: str, who: str) -> None:
        """Give a case back."""
        ...

    def mark(self, action: str, case_id: str, who: str, reason: str) -> CaseRow:
        """``skip``, ``reopen``, ``withdraw`` or ``flag`` a case."""
        ...

    def save_draft(self, case_id: str, who: str, draft: Draft) -> None:
        """Keep unconfirmed work."""
        ...

    def load_draft(self, case_id: str) -> Draft | None:
        """The kept work."""
        ...

    def newest(self, case_id: str) -> tuple[CaseRef, Mask] | None:
        """The newest confirmed version that is not withdrawn."""
        ...

    def confirm(self, confirmation: Confirmation, based_on_version: int | None = None) -> CaseRef:
        """Store a decision, durably."""
        ...

    def statistics(self) -> tuple[CaseStatistics, ...]:
        """Every valid confirmation's numbers."""
        ...

    def read_image(self, image_hash: str) -> Image:
        """An image of the campaign."""
        ...


class CaseRoutes:
    """Handlers over a `CaseHost`."""

    def __init__(self, host: CaseHost) -> None:
        """Serve the cases of ``host``."""
        self._host = host

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

    def list(self, _: Ask) -> Reply:
        """Every case, in the order in which they were added."""
        return Reply({"cases": [case_row_to_wire(row) for row in self._host.cases()]})

    def statistics(self, _: Ask) -> Reply:
        """Every valid confirmation's numbers."""
        return Reply({"statistics": [statistics_to_wire(row) for row in self._host.statistics()]})

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
        row = self._host.add_case(case_id, image, text(ask.meta, "source", ""))
        return Reply({"case": case_row_to_wire(row)})

    def take(self, ask: Ask) -> Reply:
        """Take a case: its row, image hash, draft and newest version; ``brief`` leaves the last two out."""
        case_id = text(ask.meta, "case_id")
        expected = ask.meta.get("image_hash")
        image_hash = self._host.image_hash_of(case_id)
        if expected is not None and expected != image_hash:
            raise GeometryError(
                f"The campaign already has another image under the name {case_id!r}; "
                "give this case a new name."
            )
        row = self._host.take_case(case_id, ask.who.name)
        meta: dict[str, Any] = {"case": case_row_to_wire(row), "image_hash": image_hash}
        arrays: dict[str, npt.NDArray[Any]] = {}
        if ask.meta.get("brief") is True:
            return Reply(meta)
        newest = self._host.newest(case_id)
        if newest is not None:
            meta["confirmed"], arrays["confirmed"] = ref_to_wire(newest[0]), newest[1]
        self._put_draft(case_id, meta, arrays)
        return Reply(meta, arrays)

    def leave(self, ask: Ask) -> Reply:
        """Give a case back."""
        self._host.leave_case(text(ask.meta, "case_id"), ask.who.name)
        return Reply({"left": True})

    def save_draft(self, ask: Ask) -> Reply:
        """Keep unconfirmed work on a case."""
        draft = Draft(
            mask_of(ask),
            timed_from_wire(ask.meta.get("prompts", []), ask.message.arrays),
            number(ask.meta.get("seconds_active", 0.0)),
        )
        self._host.save_draft(text(ask.meta, "case_id"), ask.who.name, draft)
        return Reply({"saved": True})

    def load_draft(self, ask: Ask) -> Reply:
        """The kept work on a case, if there is any."""
        meta: dict[str, Any] = {}
        arrays: dict[str, npt.NDArray[Any]] = {}
        self._put_draft(text(ask.meta, "case_id"), meta, arrays)
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
        )
        based_on = ask.meta.get("based_on_version")
        ref = self._host.confirm(confirmation, None if based_on is None else integer(based_on))
        return Reply({"ref": ref_to_wire(ref)})

    def _mark(self, action: str, ask: Ask) -> Reply:
        reason = text(ask.meta, "reason", "")
        row = self._host.mark(action, text(ask.meta, "case_id"), ask.who.name, reason)
        return Reply({"case": case_row_to_wire(row)})

    def _put_draft(self, case_id: str, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        draft = self._host.load_draft(case_id)
        if draft is not None:
            meta["draft"], more = draft_to_wire(draft)
            arrays.update(more)


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
