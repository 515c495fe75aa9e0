"""The one file that knows every stage: a campaign, composed.

    session -> Confirm -> cache -> scheduler -> episode -> registry (gate) -> swap -> session

`Campaign` is what simulations, the engine and the command line work with. The trainer is a process of its
own: `trainer.run_episode_job` turns a job folder into a finished one, and scores the held-out cases before
and after through a real session, so that neither training nor checking stands in the way of a click.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from clopa_annotator import models
from clopa_annotator.cache.campaign_store import CampaignStore
from clopa_annotator.cache.format.manifest import CampaignManifest
from clopa_annotator.config import CampaignConfig
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.folder import read_job, read_result, write_job
from clopa_annotator.errors import EpisodeError, RegistryError
from clopa_annotator.events import EventLog
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.online.strategy import OnlineStrategy
from clopa_annotator.registry.weights_registry import WeightsRegistry
from clopa_annotator.scheduler import SchedulerSettings, due, final
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.logits import best_cpu_precision
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.session.protocol import Session
from clopa_annotator.strategies import StrategySpec, get_strategy
from clopa_annotator.swap import apply_version, watch
from clopa_annotator.training import job_index as job_files
from clopa_annotator.training.roles import ROLES, CaseRoles
from clopa_annotator.types import CaseRef, Confirmation, EpisodeRequest, Mask, Split, WeightsVersion

logger = logging.getLogger(__name__)

EPISODES, WEIGHTS = "episodes", "weights"


class Campaign:
    """One campaign folder, its weights and, once it is needed, the live network.

    Used from one thread at a time; `LoadedModel.lock` is what makes swaps and predictions exclude each other.
    """

    def __init__(
        self,
        folder: Path,
        config: CampaignConfig,
        store: CampaignStore,
        registry: WeightsRegistry,
        device: str = "auto",
        writer: bool = True,
    ) -> None:
        self.folder = folder
        self.config = config
        self.store = store
        self.registry = registry
        self.scheduler = SchedulerSettings(size=config.size)
        self.events = EventLog()
        self._device, self._writer = device, writer

    @classmethod
    def create(cls, folder: Path, config: CampaignConfig, *, device: str = "auto") -> Campaign:
        """Make a campaign folder; raises `ModelError` (base model) or `CacheError` (folder)."""
        model = load_model(models.resolve(config.model), device)
        manifest = CampaignManifest(
            name=config.name,
            size=config.size,
            model_id=config.model,
            model_hash=model.model_hash,
            licence=model.licence,
            strategy=config.strategy,
            settings=config.to_dict(),
        )
        store = CampaignStore.create(folder, manifest)
        registry = WeightsRegistry(folder / WEIGHTS)
        registry.create(model.model_hash, model.licence)
        campaign = cls(folder, config, store, registry, device)
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
        return cls(folder, config, store, WeightsRegistry(folder / WEIGHTS), device, writer)

    def close(self) -> None:
        """Let go of the folder; idempotent."""
        self.store.close()

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the network ---------------------------------------------------------------------------------------

    @cached_property
    def model(self) -> LoadedModel:
        """The live network with the campaign's current weights.

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
        self._apply(model, self.registry.current().number)
        return model

    def _apply(self, model: LoadedModel, version: int) -> float:
        return apply_version(model, model.base, self.registry.delta_tensors(version), version)

    def new_session(self) -> LocalSession:
        """A session on the live network; sessions share it."""
        return LocalSession(self.model, cpu_precision=best_cpu_precision())

    @contextmanager
    def annotating(self) -> Iterator[LocalSession | AdaptingSession]:
        """A session for one case: it learns between clicks if the strategy does."""
        session = self.new_session()
        try:
            yield session if self.online is None else AdaptingSession(session, self.online)
        finally:
            session.close()

    @cached_property
    def online(self) -> OnlineStrategy | None:
        """What learns between clicks on the live network; None if nothing does."""
        return self.strategy.start_online(self.model)

    def activate(self, version: int) -> float:
        """Put a version into the live network, without changing which one is current; seconds it took."""
        seconds = self._apply(self.model, version)
        self.events.publish("swapped", version=version)
        return seconds

    @contextmanager
    def using(self, version: int) -> Iterator[None]:
        """Work with another version for a while."""
        live = self.model.version  # negative: learned between clicks since the last episode, not registered
        before = live if live >= 0 else self.registry.current().number
        self.activate(version)
        try:
            yield
        finally:
            self.activate(before)

    def roll_back(self, version: int, by: str) -> WeightsVersion:
        """Make an earlier version current, for good.

        Raises:
            UnknownVersion: the registry has no such version.
        """
        restored = self.registry.rollback(version, by)
        self.activate(restored.number)
        self.events.publish("rolled_back", version=restored.number)
        return restored

    # -- confirming and learning ---------------------------------------------------------------------------

    @property
    def strategy(self) -> StrategySpec:
        """How this campaign learns."""
        return get_strategy(self.config.strategy)

    def confirm(self, confirmation: Confirmation) -> CaseRef:
        """Store a decision; returns once it is durable.

        Raises:
            CacheError: it could not be stored; nothing was acknowledged.
        """
        ref = self.store.confirm(confirmation)
        self.events.publish("confirmed", case_id=ref.case_id, record_hash=ref.record_hash)
        return ref

    def jobs(self) -> tuple[Path, ...]:
        """The campaign's job folders, oldest first."""
        return job_files.job_folders(self.folder / EPISODES)

    def split(self) -> Split:
        """Who trains, who validates, who waits: the last episode's sides, with what was confirmed since."""
        return job_files.current_split(self.jobs(), self.store.confirmed())

    @cached_property
    def roles(self) -> CaseRoles:
        """Which cases train and which are held out; the one place that says so."""
        path, past = self.folder / EPISODES / ROLES, lambda: job_files.roles_in(self.jobs())
        return CaseRoles(path, self.scheduler, self.store, past, self._writer)

    def learn_from(self, session: Session, case_id: str, confirmed: Mask) -> None:
        """Let an online strategy learn from a confirmation or a correction, unless the case is held out."""
        if isinstance(session, AdaptingSession) and self.roles.of(case_id) == "train":
            session.after_confirm(confirmed)

    def next_episode(self, *, final_one: bool = False) -> EpisodeRequest | None:
        """The episode that is due, or None.

        Args:
            final_one: do not wait for the scheduler; train with whatever is there.
        """
        if not self.strategy.learns:
            return None
        split, held_out = self.split(), self.roles.held_out()
        assigned = final(split, held_out) if final_one else due(self.scheduler, split, held_out)
        if assigned is None:
            return None
        number = len(self.jobs()) + 1
        return EpisodeRequest(
            number=number,
            at_case=len(self.store.confirmed()),
            split=assigned,
            parent_version=self.registry.current().number,
            strategy=self.config.strategy,
            seed=self.config.seed * 1000 + number,
        )

    def prepare_job(self, request: EpisodeRequest) -> Path:
        """Write an episode's job folder, ready for the trainer."""
        past, train = job_files.past_episodes(self.jobs()), len(request.split.train)
        settings = self.strategy.episode_settings(self.config.schedule, past, train, self.config.unprompted)
        group = self.strategy.online_group
        learned = b""
        if self.online is not None:
            parent = self.registry.delta_tensors(request.parent_version)
            learned = job_files.pack_online(self.online, self.model, parent, request, group)
        folder = write_job(
            self.folder / EPISODES / f"{request.number:04d}",
            request,
            settings or EpisodeSettings(group=group),
            self.store.confirmed(),
            models.resolve(self.config.model),
            self.registry.delta_path(request.parent_version),
            campaign=self.folder,
            start_delta=learned if settings and self.online and self.online.history else None,
        )
        if self.online is not None and settings is None:
            job_files.write_online_result(folder, self.online, learned)
        self.events.publish("episode_started", episode=request.number, at_case=request.at_case)
        return folder

    def adopt(self, job: Path) -> WeightsVersion | None:
        """Register what an episode made and, if the gate promoted it, put it into use.

        Returns:
            The version, promoted or not; None if the episode failed, was cancelled or changed nothing.

        Raises:
            EpisodeError: the job has not ended.
        """
        ended = read_result(job)
        if ended is None:
            raise EpisodeError(f"The episode in {job} has not ended yet.")
        result, decision = ended
        if result.status == "finished" and decision is None:
            raise EpisodeError(f"The candidate in {job} has not been checked yet; run the episode again.")
        if result.status != "finished" or result.delta_path is None or decision is None:
            self.events.publish("episode_failed", episode=result.number, reason=result.reason)
            return None
        order = read_job(job)
        version = self.registry.add_candidate(
            result,
            parent=order.request.parent_version,
            parameter_group=order.settings.group,
            case_hashes=tuple(ref.record_hash for ref in order.train),
            seed=order.request.seed,
        )
        if not decision.promoted:
            if self.online is not None:
                self.online.rollback()
            self.events.publish("rejected", version=version.number, reason=decision.reason)
            return self.registry.reject(version.number, decision)
        promoted = self.registry.promote(version.number, decision)
        self.activate(promoted.number)
        if self.online is not None and self.strategy.group is None:
            self.online.registered(promoted.number)
        self.events.publish("promoted", version=promoted.number, reason=decision.reason)
        return promoted
