"""The targets of the open case as the list shows them: what each is called, and where it stands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol

from clopa_annotator.types import CaseState, Slot, Target
from clopa_annotator.wire.messages import SlotRow
from CLoPAAnnotatorLib.annotation.CaseList import CaseList
from CLoPAAnnotatorLib.annotation.SlotWork import SlotWork
from CLoPAAnnotatorLib.scene.SegmentLook import SegmentLook, colourOf, terminologyOf
from CLoPAAnnotatorLib.Texts import tr

TargetState = Literal[
    "open", "suggested", "draft", "confirmed", "not present", "skipped", "needs another look"
]
DECIDED: tuple[TargetState, ...] = ("confirmed", "not present", "skipped")
NOBODY = (Target(tr("target")),)


class Chosen(Protocol):
    """What is asked of the open case's session."""

    caseId: str

    @property
    def slot(self) -> Slot: ...

    @property
    def works(self) -> dict[Slot, SlotWork]: ...


@dataclass(frozen=True)
class TargetLine:
    """One line of the list.

    Attributes:
        slot: which target, and which of several of a kind.
        name: of the target, with a number where there may be several.
        colour: red, green, blue, 0 to 1.
        state: where it stands.
        version: weights version that its proposals are made with; None if that is not known yet.
        note: why it was skipped or flagged, or who has it open.
        isChosen: whether prompts go to it.
        isFree: whether there is something to do that nobody else has.
    """

    slot: Slot
    name: str
    colour: tuple[float, float, float]
    state: TargetState
    version: int | None
    note: str
    isChosen: bool
    isFree: bool


class TargetList:
    """The campaign's targets, the engine's rows for the open case, and what was done here since."""

    def __init__(self, session: Chosen, cases: CaseList) -> None:
        self._session, self._cases = session, cases
        self.targets: tuple[Target, ...] = NOBODY
        self.versions: dict[str, int] = {}
        self.identities: Collection[str] = ("",)

    @property
    def isSingle(self) -> bool:
        """Whether there is one mask per case: then nothing is said about targets."""
        return len(self.targets) == 1 and not self.targets[0].instances

    def target(self, key: str) -> Target:
        """The target of a key; one that was taken out meanwhile is called by its key."""
        for target in self.targets:
            if target.key == key:
                return target
        return Target(key or tr("target"), key)

    def nameOf(self, slot: Slot) -> str:
        """What a slot is called."""
        target = self.target(slot.target)
        return f"{target.name} {slot.instance}" if target.instances or slot.instance > 1 else target.name

    def slots(self) -> tuple[Slot, ...]:
        """The open case's slots: the engine's, every target's first, and those that were begun here."""
        row = self._cases.rows.get(self._session.caseId)
        order = [target.key for target in self.targets]
        known = {slot.slot for slot in row.slots} if row is not None else set()
        known |= {Slot(key) for key in order} | set(self._session.works) | {self._session.slot}
        found = [slot for slot in known if slot.target in order and self._isReal(slot)]
        return tuple(sorted(found, key=lambda slot: (order.index(slot.target), slot.instance)))

    def _isReal(self, slot: Slot) -> bool:
        """Whether there is more to one of several of a kind than that it was once chosen."""
        if slot.instance == 1 or slot == self._session.slot:
            return True
        row, work = self._rows().get(slot), self._session.works.get(slot)
        isKept = row is not None and (row.has_draft or row.versions > 0 or row.note != "")
        return isKept or (work is not None and work.isTouched)

    def _rows(self) -> dict[Slot, SlotRow]:
        row = self._cases.rows.get(self._session.caseId)
        return {slot.slot: slot for slot in row.slots} if row is not None else {}

    def _stateOf(self, slot: Slot, row: SlotRow | None) -> TargetState:
        work = self._session.works.get(slot)
        if work is not None and work.isSuggestionShown:
            return "suggested"
        if work is not None and work.isBegun:
            return "draft"
        if row is None:
            return "confirmed" if work is not None and work.decision.isConfirmed else "open"
        if row.has_draft:
            return "suggested" if row.is_suggestion else "draft"
        if row.suggestion is not None and (work is None or not work.isShown):
            return "suggested"
        if row.state is CaseState.CONFIRMED:
            return "not present" if row.is_absent else "confirmed"
        return {CaseState.SKIPPED: "skipped", CaseState.NEEDS_REVIEW: "needs another look"}.get(
            row.state, "open"
        )

    def lines(self) -> tuple[TargetLine, ...]:
        """Every slot of the open case, in the campaign's order."""
        rows = self._rows()
        return tuple(self._line(slot, rows.get(slot)) for slot in self.slots())

    def _line(self, slot: Slot, row: SlotRow | None) -> TargetLine:
        work, state = self._session.works.get(slot), self._stateOf(slot, row)
        isShown = work is not None and work.isShown
        version = work.weightsVersion if isShown else self.versions.get(slot.target)
        isTaken = row is not None and row.owner not in self.identities
        note = row.note if row is not None else ""
        if isTaken:
            note = tr("open at {owner}").format(owner=row.owner)
        isKnown = row is not None or slot.instance == 1 or state != "open"
        isFree = isKnown and not isTaken and state not in DECIDED
        colour = colourOf(self.target(slot.target), slot.instance, isOnly=self.isSingle)
        isChosen = slot == self._session.slot
        return TargetLine(slot, self.nameOf(slot), colour, state, version, note, isChosen, isFree)

    def nextOpen(self) -> Slot | None:
        """The next slot after the chosen one, around the list, with something to do; None if all are done."""
        lines = self.lines()
        at = next((n for n, line in enumerate(lines) if line.isChosen), -1)
        return next((line.slot for line in (*lines[at + 1 :], *lines[:at]) if line.isFree), None)

    def another(self) -> Slot:
        """One more of the chosen kind: the first that nothing was done to, or a new one."""
        key = self._session.slot.target
        lines = [line for line in self.lines() if line.slot.target == key]
        unused = [line.slot for line in lines if line.state == "open" and not line.isChosen]
        return unused[0] if unused else Slot(key, max(line.slot.instance for line in lines) + 1)

    def looks(self) -> dict[Slot, SegmentLook]:
        """How each slot's segment is drawn."""
        found = {}
        for line in self.lines():
            isConfirmed = line.state == "confirmed"
            name = (tr("Confirmed") if isConfirmed else tr("Proposal")) if self.isSingle else line.name
            look = SegmentLook(name, line.colour, terminologyOf(self.target(line.slot.target)))
            work = self._session.works.get(line.slot)
            isSuggestion = work is not None and work.isSuggestionShown
            if isSuggestion:
                word = tr("Suggestion")
                look = look.suggested(word if self.isSingle else f"{line.name} ({word.lower()})")
            found[line.slot] = look
        return found

    def confirmed(self) -> set[Slot]:
        """The slots that are confirmed as they are seen."""
        return {line.slot for line in self.lines() if line.state == "confirmed"}
