"""The sessions that an engine hosts for our own clients, beside those of nnInteractive's server.

Each has an owner, a weights version of each target that it keeps until its next case, and a memory of its
last answer, so that a request that is repeated because its answer was lost is not carried out twice. It works
on one target at a time; what was begun on others of the same image is put aside and keeps its steps.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from clopa_annotator.campaign.prediction import LineVersion
from clopa_annotator.errors import EngineFull, SessionExpired
from clopa_annotator.geometry import BoundsKji, union_box
from clopa_annotator.session.exclusion import Exclusion
from clopa_annotator.session.protocol import Session
from clopa_annotator.types import Image, Proposal, Slot
from clopa_annotator.types.targets import FIRST

logger = logging.getLogger(__name__)

_REMEMBERED = 256

Action = Callable[[Session], Proposal]
"""A step on a session: a prompt, undo, redo, reset."""


@dataclass(eq=False)
class HostedSession:
    """One open image.

    Attributes:
        key: what a client names it by.
        owner: name from the token with which it was opened; nobody else may use it.
        session: the session itself.
        case_id: the case, if the image came from the campaign.
        slot: which target of it, and which of several of a kind, the prompts go to.
        line: key of the line of learning whose weights predict for it.
        versions: weights version by line; empty if it follows what is learned between clicks.
        follows: whether it does.
        exclusion: takes the voxels of other targets out of what is shown.
        stamp: of the other targets' masks that ``exclusion`` knows.
        hands: how often ``slot`` had come into other hands when it was chosen.
        aside: the work on the other slots, and their ``hands``.
        lock: held while a request is carried out.
        last_seen_s: when its owner was last heard of.
        last_request: name of the newest request that was carried out.
    """

    key: str
    owner: str
    session: Session
    case_id: str | None
    last_seen_s: float
    slot: Slot = FIRST
    line: str = ""
    versions: dict[str, int] = field(default_factory=dict)
    follows: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    last_request: str = ""
    exclusion: Exclusion = field(default_factory=Exclusion)
    stamp: object = None
    hands: int = 0
    aside: dict[Slot, tuple[object, int]] = field(default_factory=dict)
    _shown: Proposal | None = None
    _changes: list[tuple[int, BoundsKji | None]] = field(default_factory=list)

    @property
    def wanted(self) -> LineVersion:
        """The weights that its next prediction needs."""
        return LineVersion(self.line, None if self.follows else self.versions[self.line])

    @property
    def version(self) -> int | None:
        """Weights version of its next prediction; None if it follows what is learned between clicks."""
        return self.wanted.version

    @property
    def shown(self) -> Proposal:
        """What its owner sees: the session's proposal without the voxels of other targets."""
        if self._shown is None:
            self._shown = self.exclusion.cut(self.session.proposal)
        return self._shown

    def note(self, proposal: Proposal) -> None:
        """Show a step's proposal, and remember what it changed for clients that missed an answer."""
        self._shown = self.exclusion.cut(proposal)
        self._changes.append((proposal.revision, self._shown.changed_kji))
        del self._changes[:-_REMEMBERED]

    def show_anew(self) -> None:
        """Another piece of work is shown from now on; nobody has seen any of it."""
        self._shown = None
        self._changes.clear()

    def changed_since(self, have: int) -> BoundsKji | None:
        """Box outside which the mask is as it was at revision ``have``."""
        proposal = self.shown
        if have >= proposal.revision:
            return None
        known = [box for revision, box in self._changes if revision > have]
        if len(known) < proposal.revision - have:
            k, j, i = proposal.mask.shape
            return ((0, k), (0, j), (0, i))
        union: BoundsKji | None = None
        for box in known:
            union = union_box(union, box)
        return union


class SessionTable:
    """All hosted sessions; thread-safe."""

    def __init__(
        self,
        make: Callable[[], Session],
        max_sessions: int = 8,
        expiry_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            make: gives a new session without an image.
            max_sessions: places; each holds an image, its prompts and its undo history.
            expiry_s: a session whose owner was not heard of for this long gives its place back.
            clock: seconds.
        """
        self._make, self._max, self._expiry_s, self._clock = make, max_sessions, expiry_s, clock
        self._table: dict[str, HostedSession] = {}
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        """Number of open sessions."""
        return len(self._table)

    @property
    def free(self) -> int:
        """Number of places left."""
        return max(self._max - len(self._table), 0)

    def open(
        self,
        owner: str,
        image: Image,
        version: int | None,
        case_id: str | None,
        load: Callable[[HostedSession, Image], None] = lambda hosted, image: hosted.session.set_image(image),
        slot: Slot = FIRST,
        line: str = "",
    ) -> HostedSession:
        """Open a session on an image.

        Args:
            owner: who may use it.
            image: with its geometry.
            version: weights version of ``line`` to stay with; None follows what is learned between clicks.
            case_id: the case, if the image came from the campaign.
            load: gives the image to the session, on whatever thread that has to happen.
            slot: the target that the prompts go to.
            line: key of the line of learning whose weights predict for it.

        Raises:
            EngineFull: all places are taken.
            ImageError: the image cannot be annotated.
        """
        self.sweep()
        with self._mutex:
            if len(self._table) >= self._max:
                raise EngineFull(
                    f"All {self._max} places of this engine are taken; try again when somebody has finished."
                )
            hosted = HostedSession(
                secrets.token_urlsafe(16),
                owner,
                self._make(),
                case_id,
                self._clock(),
                slot,
                line,
                {} if version is None else {line: version},
                follows=version is None,
            )
            self._table[hosted.key] = hosted
        try:
            load(hosted, image)
        except BaseException:
            self.close(hosted.key, owner)
            raise
        return hosted

    def get(self, key: str, owner: str) -> HostedSession:
        """An open session of this owner.

        Raises:
            SessionExpired: there is none by that key; a stranger's key is answered alike.
        """
        with self._mutex:
            hosted = self._table.get(key)
            if hosted is None or hosted.owner != owner:
                raise SessionExpired("The engine has no such session any more; open the case again.")
            hosted.last_seen_s = self._clock()
            return hosted

    def close(self, key: str, owner: str) -> None:
        """Close a session; nothing happens if it is gone already."""
        with self._mutex:
            hosted = self._table.get(key)
            if hosted is None or hosted.owner != owner:
                return
            del self._table[key]
        with hosted.lock:
            hosted.aside.clear()
            hosted.session.close()

    def sweep(self) -> int:
        """Close the sessions whose owners were not heard of; returns how many."""
        limit = self._clock() - self._expiry_s
        with self._mutex:
            stale = [h for h in self._table.values() if h.last_seen_s < limit]
        for hosted in stale:
            logger.info("A session of %s expired", hosted.owner)
            self.close(hosted.key, hosted.owner)
        return len(stale)

    def follow(self, version: int, line: str = "") -> None:
        """Let every session work with ``version`` of a line from its next prediction on."""
        with self._mutex:
            for hosted in self._table.values():
                if line in hosted.versions:
                    hosted.versions[line] = version

    def of(self, owner: str, case_id: str | None = None) -> HostedSession | None:
        """The newest session of a person, on a certain case if one is named."""
        with self._mutex:
            theirs = [h for h in self._table.values() if h.owner == owner]
        wanted = [h for h in theirs if case_id is None or h.case_id == case_id]
        return wanted[-1] if wanted else None
