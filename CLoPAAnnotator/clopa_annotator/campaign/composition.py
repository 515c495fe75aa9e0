"""The one file that knows every stage: a campaign, composed.

    session -> Confirm -> cache -> scheduler -> episode -> registry (gate) -> swap -> session

`Campaign` is what simulations, the engine and the command line work with: the store, the live network, and
for each target the line on which it learns (`campaign.lines`). The trainer is a process of its own:
`trainer.run_episode_job` turns a job folder into a finished one, and scores the held-out cases before and
after through a real session, so that neither training nor checking stands in the way of a click.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from clopa_annotator import models
from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.campaign.lines import EPISODES, LearningLine
from clopa_annotator.campaign.live_line import WEIGHTS
from clopa_annotator.config import CampaignConfig
from clopa_annotator.episode.folder import read_job
from clopa_annotator.errors import RegistryError
from clopa_annotator.events import EventLog
from clopa_annotator.online.strategy import OnlineStrategy
from clopa_annotator.registry.weights_registry import WeightsRegistry
from clopa_annotator.scheduler import whose_turn
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.strategies import StrategySpec, get_strategy
from clopa_annotator.swap import apply_version, watch
from clopa_annotator.training.other_masks import require_episodes
from clopa_annotator.training.roles import AllTargets, ConfirmedCases
from clopa_annotator.types import (
    CaseRef,
    Confirmation,
    EpisodeRequest,
    Target,
    Targets,
    WeightsVersion,
)

__all__ = ["EPISODES", "WEIGHTS", "Campaign"]
ONE_TARGET = Targets([Target("target")])
logger = logging.getLogger(__name__)


class Campaign:
    """One campaign folder, its weights and, once it is needed, the live network.

    Used from one thread at a time; `LoadedModel.lock` is what makes swaps and predictions exclude each other.
    What speaks of learning without naming a target speaks of the first.
    """

    def __init__(
        self,
        folder: Path,
        config: CampaignConfig,
        store: CampaignStore,
        device: str = "auto",
        writer: bool = True,
    ) -> None:
        self.folder = folder
        self.config = config
        self.store = store
        self.events = EventLog()
        self._device, self._writer = device, writer
        self._mutex = threading.RLock()
        self._lines: dict[str, LearningLine] = {}
        self._passed_over: dict[str, int] = {}
        self._others_due: set[str] = set()

    @classmethod
    def create(
        cls, folder: Path, config: CampaignConfig, targets: Targets = ONE_TARGET, *, device: str = "auto"
    ) -> Campaign:
        """Make a campaign folder for these targets.

        Raises:
            ConfigError: the strategy learns between clicks, and others are to be the background.
            ModelError: the base model is not there or cannot be loaded.
            CacheError: the folder cannot be made.
        """
        require_episodes(config, get_strategy(config.strategy).online is not None)
        model = load_model(models.resolve(config.model), device)
        manifest = CampaignManifest(
            name=config.name,
            size=config.size,
            model_id=config.model,
            model_hash=model.model_hash,
            licence=model.licence,
            strategy=config.strategy,
            settings=config.to_dict(),
            targets=targets,
        )
        store = CampaignStore.create(folder, manifest)
        WeightsRegistry(folder / WEIGHTS).create(model.model_hash, model.licence)
        campaign = cls(folder, config, store, device)
        _ = campaign.lines  # every target has its folder of weights from the start
        watch(model.network)
        campaign.__dict__["model"] = model
        return campaign

    @classmethod
    def open(cls, folder: Path, *, device: str = "auto", writer: bool = True) -> Campaign:
        """Open a campaign folder; the network is loaded when it is first needed.

        Raises:
            CacheError: no campaign, damaged, or in use by another writer.
        """
        store = CampaignStore.open(folder, writer=writer)
        config = CampaignConfig.from_dict(store.manifest.settings)
        return cls(folder, config, store, device, writer)

    def close(self) -> None:
        """Let go of the folder; idempotent."""
        self.store.close()

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- targets -------------------------------------------------------------------------------------------

    @property
    def targets(self) -> Targets:
        """What the campaign segments, in order."""
        return self.store.targets

    def set_targets(self, targets: Targets) -> None:
        """Rename, recolour, reorder or add targets, or remove one that has no records.

        Raises:
            ConfigError: a target that is gone has records, or the first one is gone.
            CacheError: the change could not be written.
        """
        self.store.set_targets(targets)
        _ = self.lines

    def set_suggestions(self, on: bool) -> None:
        """Have the engine suggest masks for the coming cases, or not.

        Raises:
            CacheError: the change could not be written.
        """
        config = replace(self.config, suggestions=on)
        self.store.set_settings(config.to_dict())
        self.config = config

    @property
    def lines(self) -> Mapping[str, LearningLine]:
        """How each target learns, by the target's key, in the targets' order; made when first asked for."""
        return {target.key: self.line(target.key) for target in self.targets}

    def line(self, target: str = "") -> LearningLine:
        """How a target learns; with a joint strategy all targets learn on one line.

        Raises:
            ConfigError: the campaign has no such target.
        """
        key = self.targets.by_key(target).key
        key = "" if self.strategy.joint else key
        with self._mutex:  # two lines of one target would write over each other's book of roles
            if key not in self._lines:
                self._lines[key] = self._new_line(key)
            return self._lines[key]

    def _new_line(self, key: str) -> LearningLine:
        if self.strategy.joint:
            cases = AllTargets(lambda: [self._cases(target.key) for target in self.targets])
            return LearningLine(self, key, cases, self._writer, lambda: len(self.targets))
        line = LearningLine(self, key, self._cases(key), self._writer)
        if key and self._writer:  # a target that was added later begins with the base
            base = self.registry.base
            line.registry.create(base.model_hash, base.licence)
        return line

    def _cases(self, key: str) -> ConfirmedCases:
        """The confirmed masks of one target."""
        return self.store.of_target(key)

    def next_in_turn(
        self, *, final_one: bool = False, but_not: Collection[str] = ()
    ) -> tuple[LearningLine, EpisodeRequest] | None:
        """The episode that comes next among all targets, with its line; None if none is due.

        Args:
            final_one: do not wait for the scheduler; train with whatever is there.
            but_not: keys of lines that are left out, for instance because a person has paused them.
        """
        found = {}
        for line in {line.key: line for line in self.lines.values()}.values():
            request = None if line.key in but_not else line.next_episode(final_one=final_one)
            if request is not None:
                found[line.key] = (line, request, line.due(request, self._passed_over.get(line.key, 0)))
        turn = whose_turn([due for _, _, due in found.values()])
        if turn is None:
            return None
        line, request, _ = found[turn.target]
        self._others_due = found.keys() - {turn.target}
        return line, request

    def step_aside(self) -> None:
        """Let the line whose weights are in the network keep what it has learned: others come in."""
        line = self._lines.get(self.model.lineage)
        if line is not None:
            line.step_aside()

    # -- the network ---------------------------------------------------------------------------------------

    @cached_property
    def model(self) -> LoadedModel:
        """The live network, at first with the first target's weights in use.

        Raises:
            ModelError: the base model is not there or cannot be loaded.
            RegistryError: the base model is not the one that this campaign began with.
        """
        model = load_model(models.resolve(self.config.model), self._device)
        if model.model_hash != self.registry.base.model_hash:
            raise RegistryError(
                f"The model {self.config.model!r} is not the one that this campaign began with; its learned "
                "weights would not fit. Give the campaign its model back."
            )
        watch(model.network)
        current = self.registry.current().number
        apply_version(model, model.base, self.registry.delta_tensors(current), current)
        return model

    def new_session(self) -> LocalSession:
        """A session on the live network; sessions share it."""
        return LocalSession(self.model, cpu_precision=best_cpu_precision())

    @property
    def strategy(self) -> StrategySpec:
        """How this campaign learns."""
        return get_strategy(self.config.strategy)

    # -- confirming ----------------------------------------------------------------------------------------

    def confirm(self, confirmation: Confirmation) -> CaseRef:
        """Store a decision; returns once it is durable.

        Raises:
            CacheError: it could not be stored; nothing was acknowledged.
        """
        ref = self.store.confirm(confirmation)
        named = {"target": ref.slot.target} if ref.slot.target else {}
        self.events.publish("confirmed", case_id=ref.case_id, record_hash=ref.record_hash, **named)
        return ref

    # -- the first target's learning -----------------------------------------------------------------------

    @property
    def registry(self) -> WeightsRegistry:
        """The first target's weights versions."""
        return self.line().registry

    @property
    def online(self) -> OnlineStrategy | None:
        """What learns the first target between clicks."""
        return self.line().online

    def next_episode(self, *, final_one: bool = False) -> EpisodeRequest | None:
        """See `LearningLine.next_episode`."""
        return self.line().next_episode(final_one=final_one)

    def prepare_job(self, request: EpisodeRequest) -> Path:
        """See `LearningLine.prepare_job`; counts the targets that are due and were passed over."""
        passed = {key: self._passed_over.get(key, 0) + 1 for key in self._others_due - {request.target}}
        job = self.line(request.target).prepare_job(request)
        self._passed_over, self._others_due = passed, set()
        return job

    def adopt(self, job: Path) -> WeightsVersion | None:
        """See `LearningLine.adopt`."""
        return self.line(read_job(job).request.target).adopt(job)


def registry_of(folder: Path, target: str | None) -> WeightsRegistry:
    """The weights versions of a campaign's target, for whoever needs no network; the folder is only read.

    Args:
        folder: the campaign's.
        target: the target's name; None for the first.

    Raises:
        ConfigError: no campaign, or it has no such target.
        CacheError: it cannot be read.
    """
    with Campaign.open(folder, device="cpu", writer=False) as campaign:
        key = "" if target is None else campaign.targets.by_name(target).key
        return campaign.line(key).registry
