"""A line's weights in the live network, which all lines of a campaign share.

Versions count per line, so a number means weights only together with the line's key: `LoadedModel.lineage`
says whose version the network holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.config import CampaignConfig
from clopa_annotator.events import EventLog
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.online.strategy import OnlineStrategy
from clopa_annotator.registry.weights_registry import WeightsRegistry
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel
from clopa_annotator.strategies import StrategySpec, get_strategy
from clopa_annotator.swap import apply_version
from clopa_annotator.types import WeightsVersion

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, TARGETS = "weights", "targets"


def line_folder(campaign: Path, target: str) -> Path:
    """Where a target's weights, episodes and replays lie; the first one's are the campaign's own."""
    return campaign / TARGETS / target if target else campaign


class Surroundings(Protocol):
    """What a line needs of its campaign.

    Attributes:
        folder: the campaign's.
        config: how it learns.
        events: where to tell.
        store: its confirmed masks.
    """

    folder: Path
    config: CampaignConfig
    events: EventLog
    store: CampaignStore

    @property
    def model(self) -> LoadedModel:
        """The live network, which all lines share."""
        ...

    def step_aside(self) -> None:
        """The line whose weights are in the network is about to make room: keep what it has learned."""
        ...


class LiveLine:
    """One line's versions and how they come into the network; used from the thread that uses the campaign.

    Args:
        campaign: whose line it is.
        key: of the target; "" for the first, and for a line of all targets.
    """

    def __init__(self, campaign: Surroundings, key: str) -> None:
        self.key = key
        self.folder = line_folder(campaign.folder, key)
        self.config, self.events = campaign.config, campaign.events
        self.registry = WeightsRegistry(self.folder / WEIGHTS)
        self._campaign = campaign
        self._aside: tuple[int, Mapping[str, Tensor]] | None = None

    @property
    def strategy(self) -> StrategySpec:
        """How it learns."""
        return get_strategy(self.config.strategy)

    @property
    def named(self) -> dict[str, str]:
        """What an event says about the target: nothing of the first, as before there were several."""
        return {"target": self.key} if self.key else {}

    @cached_property
    def online(self) -> OnlineStrategy | None:
        """What learns between clicks on the live network; None if nothing does."""
        if self.strategy.online is not None:
            self.bring_in()
        return self.strategy.start_online(self._campaign.model)

    @property
    def model(self) -> LoadedModel:
        """The live network, whosever weights are in it."""
        return self._campaign.model

    def live_version(self) -> int:
        """The version that this line's next prediction uses, brought in if need be; negative while learned
        between clicks and not registered."""
        self.bring_in()
        return self._campaign.model.version

    def bring_in(self) -> None:
        """Put this line's weights into the live network, unless they are there: the version in use, with
        what was learned between clicks since, exactly as it was when others came in."""
        if self._campaign.model.lineage == self.key:
            return
        if self._aside is None:
            self.put_in(self.registry.current().number)
        else:
            number, tensors = self._aside
            self._apply(tensors, number)

    def put_in(self, version: int) -> float:
        """Put a version into the live network, and say nothing of it; seconds it took."""
        return self._apply(self.registry.delta_tensors(version), version)

    def _apply(self, tensors: Mapping[str, Tensor], version: int) -> float:
        model = self._campaign.model
        if model.lineage != self.key:
            self._campaign.step_aside()
        return apply_version(model, model.base, tensors, version, self.key)

    def step_aside(self) -> None:
        """Keep what was learned between clicks, because other weights are about to come in."""
        model, online = self._campaign.model, self.__dict__.get("online")
        self._aside = None
        if online is not None and model.version < 0:
            registered = self.registry.delta_tensors(self.registry.current().number)
            self._aside = (model.version, {**registered, **online.live()})

    def activate(self, version: int) -> float:
        """Put a version into the live network, without changing which one is current; seconds it took."""
        seconds = self.put_in(version)
        self.events.publish("swapped", version=version, **self.named)
        return seconds

    @contextmanager
    def using(self, version: int) -> Iterator[None]:
        """Work with another version for a while."""
        self.bring_in()
        live = self._campaign.model.version  # negative: learned between clicks, not registered
        before = live if live >= 0 else self.registry.current().number
        self.activate(version)
        try:
            yield
        finally:
            self.activate(before)

    @contextmanager
    def annotating(self) -> Iterator[LocalSession | AdaptingSession]:
        """A session for one case with this line's weights: it learns between clicks if the strategy does."""
        self.bring_in()
        session = LocalSession(self._campaign.model, cpu_precision=best_cpu_precision())
        try:
            yield session if self.online is None else AdaptingSession(session, self.online)
        finally:
            session.close()

    def roll_back(self, version: int, by: str) -> WeightsVersion:
        """Make an earlier version current, for good.

        Raises:
            UnknownVersion: the registry has no such version.
        """
        restored = self.registry.rollback(version, by)
        self.activate(restored.number)
        self.events.publish("rolled_back", version=restored.number, **self.named)
        return restored
