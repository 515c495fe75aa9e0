"""An engine in this process: deterministic, without a network, part of the public interface.

It answers within `poll`, after an optional scripted delay, so a user interface can be driven through every
state (waiting, stale answers, a lost engine) without a second process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clopa_annotator import __version__
from clopa_annotator.case_order import CaseSettings
from clopa_annotator.client.calls import Call
from clopa_annotator.client.engine_client import EventListener
from clopa_annotator.errors import ClopaError, NoImage
from clopa_annotator.geometry import BoundsKji, bounding_box, union_box
from clopa_annotator.session.exclusion import Exclusion, union_of
from clopa_annotator.session.protocol import Session
from clopa_annotator.testing.fake_campaign import FakeCampaign
from clopa_annotator.testing.fake_learning import LICENCE, MODEL_HASH
from clopa_annotator.testing.fake_review import returned_row
from clopa_annotator.testing.fake_session import FakeSession
from clopa_annotator.testing.fake_steering import FakeSteering
from clopa_annotator.types import (
    CaseRef,
    CaseState,
    Confirmation,
    Image,
    MaskPrompt,
    Prompt,
    Proposal,
    Slot,
    Targets,
)
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.messages import API_VERSION, Answer, CaseRow, Draft, EngineInfo, OpenedCase

_KEPT = "The engine does not answer. Your confirmation is kept on this computer and delivered after Restart."


class FakeEngineClient(FakeSteering):
    """An `EngineClient` on a `FakeCampaign`."""

    def __init__(
        self, campaign: FakeCampaign | None = None, session: Session | None = None, annotator: str = "tester"
    ) -> None:
        """Start a client.

        Args:
            campaign: outlives the client; several clients may share it.
            session: who predicts for the target that is chosen first; a `FakeSession` unless given.
            annotator: identity of the person.
        """
        super().__init__()
        self.campaign = campaign or FakeCampaign()
        self._first_session: Session = session or FakeSession()
        self._annotator = annotator
        self._kept: list[Confirmation] = []
        self._make_session: Callable[[], Session] = FakeSession
        self._works: dict[Slot, tuple[Session, Exclusion]] = {}
        self._slot = FIRST
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
            self.campaign.step()
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
                self.campaign.give_back(self._open, self._slot)
            self._open = None
            self._drop_all()

    def connect(self) -> Call[EngineInfo]:
        """Say hello, and deliver what was kept."""
        return self._do("connect", self._hello)

    def _hello(self) -> EngineInfo:
        for confirmation in self._kept:
            self.campaign.confirm(confirmation)
        self._kept.clear()
        return EngineInfo(
            API_VERSION, __version__, "this process, no network", "fake", MODEL_HASH, LICENCE,
            self.campaign.name, self.campaign.size, self._first_session.supported, self._annotator,
            targets=tuple(self.campaign.targets), cases=self.campaign.case_settings,
        )  # fmt: skip

    def set_targets(self, targets: Targets) -> Call[EngineInfo]:
        """Say what the campaign segments."""
        return self._change("change the targets", lambda: self.campaign.set_targets(targets))

    def set_case_settings(self, settings: CaseSettings) -> Call[EngineInfo]:
        """Say how cases come to annotators."""
        return self._change("change how cases come", lambda: self.campaign.set_case_settings(settings))

    def _change(self, name: str, work: Callable[[], None]) -> Call[EngineInfo]:
        def carry_out() -> EngineInfo:
            work()
            return self._hello()

        return self._do(name, carry_out)

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

    def open_case(
        self, case_id: str, image: Image, source: str = "", slot: Slot | None = None
    ) -> Call[OpenedCase]:
        """Take a case and give its image to the session."""
        return self._do("open the case", lambda: self._open_now(case_id, image, source, slot), self.delay_s)

    def _open_now(self, case_id: str, image: Image, source: str, slot: Slot | None) -> OpenedCase:
        self._add(case_id, image, source)
        case = self.campaign.case(case_id)
        wanted = case.first_open(self._annotator) if slot is None else slot
        case.targets.of(wanted)
        if self._open not in (None, case_id):
            self.campaign.give_back(str(self._open), self._slot)
        self.campaign.take(case_id, self._annotator, wanted)
        if self._open == case_id and self._slot != wanted:
            self.campaign.give_back(case_id, self._slot)
        self._open, self._works = case_id, {}
        for target in self.campaign.targets:
            self.campaign.line(target.key).swap_if_waiting()
        return self._work_on(wanted)

    def choose(self, slot: Slot) -> Call[OpenedCase]:
        """Have prompts go to another target of the open case."""
        return self._do("choose the target", lambda: self._choose_now(slot), self.delay_s)

    def _choose_now(self, slot: Slot) -> OpenedCase:
        case_id, before = self._opened(), self._slot
        self.campaign.take(case_id, self._annotator, slot)
        if slot != before:
            self.campaign.give_back(case_id, before)
        return self._work_on(slot)

    def _work_on(self, slot: Slot) -> OpenedCase:
        """Go on with a slot of the open case, or begin with what is kept of it."""
        case = self.campaign.case(self._opened())
        work = case.slot(slot)
        known = self._works.get(slot)
        if known is None or work.last_owner != self._annotator:
            session = known[0] if known else self._first_session if not self._works else self._make_session()
            known = self._works[slot] = (session, Exclusion())
            self._slot = slot
            self._use_current_weights()
            session.set_image(case.image)
            start = work.start
            if start is not None and start.any():
                session.add_prompts((MaskPrompt(start),))
        work.last_owner = self._annotator
        self._slot, self._undelivered = slot, None
        known[1].set(union_of(case.taken_by_others(slot)))
        proposal = known[1].cut(known[0].proposal)
        answer = self._answer(proposal, bounding_box(proposal.mask))
        ref, others = work.newest.ref if work.newest else None, case.others(slot)
        suggested, hidden = self.campaign.suggestions.shown(case, slot)
        told = returned_row(self.campaign, case.case_id, slot)
        return OpenedCase(case.row, answer, work.draft, ref, slot, others, suggested, told, hidden)

    @property
    def _session(self) -> Session:
        return self._works[self._slot][0] if self._works else self._first_session

    def _use_current_weights(self) -> None:
        session = self._session
        if isinstance(session, FakeSession):
            session.version = self.campaign.line(self._slot.target).current

    def leave_case(self) -> Call[None]:
        """Give the open case back."""
        return self._do("leave the case", self._leave_now)

    def _leave_now(self) -> None:
        if self._open is not None:
            self.campaign.give_back(self._open, self._slot)
            self._open = None
            for session, _ in self._works.values():
                session.close()
            self._works = {}

    def skip(self, case_id: str, reason: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Mark a target of a case as skipped."""
        return self._set(case_id, CaseState.SKIPPED, reason, slot)

    def reopen(self, case_id: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Put a target of a case back to work."""
        return self._set(case_id, CaseState.IN_PROGRESS, "", slot)

    def flag(self, case_id: str, reason: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Mark a target of a case as needing another look."""
        return self._set(case_id, CaseState.NEEDS_REVIEW, reason, slot)

    def _set(self, case_id: str, state: CaseState, note: str, slot: Slot) -> Call[CaseRow]:
        return self._do(f"mark {case_id} as {state.value}",
                        lambda: self.campaign.set_state(case_id, state, note, slot))  # fmt: skip

    def withdraw(self, case_id: str, reason: str, slot: Slot = FIRST) -> Call[CaseRow]:
        """Mark the newest confirmed version as withdrawn."""
        return self._do(f"withdraw {case_id}", lambda: self.campaign.withdraw(case_id, reason, slot))

    # -- the open case -------------------------------------------------------------------------------------

    def add_prompts(self, prompts: Sequence[Prompt]) -> Call[Answer]:
        """Add prompts and predict once."""
        return self._predict("answer the prompt", lambda session: session.add_prompts(tuple(prompts)))

    def undo(self) -> Call[Answer]:
        """Go back one step."""
        return self._predict("undo", lambda session: session.undo())

    def redo(self) -> Call[Answer]:
        """Take an undo back."""
        return self._predict("redo", lambda session: session.redo())

    def reset(self) -> Call[Answer]:
        """Forget all prompts."""
        return self._predict("start over", lambda session: session.reset())

    def save_draft(self, draft: Draft, slot: Slot | None = None) -> Call[None]:
        """Keep unconfirmed work."""
        return self._do(
            "keep the draft",
            lambda: self.campaign.keep_draft(self._opened(), draft, self._slot if slot is None else slot),
        )

    def confirm(self, confirmation: Confirmation) -> Call[CaseRef]:
        """Store a decision."""
        if self.lost:
            self._kept.append(confirmation)
        return self._do("confirm", lambda: self.campaign.confirm(confirmation), self.delay_s, _KEPT)

    def _opened(self) -> str:
        if self._open is None:
            raise NoImage("No case is open; choose one from the list first.")
        return self._open

    def _answer(self, proposal: Proposal, changed: BoundsKji | None) -> Answer:
        shown = Proposal(
            proposal.mask,
            changed,
            self.campaign.line(self._slot.target).current,
            proposal.revision,
            proposal.seconds,
        )
        session = self._session
        return Answer(shown, session.can_undo, session.can_redo, len(session.prompts))

    def _predict(self, name: str, work: Callable[[Session], Proposal]) -> Call[Answer]:
        call: Call[Answer] = self._calls.start(name)

        def carry_out() -> None:
            try:
                case = self.campaign.case(self._opened())
                self._use_current_weights()
                session, exclusion = self._works[self._slot]
                exclusion.set(union_of(case.taken_by_others(self._slot)))
                proposal = exclusion.cut(work(session))
            except ClopaError as error:
                call.fail(error)
                return
            changed = union_box(self._undelivered, proposal.changed_kji)
            self._undelivered = None if call.answer(self._answer(proposal, changed)) else changed

        self._schedule(call, carry_out, self.delay_s)
        return call
