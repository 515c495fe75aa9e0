"""A hosted session goes from one target of its case to another, and leaves the voxels of others alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from clopa_annotator.campaign.hosted_sessions import HostedSession
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.campaign.occupancy import Occupancy
from clopa_annotator.campaign.prediction import PredictionThread
from clopa_annotator.errors import SessionError
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.protocol import SwitchingSession
from clopa_annotator.training.memory_room import with_room
from clopa_annotator.types import Image, Slot

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign


class SlotChoice:
    """Switches sessions between slots; each call holds the session's lock."""

    def __init__(
        self, campaign: Campaign, leases: CaseLeases, occupancy: Occupancy, prediction: PredictionThread
    ) -> None:
        """Serve one campaign.

        Args:
            campaign: with its targets and their lines of learning.
            leases: tell whether somebody else had a slot meanwhile.
            occupancy: which voxels belong to other targets.
            prediction: runs what changes the live weights, between two predictions.
        """
        self._campaign, self._leases, self._occupancy = campaign, leases, occupancy
        self._prediction = prediction
        self.is_blind: Callable[[str, str], bool] = lambda _case_id, _who: False
        """Whether a person must not see what others have marked in a case, nor what it leaves free."""

    def load(self, hosted: HostedSession, image: Image) -> None:
        """Give a new session its image: on the prediction thread if weights change with it.

        Raises:
            ImageError: the image cannot be annotated.
        """
        session = hosted.session
        if not isinstance(session, AdaptingSession):
            with_room(lambda: session.set_image(image), self._prediction.make_room)
            return

        def begin() -> None:
            online = self._campaign.line(hosted.slot.target).online
            if online is not None:
                session.learn_with(online)
            session.set_image(image)

        self._prediction.predict(hosted.wanted, begin)

    def opened(self, hosted: HostedSession) -> None:
        """A session was opened on its first slot."""
        if hosted.case_id is not None:
            hosted.hands = self._leases.hands(hosted.case_id, hosted.slot)
        self.refresh(hosted)

    def choose(self, hosted: HostedSession, slot: Slot) -> bool:
        """Put the work on one slot aside and take up another's.

        Returns:
            Whether the earlier steps on ``slot`` are there again; if not, it begins with an empty proposal,
            because nothing was done on it yet or somebody else has worked on it since.

        Raises:
            ConfigError: the campaign has no such target.
            SessionError: the session is not on an image of the campaign.
        """
        self._campaign.store.targets.of(slot)
        if hosted.case_id is None or not isinstance(hosted.session, SwitchingSession):
            raise SessionError("This session has one target; open a case of the campaign to have several.")
        hands = self._leases.hands(hosted.case_id, slot)
        kept = self._go_on(hosted, slot, hands) if slot == hosted.slot else self._switch(hosted, slot, hands)
        hosted.hands, hosted.stamp = hands, None
        hosted.show_anew()
        self.refresh(hosted)
        return kept

    def _go_on(self, hosted: HostedSession, slot: Slot, hands: int) -> bool:
        """The chosen slot is chosen again."""
        if hosted.hands == hands:
            return True
        self._work_on(hosted, slot, None)  # the lease had run out, and somebody else has worked on it
        return False

    def _switch(self, hosted: HostedSession, slot: Slot, hands: int) -> bool:
        work, before = hosted.aside.get(slot, (None, 0))
        kept = work is not None and before == hands
        hosted.aside[hosted.slot] = (self._work_on(hosted, slot, work if kept else None), hosted.hands)
        hosted.aside.pop(slot, None)
        hosted.slot, hosted.line = slot, self._campaign.line(slot.target).key
        return kept

    def _work_on(self, hosted: HostedSession, slot: Slot, work: object | None) -> object:
        session = hosted.session
        if isinstance(session, AdaptingSession):
            line = self._campaign.line(slot.target)

            def switch() -> object:
                line.bring_in()
                return session.switch(work, line.online)

            return self._prediction.predict(None, switch)
        if not isinstance(session, SwitchingSession):
            raise SessionError("This session works on one target.")
        return session.switch(work)

    def refresh(self, hosted: HostedSession) -> None:
        """Read the other targets' masks again if they may have changed; the session is told if it should."""
        if hosted.case_id is None:
            return
        stamp = self._occupancy.stamp(hosted.case_id, hosted.slot)
        if hosted.stamp != stamp:
            is_blind = self.is_blind(hosted.case_id, hosted.owner)
            hosted.exclusion.set(None if is_blind else self._occupancy.taken(hosted.case_id, hosted.slot))
            hosted.stamp = stamp
            session = hosted.session
            if self._campaign.config.others_as_background and isinstance(session, LocalSession):
                others = self._occupancy.confirmed(hosted.case_id, hosted.slot)
                session.set_others(None if others is None else others.astype(np.uint8))
