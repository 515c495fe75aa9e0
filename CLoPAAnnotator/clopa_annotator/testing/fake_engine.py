"""An engine in this process: deterministic, without a network, part of the public interface.

It answers within `poll`, after an optional scripted delay, so a user interface can be driven through every
state (waiting, stale answers, a lost engine) without a second process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from clopa_annotator import __version__
from clopa_annotator.client.calls import Call
from clopa_annotator.client.engine_client import EventListener
from clopa_annotator.errors import ClopaError, ConfigError, NoImage
from clopa_annotator.geometry import BoundsKji, bounding_box, union_box
from clopa_annotator.session.protocol import Session
from clopa_annotator.testing.fake_calls import ScriptedCalls
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_learning import LICENCE, MODEL_HASH
from clopa_annotator.testing.fake_session import FakeSession
from clopa_annotator.types import (
    CaseRef,
    CaseState,
    Confirmation,
    Image,
    MaskPrompt,
    Prompt,
    Proposal,
    WeightsVersion,
)
from clopa_annotator.wire.messages import (
    API_VERSION,
    Answer,
    CaseRow,
    CaseStatistics,
    Draft,
    EngineInfo,
    EpisodeRow,
    ExportFormat,
    LearningState,
    OpenedCase,
    SwapPolicy,
)

_KEPT = "The engine does not answer. Your confirmation is kept on this computer and delivered after Restart."


class FakeEngineClient(ScriptedCalls):
    """An `EngineClient` on a `FakeCampaign`."""

    def __init__(
        self, campaign: FakeCampaign | None = None, session: Session | None = None, annotator: str = "tester"
    ) -> None:
        """Start a client.

        Args:
            campaign: outlives the client; several clients may share it.
            session: who predicts; a `FakeSession` unless given.
            annotator: identity of the person.
        """
        super().__init__()
        self.campaign = campaign or FakeCampaign()
        self._session: Session = session or FakeSession()
        self._annotator = annotator
        self._spool: list[Confirmation] = []
        self._open: str | None = None
        self._undelivered: BoundsKji | None = None
        self._listeners: list[EventListener] = []
        self._heard = self.campaign.events.last_sequence
        self._closed = False

    # -- life ----------------------------------------------------------------------------------------------

    def poll(self, wait_s: float = 0.0) -> int:
        """Carry out what is due, advance a running episode by one step, deliver answers and events."""
        self._carry_out_due(wait_s)
        if not self.lost and not self._closed:
            self.campaign.learning.step()
            for event in self.campaign.events.since(self._heard):
                self._heard = event.sequence
                for listener in tuple(self._listeners):
                    self._calls.post(lambda listener=listener, event=event: listener(event))  # type: ignore[misc]
        return self._calls.poll()

    def listen(self, listener: EventListener) -> Callable[[], None]:
        """Have ``listener`` told every event from now on."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def close(self) -> None:
        """Give the open case back and stop."""
        if not self._closed:
            self._closed = True
            if self._open is not None and not self.lost:
                self.campaign.give_back(self._open)
            self._open = None
            self._drop_all()

    def connect(self) -> Call[EngineInfo]:
        """Say hello, and deliver what the spool kept."""
        return self._do("connect", self._hello)

    def _hello(self) -> EngineInfo:
        for confirmation in self._spool:
            self.campaign.confirm(confirmation)
        self._spool.clear()
        return EngineInfo(
            API_VERSION, __version__, "this process, no network", "fake", MODEL_HASH, LICENCE,
            self.campaign.name, self.campaign.size, self._session.supported, self._annotator,
        )  # fmt: skip

    # -- cases ---------------------------------------------------------------------------------------------

    def cases(self) -> Call[tuple[CaseRow, ...]]:
        """Every case."""
        return self._do("list the cases", lambda: tuple(c.row for c in self.campaign.cases.values()))

    def prefetch_case(self, case_id: str, image: Image, source: str = "") -> Call[CaseRow]:
        """Add a case without opening it."""
        return self._do("prepare the case", lambda: self._add(case_id, image, source), self.delay_s)

    def _add(self, case_id: str, image: Image, source: str) -> CaseRow:
        if case_id not in self.campaign.cases:
            FakeSession().set_image(image)
        return self.campaign.add(case_id, image, source).row

    def open_case(self, case_id: str, image: Image, source: str = "") -> Call[OpenedCase]:
        """Take a case and give its image to the session."""
        return self._do("open the case", lambda: self._open_now(case_id, image, source), self.delay_s)

    def _open_now(self, case_id: str, image: Image, source: str) -> OpenedCase:
        self._add(case_id, image, source)
        if self._open not in (None, case_id):
            self.campaign.give_back(str(self._open))
        case = self.campaign.take(case_id, self._annotator)
        self._open, self._undelivered = case_id, None
        self.campaign.learning.swap_if_waiting()
        self._use_current_weights()
        self._session.set_image(image)
        valid = [v for v in case.versions if not v.withdrawn]
        start = case.draft.mask if case.draft is not None else (valid[-1].mask if valid else None)
        proposal = self._session.proposal
        if start is not None and start.any():
            proposal = self._session.add_prompts((MaskPrompt(start),))
        answer = self._answer(proposal, bounding_box(proposal.mask))
        return OpenedCase(case.row, answer, case.draft, valid[-1].ref if valid else None)

    def _use_current_weights(self) -> None:
        if isinstance(self._session, FakeSession):
            self._session.version = self.campaign.learning.current

    def leave_case(self) -> Call[None]:
        """Give the open case back."""
        return self._do("leave the case", self._leave_now)

    def _leave_now(self) -> None:
        if self._open is not None:
            self.campaign.give_back(self._open)
            self._open = None
            self._session.close()

    def skip(self, case_id: str, reason: str) -> Call[CaseRow]:
        """Mark a case as skipped."""
        return self._set(case_id, CaseState.SKIPPED, reason)

    def reopen(self, case_id: str) -> Call[CaseRow]:
        """Put a case back to work."""
        return self._set(case_id, CaseState.IN_PROGRESS, "")

    def flag(self, case_id: str, reason: str) -> Call[CaseRow]:
        """Mark a case as needing another look."""
        return self._set(case_id, CaseState.NEEDS_REVIEW, reason)

    def _set(self, case_id: str, state: CaseState, note: str) -> Call[CaseRow]:
        return self._do(f"mark {case_id} as {state.value}",
                        lambda: self.campaign.set_state(case_id, state, note))  # fmt: skip

    def withdraw(self, case_id: str, reason: str) -> Call[CaseRow]:
        """Mark the newest confirmed version as withdrawn."""
        return self._do(f"withdraw {case_id}", lambda: self.campaign.withdraw(case_id, reason))

    # -- the open case -------------------------------------------------------------------------------------

    def add_prompts(self, prompts: Sequence[Prompt]) -> Call[Answer]:
        """Add prompts and predict once."""
        return self._predict("answer the prompt", lambda: self._session.add_prompts(tuple(prompts)))

    def undo(self) -> Call[Answer]:
        """Go back one step."""
        return self._predict("undo", self._session.undo)

    def redo(self) -> Call[Answer]:
        """Take an undo back."""
        return self._predict("redo", self._session.redo)

    def reset(self) -> Call[Answer]:
        """Forget all prompts."""
        return self._predict("start over", self._session.reset)

    def save_draft(self, draft: Draft) -> Call[None]:
        """Keep unconfirmed work."""
        return self._do("keep the draft", lambda: self.campaign.keep_draft(self._opened(), draft))

    def confirm(self, confirmation: Confirmation) -> Call[CaseRef]:
        """Store a decision."""
        if self.lost:
            self._spool.append(confirmation)
        return self._do("confirm", lambda: self.campaign.confirm(confirmation), self.delay_s, _KEPT)

    def _opened(self) -> str:
        if self._open is None:
            raise NoImage("No case is open; choose one from the list first.")
        return self._open

    def _answer(self, proposal: Proposal, changed: BoundsKji | None) -> Answer:
        shown = Proposal(
            proposal.mask, changed, self.campaign.learning.current, proposal.revision, proposal.seconds
        )
        session = self._session
        return Answer(shown, session.can_undo, session.can_redo, len(session.prompts))

    def _predict(self, name: str, work: Callable[[], Proposal]) -> Call[Answer]:
        call: Call[Answer] = self._calls.start(name)

        def carry_out() -> None:
            try:
                self._opened()
                self._use_current_weights()
                proposal = work()
            except ClopaError as error:
                call.fail(error)
                return
            changed = union_box(self._undelivered, proposal.changed_kji)
            self._undelivered = None if call.answer(self._answer(proposal, changed)) else changed

        self._schedule(call, carry_out, self.delay_s)
        return call

    # -- learning ------------------------------------------------------------------------------------------

    def learning(self) -> Call[LearningState]:
        """What is being learned now."""
        return self._do("tell what is being learned", self.campaign.learning.state)

    def episodes(self) -> Call[tuple[EpisodeRow, ...]]:
        """Every episode."""
        return self._do("list the episodes", lambda: tuple(self.campaign.learning.episodes))

    def weights(self) -> Call[tuple[WeightsVersion, ...]]:
        """Every weights version."""
        return self._do("list the weights", lambda: tuple(self.campaign.learning.versions))

    def statistics(self) -> Call[tuple[CaseStatistics, ...]]:
        """Every valid confirmation."""
        return self._do("read the statistics", self.campaign.statistics)

    def train_now(self) -> Call[LearningState]:
        """Start an episode."""
        return self._learn("start an episode", self.campaign.learning.start)

    def pause(self, paused: bool) -> Call[LearningState]:
        """Pause or resume learning."""
        return self._learn("pause learning", lambda: setattr(self.campaign.learning, "paused", paused))

    def cancel_episode(self) -> Call[LearningState]:
        """Stop the running episode."""
        return self._learn("cancel the episode", self.campaign.learning.cancel)

    def roll_back(self, version: int) -> Call[LearningState]:
        """Use an earlier version."""
        return self._learn("roll back", lambda: self.campaign.learning.roll_back(version))

    def set_swap_policy(self, policy: SwapPolicy) -> Call[LearningState]:
        """Say when promoted weights come into use."""
        return self._learn("change the setting", lambda: setattr(self.campaign.learning, "policy", policy))

    def _learn(self, name: str, work: Callable[[], None]) -> Call[LearningState]:
        def carry_out() -> LearningState:
            work()
            return self.campaign.learning.state()

        return self._do(name, carry_out)

    def export(self, format: ExportFormat, folder: str) -> Call[str]:
        """Write a list of the confirmed cases; a fake has nothing else to export."""
        return self._do(f"export {format}", lambda: self._export_now(folder))

    def _export_now(self, folder: str) -> str:
        target = Path(folder)
        if not target.is_dir():
            raise ConfigError(f"{folder} is not a folder; choose one that exists.")
        lines = (f"{s.case_id}\t{s.weights_version}\n" for s in self.campaign.statistics())
        (target / "confirmed.tsv").write_text("".join(lines), encoding="utf-8")
        return str(target)
