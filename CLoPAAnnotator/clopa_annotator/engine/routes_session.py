"""Routes of the hosted sessions: open, prompts, undo, redo, reset, beat, close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from starlette.routing import Route

from clopa_annotator.engine.frames import WireLimits
from clopa_annotator.engine.http import Ask, Reply, route
from clopa_annotator.engine.sessions import HostedSession, SessionTable
from clopa_annotator.errors import InputError, UnknownVersion
from clopa_annotator.geometry import box_slices
from clopa_annotator.session.wire import (
    Arrays,
    Row,
    bounds_to_wire,
    geometry_from_wire,
    integer,
    prompts_from_wire,
)
from clopa_annotator.types import Image, Prompt, PromptKind, Proposal


class SessionHost(Protocol):
    """What these routes need from the engine."""

    @property
    def sessions(self) -> SessionTable:
        """The open sessions."""
        ...

    @property
    def current_version(self) -> int:
        """Version that a case opened now works with."""
        ...

    def knows_version(self, version: int) -> bool:
        """Whether a version can be brought in."""
        ...

    def image_of(self, case_id: str) -> Image:
        """A case's image.

        Raises:
            UnknownCase: there is none.
        """
        ...

    def begin_case(self, hosted: HostedSession) -> None:
        """A session was opened on an image: tell whoever learns between clicks."""
        ...

    def predict(self, hosted: HostedSession, prompts: tuple[Prompt, ...]) -> Proposal:
        """Add prompts on the prediction thread, with the session's weights version."""
        ...

    def stepped(self, hosted: HostedSession, forward: bool) -> None:
        """A step was undone or redone: tell whoever learns between clicks."""
        ...

    def describe_model(self) -> Row:
        """``supported``, ``licence``, ``version``."""
        ...


class SessionRoutes:
    """Handlers over a `SessionHost`."""

    def __init__(self, host: SessionHost) -> None:
        """Serve the sessions of ``host``."""
        self._host = host

    def routes(self, limits: WireLimits) -> list[Route]:
        """All routes of this module."""
        handlers = {
            "model": lambda ask: Reply(self._host.describe_model()),
            "open": self.open,
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
        version = self._version(ask.meta.get("version"))
        replaced = ask.meta.get("replaces")
        if isinstance(replaced, str):
            self._host.sessions.close(replaced, ask.who.name)
        name = None if case_id is None else str(case_id)
        hosted = self._host.sessions.open(ask.who.name, image, version, name)
        self._host.begin_case(hosted)
        return Reply({**self._state(hosted), "session": hosted.key, "changed_kji": None})

    def prompts(self, ask: Ask) -> Reply:
        """Add prompts and predict once."""
        prompts = prompts_from_wire(ask.meta.get("prompts"), ask.message.arrays)
        return self._step(ask, lambda hosted: self._host.predict(hosted, prompts))

    def undo(self, ask: Ask) -> Reply:
        """Go back one step."""

        def step(hosted: HostedSession) -> Proposal:
            proposal = hosted.session.undo()
            self._host.stepped(hosted, forward=False)
            return proposal

        return self._step(ask, step)

    def redo(self, ask: Ask) -> Reply:
        """Take an undo back."""

        def step(hosted: HostedSession) -> Proposal:
            proposal = hosted.session.redo()
            self._host.stepped(hosted, forward=True)
            return proposal

        return self._step(ask, step)

    def reset(self, ask: Ask) -> Reply:
        """Forget all prompts."""
        return self._step(ask, lambda hosted: hosted.session.reset())

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

    def _version(self, wanted: object) -> int:
        if wanted is None:
            return self._host.current_version
        version = integer(wanted)
        if not self._host.knows_version(version):
            raise UnknownVersion(f"There is no weights version {version} in this campaign.")
        return version

    def _step(self, ask: Ask, step: Callable[[HostedSession], Proposal]) -> Reply:
        hosted = self._hosted(ask)
        request = ask.meta.get("request")
        if not isinstance(request, str) or not 1 <= len(request) <= 64:
            raise InputError("A step needs a request name of its own, so that it is carried out once.")
        have = integer(ask.meta.get("have", 0))
        with hosted.lock:
            if hosted.last_request != request:
                hosted.note(step(hosted))
                hosted.last_request = request
            return self._answer(hosted, have)

    def _answer(self, hosted: HostedSession, have: int) -> Reply:
        box = hosted.changed_since(have)
        arrays: Arrays = {}
        if box is not None:
            arrays["mask"] = hosted.session.proposal.mask[box_slices(box)]
        changed = None if box is None else bounds_to_wire(box)
        return Reply({**self._state(hosted), "changed_kji": changed}, arrays)

    def _state(self, hosted: HostedSession) -> Row:
        session = hosted.session
        return {
            "revision": session.proposal.revision,
            "weights_version": session.proposal.weights_version,
            "next_version": session.weights_version if hosted.version is None else hosted.version,
            "seconds": session.proposal.seconds,
            "can_undo": session.can_undo,
            "can_redo": session.can_redo,
            "prompt_count": len(session.prompts),
        }


def model_row(supported: frozenset[PromptKind], licence: str, version: int) -> Row:
    """What a client is told about the loaded model."""
    return {"supported": sorted(k.value for k in supported), "licence": licence, "version": version}
