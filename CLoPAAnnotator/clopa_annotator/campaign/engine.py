"""One engine: a campaign, its network, its sessions, its annotators, its learning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from clopa_annotator import __version__
from clopa_annotator.campaign.export_jobs import ExportJobs
from clopa_annotator.campaign.hosted_sessions import Action, HostedSession, SessionTable
from clopa_annotator.campaign.idle.case_queue import CaseQueue
from clopa_annotator.campaign.idle.click_watch import ClickWatch
from clopa_annotator.campaign.idle.engine_side import EngineSide, desk_of
from clopa_annotator.campaign.idle.suggested_cases import SuggestedCases
from clopa_annotator.campaign.idle.surroundings import SuggestionSettings
from clopa_annotator.campaign.journal import Journal
from clopa_annotator.campaign.label_intake import LabelIntake
from clopa_annotator.campaign.leases import CaseLeases
from clopa_annotator.campaign.live_weights import VersionedWeights
from clopa_annotator.campaign.occupancy import Occupancy
from clopa_annotator.campaign.prediction import PredictionThread, device_in_words, device_setter
from clopa_annotator.campaign.slot_choice import SlotChoice
from clopa_annotator.campaign.training_desk import TrainingDesk
from clopa_annotator.errors import InputError, UnknownVersion
from clopa_annotator.online.adapting_session import AdaptingSession
from clopa_annotator.session.protocol import Session
from clopa_annotator.training.supervisor import SupervisorSettings
from clopa_annotator.types import Confirmation, Image, Slot, Targets, WeightsVersion
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.learning_messages import EpisodeRow, LearningState
from clopa_annotator.wire.messages import API_VERSION, EngineInfo
from clopa_annotator.wire.session_messages import Row, model_row
from clopa_annotator.wire.tokens import Identity

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign

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
        suggestions: what is made while nobody clicks.
    """

    max_sessions: int = 8
    stock_sessions: int = 4
    session_expiry_s: float = 4 * 3600.0
    lease_expiry_s: float = 120.0
    export_anywhere: bool = False
    supervisor: SupervisorSettings = field(default_factory=SupervisorSettings)
    suggestions: SuggestionSettings = field(default_factory=SuggestionSettings)


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
        self.desk = TrainingDesk(
            campaign, self.events, self.settings.supervisor, self._promoted, self._on_thread
        )
        self.watch = ClickWatch(self.desk.supervisor)
        self.weights = VersionedWeights.of(campaign)
        self.learns_online = campaign.online is not None
        self.prediction = PredictionThread(
            self.weights, self.watch, device_setter(model.device), follow=self.learns_online
        )
        self.sessions = SessionTable(
            self._new_session,
            1 if self.learns_online else self.settings.max_sessions,
            self.settings.session_expiry_s,
        )
        self._leases = CaseLeases(self.settings.lease_expiry_s)
        self._occupancy = Occupancy(campaign.store)
        side = EngineSide(campaign, self._leases, self.events, self.prediction, self.watch, self.desk)
        self.suggestions = desk_of(campaign, side, self.settings.suggestions)
        self.cases = SuggestedCases(
            campaign.store, self._leases, self.events, self._confirming, self._occupancy, self.suggestions
        )
        self.intake = LabelIntake(
            campaign.store, self._leases, self.events, self.desk.confirmed, self._occupancy
        )
        self.queue = CaseQueue(campaign, self.events, self.suggestions)
        self.exports = ExportJobs(campaign, self.settings.export_anywhere)
        self.targets = SlotChoice(campaign, self._leases, self._occupancy, self.prediction)
        self._in_use: dict[str, int] = {}
        probe = campaign.new_session()
        self._supported, self._licence = probe.supported, probe.licence
        self._takes_3d_boxes = probe.takes_3d_boxes
        self.desk.recover()
        self.suggestions.start()

    def let_go(self) -> None:
        """Begin to end, without waiting: the trainer ends (its job is resumed), waiting predictions go."""
        self.suggestions.let_go()
        self.desk.let_go()
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
        self.desk.close()
        ready = self.prediction.join(patience_s)
        self.suggestions.close()
        self.journal.close()
        self.campaign.close()
        return ready

    # -- sessions ------------------------------------------------------------------------------------------

    def describe_model(self) -> Row:
        """What a client is told about the model."""
        return model_row(self._supported, self._licence, self.weights.current(), self._takes_3d_boxes)

    def image_of(self, case_id: str) -> Image:
        """A case's image."""
        return self.cases.read_image(self.cases.image_hash_of(case_id))

    def open_session(
        self, owner: str, image: Image, version: int | None, case_id: str | None, slot: Slot = FIRST
    ) -> HostedSession:
        """Open a session on a target; without a wish it works with the current versions until its next case.

        Raises:
            ConfigError: the campaign has no such target.
        """
        self.campaign.store.targets.of(slot)
        line = self.campaign.line(slot.target).key
        if version is not None:
            self._require_version(version, line)
        stays = None if self.learns_online else self.weights.current(line) if version is None else version
        hosted = self.sessions.open(owner, image, stays, case_id, self.targets.load, slot, line)
        with hosted.lock:
            self.targets.opened(hosted)
        if stays is not None and version is None:
            self._tell_if_new(line, stays)
        return hosted

    def choose(self, hosted: HostedSession, slot: Slot) -> bool:
        """Have a session work on another target of its case; see `SlotChoice.choose`."""
        kept = self.targets.choose(hosted, slot)
        if hosted.line not in hosted.versions and not hosted.follows:
            hosted.versions[hosted.line] = self.weights.current(hosted.line)
            self._tell_if_new(hosted.line, hosted.versions[hosted.line])
        return kept

    def _tell_if_new(self, line: str, version: int) -> None:
        """Promoted weights come into use with the first case that is opened after it."""
        if version != self._in_use.setdefault(line, version):
            self._in_use[line] = version
            self.events.publish("swapped", version=version, target=line)
            self.events.publish("learning", target=line)

    def step(self, hosted: HostedSession, action: Action, predicts: bool) -> None:
        """Carry a step out: on the prediction thread if it predicts, or if weights may change with it."""
        self.targets.refresh(hosted)
        if predicts or hosted.follows:
            proposal = self.prediction.predict(hosted.wanted, lambda: action(hosted.session))
        else:
            proposal = action(hosted.session)
        hosted.note(proposal)

    def _new_session(self) -> Session:
        session: Session = self.campaign.new_session()
        online = self.campaign.online
        return session if online is None else AdaptingSession(session, online)

    def _on_thread(self, work: Callable[[], T]) -> T:
        return self.prediction.predict(None, work)

    def _require_version(self, version: int, line: str) -> None:
        if version not in {v.number for v in self.campaign.line(line).registry.versions()}:
            raise UnknownVersion(f"There is no weights version {version} in this campaign.")

    # -- learning ------------------------------------------------------------------------------------------

    def _confirming(self, confirmation: Confirmation) -> Callable[[], None]:
        """Who learns from a confirmation: the open session, unless the case is held out; then episodes."""
        hosted = self.sessions.of(confirmation.annotator, confirmation.case_id)
        case_id, mask, slot = confirmation.case_id, confirmation.mask, confirmation.slot

        def afterwards() -> None:
            if hosted is not None and self.learns_online:
                with hosted.lock:
                    if hosted.slot == slot:
                        line = self.campaign.line(slot.target)
                        self.prediction.predict(
                            hosted.wanted, lambda: line.learn_from(hosted.session, case_id, mask)
                        )
            self.desk.confirmed(slot.target)

        return afterwards

    def _promoted(self, line: str, version: int, at_once: bool = False) -> None:
        """Other weights come into use: at once, or where a case is open with the next one."""
        at_once = at_once or self.desk.controller(line).policy == "at once"
        if at_once:
            self.sessions.follow(version, line)
        if not len(self.sessions) or at_once:
            self._in_use[line] = version
            self.events.publish("swapped", version=version, target=line)

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
            campaign_id=campaign.store.manifest.identity,
            annotator=who.name,
            is_owner=who.role == "owner",
            free_places=self.sessions.free,
            targets=tuple(campaign.store.targets),
            cases=self.queue.settings,
        )

    def set_targets(self, targets: Targets) -> None:
        """Say what the campaign segments; see `Cases.set_targets`."""
        self.cases.set_targets(targets)
        self.desk.controllers()  # each new target has its versions from now on

    @property
    def last_event(self) -> int:
        """Number of the newest event."""
        return self.events.last_sequence

    def learning(self, who: Identity, target: str = "") -> LearningState:
        """What is being learned of a target, as this person sees it."""
        controller = self.desk.controller(target)
        hosted = self.sessions.of(who.name)
        if hosted is not None and hosted.follows and hosted.line == controller.key:
            return controller.state(hosted.session.weights_version)
        known = hosted.versions if hosted is not None else {}
        return controller.state(known.get(controller.key, self.weights.current(controller.key)))

    def episodes(self, target: str = "") -> tuple[EpisodeRow, ...]:
        """Every episode of a target."""
        return self.desk.controller(target).episodes()

    def weights_versions(self, target: str = "") -> tuple[WeightsVersion, ...]:
        """Every weights version of a target."""
        return tuple(self.campaign.line(target).registry.versions())

    def steer(self, action: str, value: bool | int | str | None, who: Identity, target: str = "") -> None:
        """Train now, pause, cancel, choose a version, or say when promoted weights come into use."""
        controller = self.desk.controller(target)
        if action == "train":
            controller.train_now()
        elif action == "pause":
            controller.pause(bool(value))
        elif action == "cancel":
            controller.cancel()
        elif action == "rollback" and isinstance(value, int):
            controller.roll_back(value, who.name)
            self.sessions.follow(value, controller.key)
        elif action == "policy" and value in ("between cases", "at once"):
            controller.policy = "at once" if value == "at once" else "between cases"
            if value == "at once":
                self._promoted(controller.key, self.weights.current(controller.key))
            self.events.publish("learning", target=controller.key)
        else:
            raise InputError(f"The engine cannot {action!r} with {value!r}.")
