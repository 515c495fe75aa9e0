"""The messages between a user interface and an engine: frozen values, without behaviour.

Arrays are (k, j, i). Instants are ISO 8601 strings in UTC, for people.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clopa_annotator.case_order import CaseSettings, mean_certainty
from clopa_annotator.types import (
    CaseRef,
    CaseState,
    Imported,
    Mask,
    PromptKind,
    Proposal,
    Slot,
    SuggestionUse,
    Target,
    TimedPrompt,
)
from clopa_annotator.types.review import ReviewRow, Verdict
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.suggestion_messages import Suggested, SuggestionMark

API_VERSION = 2
"""Raised with every change after which an older client could misread an engine."""


@dataclass(frozen=True)
class EngineInfo:
    """Who answers.

    Attributes:
        api_version: see `API_VERSION`.
        code_version: version of the engine's package.
        device: in words, for instance "CPU, 8 threads" or "NVIDIA RTX A5000".
        model_name: name of the model folder.
        model_hash: SHA-256 of the base weights.
        licence: first line of the base weights' licence.
        campaign: name of the campaign.
        campaign_size: how many cases the campaign is planned to have.
        supported: kinds of prompt that the model takes.
        annotator: identity that the token stands for; empty if the engine leaves it to the client.
        is_owner: whether the token may roll back, train and change settings.
        campaign_id: tells campaigns apart, whatever their names; empty if the engine does not say.
        free_places: how many more images it can hold open; None if the engine does not say.
        targets: what the campaign segments, in order; never empty.
        cases: in which order cases come, and which of them without a suggestion.
        may_review: whether the token may accept and return what others confirmed.
    """

    api_version: int
    code_version: str
    device: str
    model_name: str
    model_hash: str
    licence: str
    campaign: str
    campaign_size: int
    supported: frozenset[PromptKind] = frozenset(PromptKind)
    annotator: str = ""
    is_owner: bool = True
    campaign_id: str = ""
    free_places: int | None = None
    targets: tuple[Target, ...] = (Target("target"),)
    cases: CaseSettings = field(default_factory=CaseSettings)
    may_review: bool = True


@dataclass(frozen=True)
class SlotRow:
    """One target of one case (or one of several of a kind), as the list of targets shows it.

    Attributes:
        slot: which target, and which of several of a kind.
        state: where it stands; `CaseState.CONFIRMED` with ``is_absent`` is "not present in this image".
        versions: number of confirmed versions, withdrawn ones included.
        owner: who holds it open; empty if nobody does.
        has_draft: whether unconfirmed work is kept.
        is_suggestion: the draft is a mask that nobody has worked on yet.
        is_absent: the confirmed mask is empty: the image holds no such target.
        note: why it was skipped, withdrawn, returned or flagged; empty otherwise.
        suggestion: what the model suggests, if nobody has begun and there is something to show.
        annotator: who made the current confirmation; empty if there is none.
        confirmed_at: its ISO 8601 instant; empty if there is none.
        verdict: what a second person decided about the newest version.
    """

    slot: Slot
    state: CaseState = CaseState.TODO
    versions: int = 0
    owner: str = ""
    has_draft: bool = False
    is_suggestion: bool = False
    is_absent: bool = False
    note: str = ""
    annotator: str = ""
    confirmed_at: str = ""
    suggestion: SuggestionMark | None = None
    verdict: Verdict = Verdict.NONE

    @property
    def is_decided(self) -> bool:
        """Whether nothing is left to do."""
        return self.state in (CaseState.CONFIRMED, CaseState.SKIPPED)

    @property
    def certainty(self) -> float | None:
        """How sure the model is of its suggestion, see `case_order.in_order`; None without one."""
        return None if self.suggestion is None else self.suggestion.score


@dataclass(frozen=True)
class CaseRow:
    """One case of the campaign, as a list shows it.

    Attributes:
        case_id: name of the case.
        state: where it stands.
        versions: number of confirmed versions, withdrawn ones included.
        owner: who holds it open; empty if nobody does.
        has_draft: whether unconfirmed work is kept.
        note: why it was skipped, withdrawn or flagged; empty otherwise.
        source: where the image came from, as given when it was added; empty if unknown.
        slots: its targets in the campaign's order, instances of one kind in theirs; a target of several of a
            kind has at least its first. ``state`` sums them up: decided only if every one is.
    """

    case_id: str
    state: CaseState
    versions: int = 0
    owner: str = ""
    has_draft: bool = False
    note: str = ""
    source: str = ""
    slots: tuple[SlotRow, ...] = ()

    @property
    def decided(self) -> int:
        """Number of slots with nothing left to do."""
        return sum(row.is_decided for row in self.slots)

    @property
    def certainty(self) -> float:
        """How sure the model is of the suggestions for what is left to do; NaN without any."""
        left = (row.certainty for row in self.slots if not row.is_decided)
        return mean_certainty([score for score in left if score is not None])


@dataclass(frozen=True, eq=False)
class Draft:
    """Unconfirmed work on a case.

    Attributes:
        mask: (k, j, i) mask on the image's grid.
        prompts: what was given so far, in order; regions included.
        seconds_active: time spent on the case without the pauses.
        imported: where the mask came from, if it is a suggestion that nobody has worked on yet.
        suggestion: what was made of the model's suggestion so far.
    """

    mask: Mask
    prompts: tuple[TimedPrompt, ...] = ()
    seconds_active: float = 0.0
    imported: Imported | None = None
    suggestion: SuggestionUse = SuggestionUse.NONE


@dataclass(frozen=True, eq=False)
class Answer:
    """A proposal, and what can be done next.

    Attributes:
        proposal: its ``mask`` may be the client's own buffer: read-only, valid until the next poll; copy
            what has to stay. Only ``changed_kji`` differs from the answer delivered before.
        can_undo: whether there is an earlier state.
        can_redo: whether there is an undone state.
        prompt_count: prompts behind the proposal.
    """

    proposal: Proposal
    can_undo: bool
    can_redo: bool
    prompt_count: int


@dataclass(frozen=True, eq=False)
class OpenedCase:
    """A case that is ready for prompts.

    Attributes:
        row: the case as it stands now; its state is `CaseState.IN_PROGRESS` or what it was.
        answer: the session's state. With a draft the proposal is the draft's mask; without one, but with a
            confirmed version, it is that version's mask, or that of a returned one; else it is empty.
            ``changed_kji`` is the mask's bounding box.
        draft: what was restored, or None.
        confirmed: the newest confirmed version that is not withdrawn, or None.
        slot: which target the prompts go to, and which of several of a kind.
        others: the other targets' masks as they are kept, confirmed or drafted, without those that are empty.
        suggestion: what the model suggests for the slot, if nobody has begun it; the session does not know of
            it: who takes it as a start gives it as a `MaskPrompt`.
        returned: what the reviewer said of the newest version, if it was returned and not confirmed anew.
        is_withheld: there is a suggestion, and the campaign does not show it for this slot.
    """

    row: CaseRow
    answer: Answer
    draft: Draft | None = None
    confirmed: CaseRef | None = None
    slot: Slot = FIRST
    others: tuple[tuple[Slot, Mask], ...] = ()
    suggestion: Suggested | None = None
    returned: ReviewRow | None = None
    is_withheld: bool = False


@dataclass(frozen=True)
class CaseStatistics:
    """What one confirmation cost, for the lead's plots; in order of ``sequence``.

    Attributes:
        case_id: name of the case.
        sequence: campaign-wide number of the confirmation.
        weights_version: version in use when it was confirmed.
        first_shown_dice: Dice of the first proposal against the confirmed mask; None if none was shown, and
            for a correction: weights may have learned from the case by then. Of a case whose suggestion was
            shown, the suggestion's.
        prompts: number of prompts given.
        seconds_active: time spent.
        annotator: who confirmed.
        slot: which target it is of, and which of several of a kind.
        suggestion: what was made of the model's suggestion; figures of different uses are different figures.
        suggestion_dice: Dice of the suggestion with what was confirmed, shown or not; None without one.
    """

    case_id: str
    sequence: int
    weights_version: int
    first_shown_dice: float | None
    prompts: int
    seconds_active: float
    annotator: str = ""
    slot: Slot = FIRST
    suggestion: SuggestionUse = SuggestionUse.NONE
    suggestion_dice: float | None = None
