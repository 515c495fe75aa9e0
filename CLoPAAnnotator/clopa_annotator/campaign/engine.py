"""One engine: a campaign, its network, its sessions, its annotators, its learning."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import torch

from clopa_annotator import __version__
from clopa_annotator.campaign.cases import Cases
from clopa_annotator.campaign.episode_controller import EpisodeController
from clopa_annotator.campaign.export_jobs import ExportJobs
from clopa_annotator.campaign.hosted_sessions import Action, HostedSession, SessionTable
from clopa_annotator.campaign.journal import Journal
from clopa_annotator.campaign.label_intake import LabelIntake
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.campaign.live_weights import VersionedWeights
from clopa_annotator.campaign.prediction import PredictionThread
from clopa_annotator.errors import InputError, UnknownVersion
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.session.protocol import Session
from clopa_annotator.training.memory_room import with_room
from clopa_annotator.training.supervisor import SupervisorSettings
from clopa_annotator.types import Confirmation, Image, Proposal, WeightsVersion
from clopa_annotator.wire.messages import API_VERSION, EngineInfo, EpisodeRow, LearningState
from clopa_annotator.wire.session_messages import Row, model_row
from clopa_annotator.wire.tokens import Identity

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class EngineSettings:
    """How an engine serves.

    Attributes:
        max_sessions: open images of our own clients; a strategy that learns between clicks allows one.
        stock_sessions: sessions of nnInteractive's own clients.
        session_expiry_s: after this long without a sign of life a session gives its place back.
        lease_expiry_s: after this long without a sign of life a case is free for others.
        export_anywhere: an owner may name any folder; for an engine that the user's own program started.
        supervisor: of the training process.
    """

    max_sessions: int = 8
    stock_sessions: int = 4
    session_expiry_s: float = 4 * 3600.0
    lease_expiry_s: float = 120.0
    export_anywhere: bool = False
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)


class Engine:
    """Fulfils what the server's routes of sessions and of learning ask of their host; `cases` the third."""

    def __init__(self, campaign: Campaign, settings: EngineSettings | None = None) -> None:
        """Load the campaign's network and take over what an engine before this one left.

        Raises:
            ModelError: the base model cannot be loaded.
        """
        self.campaign, self.settings = campaign, settings or EngineSettings()
        model = campaign.model
        self.journal = Journal(campaign.folder / "logs" / "events.jsonl")
        self.events = self.journal.log
        self.controller = EpisodeController(
            campaign, self.events, self.settings.supervisor, self._promoted, self._on_thread
        )
        self.weights = VersionedWeights(
            model, campaign.registry.delta_tensors, lambda: campaign.registry.current().number
        )
        self.online = campaign.online
        self.prediction = PredictionThread(
            self.weights,
            self.controller.supervisor,
            _device_setter(model.device),
            follow=self.online is not None,
        )
        self.sessions = SessionTable(
            self._new_session,
            1 if self.online is not None else self.settings.max_sessions,
            self.settings.session_expiry_s,
        )
        leases = CaseLeases(self.settings.lease_expiry_s)
        self.cases = Cases(campaign.store, leases, self.events, self._confirming)
        self.intake = LabelIntake(campaign.store, leases, self.events, self.controller.confirmed)
        self.exports = ExportJobs(campaign, self.settings.export_anywhere)
        self._in_use = self.weights.current
        probe = campaign.new_session()
        self._supported, self._licence = probe.supported, probe.licence
        self._takes_3d_boxes = probe.takes_3d_boxes
        self.controller.recover()

    def let_go(self) -> None:
        """Begin to end, without waiting: the trainer ends (its job is resumed), waiting predictions go."""
        self.controller.let_go()
        self.prediction.stop()

    def close(self, patience_s: float = 60.0) -> bool:
        """End: `let_go`, and close the folder.

        Args:
            patience_s: how long the prediction that is under way may take.

        Returns:
            Whether it was ready in time. If not, its thread still works, on nothing that matters any more.
        """
        self.let_go()
        self.exports.close()
        self.controller.close()
        ready = self.prediction.join(patience_s)
        self.journal.close()
        self.campaign.close()
        return ready

    # -- sessions ------------------------------------------------------------------------------------------

    def describe_model(self) -> Row:
        """What a client is told about the model."""
        return model_row(self._supported, self._licence, self.weights.current, self._takes_3d_boxes)

    def image_of(self, case_id: str) -> Image:
        """A case's image."""
        return self.cases.read_image(self.cases.image_hash_of(case_id))

    def open_session(
        self, owner: str, image: Image, version: int | None, case_id: str | None
    ) -> HostedSession:
        """Open a session; without a wish it works with the current version until its next case."""
        if version is not None:
            self._require_version(version)
        stays = None if self.online is not None else self.weights.current if version is None else version
        hosted = self.sessions.open(owner, image, stays, case_id, self._load)
        if stays is not None and version is None and stays != self._in_use:
            self._in_use = stays
            self.events.publish("swapped", version=stays)
            self.events.publish("learning")
        return hosted

    def step(self, hosted: HostedSession, action: Action, predicts: bool) -> Proposal:
        """Carry a step out: on the prediction thread if it predicts, or if weights may change with it."""
        if predicts or hosted.version is None:
            return self.prediction.predict(hosted.version, lambda: action(hosted.session))
        return action(hosted.session)

    def _load(self, hosted: HostedSession, image: Image) -> None:
        if hosted.version is None:
            self.prediction.predict(None, lambda: hosted.session.set_image(image))
        else:
            with_room(lambda: hosted.session.set_image(image), self.controller.supervisor.make_room)

    def _new_session(self) -> Session:
        session: Session = self.campaign.new_session()
        return session if self.online is None else AdaptingSession(session, self.online)

    def _on_thread(self, work: Callable[[], T]) -> T:
        return self.prediction.predict(None, work)

    def _require_version(self, version: int) -> None:
        if version not in {v.number for v in self.campaign.registry.versions()}:
            raise UnknownVersion(f"There is no weights version {version} in this campaign.")

    # -- learning ------------------------------------------------------------------------------------------

    def _confirming(self, confirmation: Confirmation) -> Callable[[], None]:
        """Who learns from a confirmation: the open session, unless the case is held out; then episodes."""
        hosted = self.sessions.of(confirmation.annotator, confirmation.case_id)
        case_id, mask = confirmation.case_id, confirmation.mask

        def afterwards() -> None:
            if hosted is not None and self.online is not None:
                session = hosted.session
                with hosted.lock:
                    self._on_thread(lambda: self.campaign.learn_from(session, case_id, mask))
            self.controller.confirmed()

        return afterwards

    def _promoted(self, version: int, at_once: bool = False) -> None:
        """Other weights come into use: at once, or where a case is open with the next one."""
        at_once = at_once or self.controller.policy == "at once"
        if at_once:
            self.sessions.follow(version)
        if not len(self.sessions) or at_once:
            self._in_use = version
            self.events.publish("swapped", version=version)

    def info(self, who: Identity) -> EngineInfo:
        """Who answers."""
        campaign = self.campaign
        return EngineInfo(
            api_version=API_VERSION,
            code_version=__version__,
            device=device_in_words(campaign.model.device),
            model_name=campaign.model.folder.name,
            model_hash=campaign.model.model_hash,
            licence=campaign.model.licence,
            campaign=campaign.config.name,
            campaign_size=campaign.config.size,
            supported=self._supported,
            campaign_id=self._campaign_id(),
            annotator=who.name,
            is_owner=who.role == "owner",
            free_places=self.sessions.free,
        )

    @property
    def last_event(self) -> int:
        """Number of the newest event."""
        return self.events.last_sequence

    def _campaign_id(self) -> str:
        manifest = self.campaign.store.manifest
        return hashlib.sha256(
            f"{manifest.name}\n{manifest.created}\n{manifest.model_hash}".encode()
        ).hexdigest()

    def learning(self, who: Identity) -> LearningState:
        """What is being learned, as this person sees it."""
        hosted = self.sessions.of(who.name)
        if hosted is None:
            return self.controller.state(self.weights.current)
        return self.controller.state(
            hosted.session.weights_version if hosted.version is None else hosted.version
        )

    def episodes(self) -> tuple[EpisodeRow, ...]:
        """Every episode."""
        return self.controller.episodes()

    def weights_versions(self) -> tuple[WeightsVersion, ...]:
        """Every weights version."""
        return tuple(self.campaign.registry.versions())

    def steer(self, action: str, value: bool | int | str | None, who: Identity) -> None:
        """Train now, pause, cancel, choose a version, or say when promoted weights come into use."""
        if action == "train":
            self.controller.train_now()
        elif action == "pause":
            self.controller.pause(bool(value))
        elif action == "cancel":
            self.controller.cancel()
        elif action == "rollback" and isinstance(value, int):
            self.controller.roll_back(value, who.name)
            self.sessions.follow(value)
        elif action == "policy" and value in ("between cases", "at once"):
            self.controller.policy = "at once" if value == "at once" else "between cases"
            if value == "at once":
                self._promoted(self.weights.current)
            self.events.publish("learning")
        else:
            raise InputError(f"The engine cannot {action!r} with {value!r}.")


def device_in_words(device: torch.device) -> str:
    """For instance "CPU, 8 threads" or "NVIDIA RTX A5000"."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type == "mps":
        return "Apple GPU"
    return f"CPU, {torch.get_num_threads()} threads"


def _device_setter(device: torch.device) -> Callable[[], None] | None:
    """The current CUDA device belongs to a thread; the prediction thread needs the model's."""
    if device.type == "cuda" and device.index is not None:
        return lambda: torch.cuda.set_device(device)
    return None
