"""The strategies by name: what learns, when, and on which parameters. Free of torch until one is started.

A `StrategySpec` says three things apart: how episodes are set (``episode_settings``), what learns between
clicks and confirmations (``start_online``), and how the case begins (``box_first``). docs/strategies.md holds
each against its paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.errors import ConfigError
from clopa_annotator.experts.expert_settings import RidgeHeadSettings
from clopa_annotator.online.online_settings import OaimsSettings, SparseSettings

if TYPE_CHECKING:
    from clopa_annotator.online.strategy import OnlineStrategy
    from clopa_annotator.session.model import LoadedModel


class OnlineSettings(Protocol):
    """Settings of what learns between clicks; `LEARNERS` says which learner takes them."""

    @property
    def group(self) -> str:
        """Parameters that it changes."""
        ...

    @property
    def learns_within_case(self) -> bool:
        """Whether the weights change while a case is open."""
        ...


LEARNERS: Mapping[type, str] = {
    OaimsSettings: "clopa_annotator.online.oaims.Oaims",
    SparseSettings: "clopa_annotator.online.baselines.SparseAdaptation",
    RidgeHeadSettings: "clopa_annotator.experts.head.RidgeHead",
}
"""The learner that takes settings of a kind; imported when one is started, because it brings torch."""

Change = tuple[str, str | int | float | bool]
"""One setting of `EpisodeSettings` with another value than the schedule's."""


OAIMS_OURS = OaimsSettings(mid_persists=False, generated_at="deepest", second_stage="all")
"""Our variant of OAIMS: a click teaches for its case only, and PI clicks into the middle of an error."""

ALL_PARAMETERS: tuple[Change, ...] = (("learning_rate", 3e-3), ("gradient_clip", 1.0))
"""What an episode on every parameter needs: a smaller step than the last layers take, and no leaps."""


@dataclass(frozen=True)
class PastEpisode:
    """How training went in one episode. Of training cases only: the held-out ones judge what is chosen by it.

    Attributes:
        group: parameters that it tuned.
        train: cases that it trained on.
        fall: by how much the mean training loss fell from its first epoch to its last; NaN if it has no two.
    """

    group: str
    train: int
    fall: float

    @classmethod
    def of(cls, group: str, train: int, losses: Sequence[float]) -> PastEpisode:
        """From the mean training loss of each epoch."""
        return cls(group, train, losses[0] - losses[-1] if len(losses) > 1 else math.nan)


@dataclass(frozen=True)
class TwoPhases:
    """Instance norm while it pays, deeper parameters once it stops and the cache can feed them.

    The CLoPA authors propose such a curriculum, with a longer interaction window, without building it.

    Attributes:
        shallow: group of the first phase.
        deep: group of the second.
        least_train: training cases below which the deeper group is not tried.
        least_fall: fall of the training loss below which an episode of the first phase has stopped paying.
        deep_changes: departures from the schedule in the second phase.
        longer: further corrections in the second phase's training window.
    """

    shallow: str = "in"
    deep: str = "all"
    least_train: int = 8
    least_fall: float = 0.03
    deep_changes: tuple[Change, ...] = ALL_PARAMETERS
    longer: int = 2

    def is_deep(self, record: Sequence[PastEpisode], train: int) -> bool:
        """Whether the next episode belongs to the second phase.

        Args:
            record: the campaign's finished episodes, oldest first.
            train: cases that the next episode trains on.

        Once entered, the second phase is kept. The gate's verdicts play no part: what they rest on would be
        used up by choosing with it.
        """
        if any(e.group == self.deep for e in record):
            return True
        if train < self.least_train or not record:
            return False
        return not record[-1].fall >= self.least_fall  # NaN: nothing shows that it still pays


@dataclass(frozen=True)
class StrategySpec:
    """One way of learning.

    Attributes:
        name: as on the command line.
        summary: one line for people.
        group: parameters that its episodes tune; None if it has no episodes.
        changes: further departures of its episodes from the schedule.
        phases: decides the group by how training went so far; None keeps ``group``.
        online: what learns between clicks and confirmations; None for nothing.
        box_first: the simulated annotator starts with a box instead of points.
        joint: all targets of a campaign learn together, in one version; else each has its own.
    """

    name: str
    summary: str
    group: str | None = None
    changes: tuple[Change, ...] = ()
    phases: TwoPhases | None = None
    online: OnlineSettings | None = None
    box_first: bool = False
    joint: bool = False

    @property
    def learns(self) -> bool:
        """Whether the weights ever change."""
        return self.group is not None or self.online is not None

    @property
    def online_group(self) -> str:
        """The parameters that learning between clicks changes; empty if nothing does."""
        return "" if self.online is None else self.online.group

    @property
    def learns_within_case(self) -> bool:
        """Whether the weights change while a case is open: then its answers depend on its own clicks."""
        return self.online is not None and self.online.learns_within_case

    def episode_settings(
        self,
        schedule: str,
        record: Sequence[PastEpisode] = (),
        train: int = 0,
        unprompted: float | None = None,
    ) -> EpisodeSettings | None:
        """Settings of the next episode; None if the strategy has no episodes.

        Args:
            schedule: one of `config.SCHEDULES`.
            record: the campaign's episodes so far, oldest first; only a curriculum looks at it.
            train: cases that the next episode trains on.
            unprompted: share of the samples without a prompt; None for the schedule's.

        Raises:
            ConfigError: an unknown schedule.
        """
        if schedule not in _PRESETS:
            raise ConfigError(f'There is no schedule "{schedule}"; there are {", ".join(_PRESETS)}.')
        if self.group is None:
            return None
        settings = _with_changes(_PRESETS[schedule](self.group), self.changes)
        if unprompted is not None:
            settings = replace(settings, unprompted=unprompted)
        if self.phases is None:
            return settings
        if not self.phases.is_deep(record, train):
            return replace(settings, group=self.phases.shallow)
        deep = replace(settings, group=self.phases.deep, steps=settings.steps + self.phases.longer)
        return _with_changes(deep, self.phases.deep_changes)

    def start_online(self, model: LoadedModel) -> OnlineStrategy | None:
        """The part that learns between clicks, on a live model; None if there is none.

        Wrap a session of the same model with it: ``AdaptingSession(session, strategy)``.
        """
        if self.online is None:
            return None
        from clopa_annotator.online.inputs import CanvasEncoder, rules_of

        encoder = CanvasEncoder(rules_of(model.artifacts, model.patch_size_kji))
        module, _, name = LEARNERS[type(self.online)].rpartition(".")
        learner: OnlineStrategy = getattr(import_module(module), name)(model, encoder, self.online)
        return learner


_IN_PAIRS: dict[str, Any] = {"batch": 2, "augmentation": 1.0}
"""What the published tables of "thorough" and of the arena ("brief") were made with."""
_PRESETS: dict[str, Callable[[str], EpisodeSettings]] = {
    "paper": EpisodeSettings.paper,
    "thorough": lambda group: replace(EpisodeSettings.quick(group), updates=75, **_IN_PAIRS),
    "quick": EpisodeSettings.quick,
    "brief": lambda group: replace(EpisodeSettings.quick(group), epochs=2, updates=8, **_IN_PAIRS),
}
"""Settings of episodes by the schedule's name; "brief" is for comparing many campaigns on one machine."""


def _with_changes(settings: EpisodeSettings, changes: Sequence[Change]) -> EpisodeSettings:
    return EpisodeSettings.from_dict({**settings.to_dict(), **dict(changes)})


SPECS: tuple[StrategySpec, ...] = (
    StrategySpec("static", "the base model as it is"),
    StrategySpec("clopa-in", "CLoPA: episodes on the instance norms", group="in"),
    StrategySpec("clopa-cn", "CLoPA: episodes on instance norms, stem and last layer", group="cn"),
    StrategySpec("clopa-all", "episodes on all parameters", group="all", changes=ALL_PARAMETERS),
    StrategySpec(
        "clopa-2phase",
        "CLoPA's proposed curriculum: instance norms while they pay, then deeper",
        group="in",
        phases=TwoPhases(),
    ),
    StrategySpec(
        "clopa-joint",
        "episodes on all parameters, for all targets of a campaign together",
        group="all",
        changes=ALL_PARAMETERS,
        joint=True,
    ),
    StrategySpec(
        "pi-then-clopa",
        "OAIMS' PI after each confirmation, episodes on all parameters from what it learned",
        group="all",
        changes=ALL_PARAMETERS,
        online=replace(OAIMS_OURS, mid=False),
    ),
    StrategySpec("oaims-pi", "OAIMS: learns from each confirmation", online=OaimsSettings(mid=False)),
    StrategySpec("oaims", "OAIMS: learns from each click and each confirmation", online=OaimsSettings()),
    StrategySpec(
        "oaims-pi-ours", "ours after OAIMS: from each confirmation", online=replace(OAIMS_OURS, mid=False)
    ),
    StrategySpec(
        "oaims-ours", "ours after OAIMS: what a click teaches ends with its case", online=OAIMS_OURS
    ),
    StrategySpec(
        "evosam",
        "EvoSAM: a closed-form last layer from each confirmation, on a frozen base",
        online=RidgeHeadSettings(),
        box_first=True,
    ),
    StrategySpec(
        "ia-sa",
        "baseline: sparse corrections, anchored to the weights before",
        online=SparseSettings("ia-sa"),
    ),
    StrategySpec("tsca", "baseline: sparse corrections, teacher and student", online=SparseSettings("tsca")),
)


def strategy_names() -> tuple[str, ...]:
    """All names, in the order of the documentation."""
    return tuple(spec.name for spec in SPECS)


def get_strategy(name: str) -> StrategySpec:
    """The strategy of this name.

    Raises:
        ConfigError: there is none.
    """
    for spec in SPECS:
        if spec.name == name:
            return spec
    raise ConfigError(f'There is no strategy "{name}"; there are {", ".join(strategy_names())}.')
