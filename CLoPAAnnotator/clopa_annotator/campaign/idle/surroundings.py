"""What making suggestions needs of the engine around it, and how eager it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.campaign.prediction import LineVersion
from clopa_annotator.errors import ConfigError
from clopa_annotator.events import EventLog
from clopa_annotator.session.suggesting import Suggester


@dataclass(frozen=True)
class SuggestionSettings:
    """How an engine suggests.

    Attributes:
        runs: False makes none at all, whatever the campaign's setting.
        ahead: so many coming targets are made ready; "suggest for all" makes all.
        quiet_s: seconds without a click before the next pass.
        look_s: seconds between two looks whether it is time.
        retry_s: seconds before a full disk is tried again.
    """

    runs: bool = True
    ahead: int = 8
    quiet_s: float = 0.5
    look_s: float = 0.5
    retry_s: float = 30.0

    def __post_init__(self) -> None:
        if self.ahead < 1:
            raise ConfigError("Suggestions are made for at least one coming target.")
        if min(self.quiet_s, self.look_s, self.retry_s) < 0:
            raise ConfigError("A time to wait cannot be negative.")


class Surroundings(Protocol):
    """What is needed of an engine; `engine_side.EngineSide` fulfils it.

    Attributes:
        store: the campaign's cache.
        leases: who has what open.
        events: where to tell.
    """

    store: CampaignStore
    leases: CaseLeases
    events: EventLog

    def suggester(self) -> Suggester:
        """Segments an image without a prompt."""
        ...

    def off(self) -> str:
        """Why no suggestions are made, in words; empty if they are."""
        ...

    def in_use(self, target: str) -> LineVersion:
        """The weights that a case opened now works with, for this target."""
        ...

    def spare(self, wanted: LineVersion, work: Callable[[], bool]) -> bool:
        """One pass, that everybody else goes before; raises `PassGivenUp`, `EngineUnreachable`."""
        ...

    @property
    def quiet_s(self) -> float:
        """Seconds since somebody last waited for an answer."""
        ...

    @property
    def is_training(self) -> bool:
        """Whether the trainer works."""
        ...
