"""The list of cases: what can be opened, and where each case stands."""

from __future__ import annotations

from dataclasses import replace

from clopa_annotator.case_order import BY_CERTAINTY, CaseSettings
from clopa_annotator.types import CaseRef, CaseState
from clopa_annotator.types.review import Verdict
from clopa_annotator.wire.messages import CaseRow
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.scene.ParameterState import ParameterState

DONE = (CaseState.CONFIRMED, CaseState.SKIPPED)


class CaseList:
    """The scene's list of sources beside the engine's list of states."""

    def __init__(self, state: ParameterState) -> None:
        self._state = state
        self.rows: dict[str, CaseRow] = {}
        self.settings = CaseSettings()
        self._opened: dict[str, int] = {}

    def add(self, sources: tuple[CaseSource, ...]) -> int:
        """List more cases; returns how many are new."""
        known = {source.caseId for source in self._state.sources}
        new = tuple(source for source in sources if source.caseId not in known)
        self._state.sources = (*self._state.sources, *new)
        return len(new)

    def stateOf(self, caseId: str) -> CaseState:
        """Where a case stands; to do if the engine has not seen it."""
        row = self.rows.get(caseId)
        return row.state if row is not None else CaseState.TODO

    def verdictOn(self, caseId: str) -> str:
        """ "accepted" or "returned" in place of where a case stands; empty if no reviewer has decided it."""
        row = self.rows.get(caseId)
        verdicts = [slot.verdict for slot in row.slots if slot.state is not CaseState.SKIPPED] if row else []
        if Verdict.RETURNED in verdicts and self.stateOf(caseId) is CaseState.NEEDS_REVIEW:
            return Verdict.RETURNED.value
        isAccepted = bool(verdicts) and all(verdict is Verdict.ACCEPTED for verdict in verdicts)
        return Verdict.ACCEPTED.value if isAccepted else ""

    def confirmed(self, ref: CaseRef, *, isAbsent: bool) -> None:
        """A slot was confirmed: show it before the engine is asked for the rows."""
        row = self.rows.get(ref.case_id)
        if row is not None:
            slots = tuple(
                replace(slot, state=CaseState.CONFIRMED, versions=slot.versions + 1, has_draft=False,
                        is_suggestion=False, is_absent=isAbsent, note="",
                        verdict=Verdict.NONE) if slot.slot == ref.slot else slot
                for slot in row.slots
            )  # fmt: skip
            isDone = all(slot.is_decided for slot in slots)
            state = CaseState.CONFIRMED if isDone else CaseState.IN_PROGRESS
            self.rows[ref.case_id] = replace(row, slots=slots, state=state)

    def unknown(self, tried: set[str]) -> CaseSource | None:
        """A case whose image the engine needs for the order and was not given; None if there is none."""
        if self.settings.order not in BY_CERTAINTY:
            return None
        left = (s for s in self._state.sources if s.path is not None and s.caseId not in tried)
        return next((source for source in left if source.caseId not in self.rows), None)

    def opened(self, caseId: str) -> None:
        """A case was opened in this sitting."""
        self._opened[caseId] = max(self._opened.values(), default=0) + 1

    def nextAfter(self, caseId: str, identities: set[str]) -> CaseSource | None:
        """The next case after ``caseId`` with something to do that nobody else has, in the campaign's order.

        As added and at random it goes round. By certainty the first of what is left comes next; what was
        opened in this sitting and left undecided comes again after the others.
        """
        known = {source.caseId: source for source in self._state.sources}
        bySureness = self.settings.order in BY_CERTAINTY
        sure = {name: row.certainty for name, row in self.rows.items()} if bySureness else {}
        ids = self.settings.arrange(list(known), sure)
        start = ids.index(caseId) + 1 if caseId in known else 0
        if bySureness:
            ids, start = sorted(ids, key=lambda name: self._opened.get(name, 0)), 0

        def isFree(source: CaseSource) -> bool:
            row = self.rows.get(source.caseId)
            if row is None or self.stateOf(source.caseId) in DONE or source.caseId == caseId:
                return row is None and source.caseId != caseId
            if row.slots:
                return any(slot.owner in identities for slot in row.slots if not slot.is_decided)
            return row.owner in identities

        return next(filter(isFree, (known[name] for name in (*ids[start:], *ids[:start]))), None)
