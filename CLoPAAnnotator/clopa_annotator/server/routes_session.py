"""Routes of the hosted sessions: open, prompts, undo, redo, reset, beat, close."""

from __future__ import annotations

from typing import Protocol

from starlette.routing import Route

from clopa_annotator.campaign.hosted_sessions import Action, HostedSession, SessionTable
from clopa_annotator.errors import InputError
from clopa_annotator.geometry import bounding_box, box_slices
from clopa_annotator.server.http import Ask, Reply, route
from clopa_annotator.types import Image, Slot
from clopa_annotator.wire.array_framing import WireLimits
from clopa_annotator.wire.codec import slot_from_wire
from clopa_annotator.wire.session_messages import (
    Arrays,
    Row,
    bounds_to_wire,
    geometry_from_wire,
    integer,
    prompts_from_wire,
)


class SessionHost(Protocol):
    """What these routes need from the engine."""

    @property
    def sessions(self) -> SessionTable:
        """The open sessions."""
        ...

    def open_session(
        self, owner: str, image: Image, version: int | None, case_id: str | None, slot: Slot
    ) -> HostedSession:
        """Open a session on a target.

        Raises:
            UnknownVersion: the registry has no such version.
            EngineFull: all places are taken.
        """
        ...

    def image_of(self, case_id: str) -> Image:
        """A case's image.

        Raises:
            UnknownCase: there is none.
        """
        ...

    def choose(self, hosted: HostedSession, slot: Slot) -> bool:
        """Have a session work on another target of its case; whether its earlier steps are there again."""
        ...

    def step(self, hosted: HostedSession, action: Action, predicts: bool) -> None:
        """Carry a step out on the right thread, with the session's weights version if it predicts."""
        ...

    def describe_model(self) -> Row:
        """``supported``, ``licence``, ``version``, ``takes_3d_boxes``."""
        ...


class SessionRoutes:
    """Handlers over a `SessionHost`."""

    def __init__(self, host: SessionHost) -> None:
        """Serve the sessions of ``host``."""
        self._host = host

    def routes(self, limits: WireLimits) -> list[Route]:
        """All routes of this module."""
        handlers = {
            "model": lambda _: Reply(self._host.describe_model()),
            "open": self.open,
            "choose": self.choose,
            "prompts": self.prompts,
            "undo": self.undo,
            "redo": self.redo,
            "reset": self.reset,
            "beat": self.beat,
            "close": self.close,
        }
        return [route(f"session/{name}", handler, limits) for name, handler in handlers.items()]

    def open(self, ask: Ask) -> Reply:
        """Open a session on an uploaded image or on a case's; may name a weights version to stay with."""
        case_id = ask.meta.get("case_id")
        if case_id is None:
            voxels = ask.message.array("image")
            image = Image(voxels, geometry_from_wire(ask.meta.get("geometry")))
        else:
            image = self._host.image_of(str(case_id))
        wanted = ask.meta.get("version")
        version = None if wanted is None else integer(wanted)
        replaced = ask.meta.get("replaces")
        if isinstance(replaced, str):
            self._host.sessions.close(replaced, ask.who.name)
        name = None if case_id is None else str(case_id)
        slot = slot_from_wire(ask.meta.get("slot"))
        hosted = self._host.open_session(ask.who.name, image, version, name, slot)
        return Reply({**self._state(hosted), "session": hosted.key, "changed_kji": None})

    def choose(self, ask: Ask) -> Reply:
        """Go on with another target; answered with the whole mask, and whether its steps were kept."""
        hosted, slot = self._hosted(ask), slot_from_wire(ask.meta.get("slot"))
        with hosted.lock:
            kept = self._host.choose(hosted, slot)
            mask = hosted.shown.mask
            box = bounding_box(mask)
            arrays: Arrays = {} if box is None else {"mask": mask[box_slices(box)]}
            changed = None if box is None else bounds_to_wire(box)
            return Reply({**self._state(hosted), "kept": kept, "changed_kji": changed}, arrays)

    def prompts(self, ask: Ask) -> Reply:
        """Add prompts and predict once."""
        prompts = prompts_from_wire(ask.meta.get("prompts"), ask.message.arrays)
        return self._step(ask, lambda session: session.add_prompts(prompts), predicts=True)

    def undo(self, ask: Ask) -> Reply:
        """Go back one step."""
        return self._step(ask, lambda session: session.undo())

    def redo(self, ask: Ask) -> Reply:
        """Take an undo back."""
        return self._step(ask, lambda session: session.redo())

    def reset(self, ask: Ask) -> Reply:
        """Forget all prompts."""
        return self._step(ask, lambda session: session.reset())

    def beat(self, ask: Ask) -> Reply:
        """Keep a session's place."""
        self._hosted(ask)
        return Reply({"alive": True})

    def close(self, ask: Ask) -> Reply:
        """Give a session's place back."""
        self._host.sessions.close(str(ask.meta.get("session")), ask.who.name)
        return Reply({"closed": True})

    def _hosted(self, ask: Ask) -> HostedSession:
        return self._host.sessions.get(str(ask.meta.get("session")), ask.who.name)

    def _step(self, ask: Ask, action: Action, predicts: bool = False) -> Reply:
        hosted = self._hosted(ask)
        request = ask.meta.get("request")
        if not isinstance(request, str) or not 1 <= len(request) <= 64:
            raise InputError("A step needs a request name of its own, so that it is carried out once.")
        have = integer(ask.meta.get("have", 0))
        with hosted.lock:
            if hosted.last_request != request:
                self._host.step(hosted, action, predicts)
                hosted.last_request = request
            return self._answer(hosted, have)

    def _answer(self, hosted: HostedSession, have: int) -> Reply:
        box = hosted.changed_since(have)
        arrays: Arrays = {}
        if box is not None:
            arrays["mask"] = hosted.shown.mask[box_slices(box)]
        changed = None if box is None else bounds_to_wire(box)
        return Reply({**self._state(hosted), "changed_kji": changed}, arrays)

    def _state(self, hosted: HostedSession) -> Row:
        session = hosted.session
        return {
            "revision": hosted.shown.revision,
            "weights_version": hosted.shown.weights_version,
            "next_version": session.weights_version if hosted.version is None else hosted.version,
            "seconds": hosted.shown.seconds,
            "can_undo": session.can_undo,
            "can_redo": session.can_redo,
            "prompt_count": len(session.prompts),
        }
