"""The list of cases: what can be opened, and where each case stands."""

from __future__ import annotations

from clopa_annotator.types import CaseState
from clopa_annotator.wire.messages import CaseRow
from CLoPAAnnotatorLib.scene.CaseSources import CaseSource
from CLoPAAnnotatorLib.scene.ParameterState import ParameterState

DONE = (CaseState.CONFIRMED, CaseState.SKIPPED)


class CaseList:
    """The scene's list of sources beside the engine's list of states."""

    def __init__(self, state: ParameterState) -> None:
        self._state = state
        self.rows: dict[str, CaseRow] = {}

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

    def nextAfter(self, caseId: str, identities: set[str]) -> CaseSource | None:
        """The next case after ``caseId``, around the list, that is not done nor in somebody else's hands."""
        sources = self._state.sources
        ids = [source.caseId for source in sources]
        start = ids.index(caseId) + 1 if caseId in ids else 0

        def isFree(source: CaseSource) -> bool:
            row = self.rows.get(source.caseId)
            taken = row is not None and row.owner not in identities
            return self.stateOf(source.caseId) not in DONE and source.caseId != caseId and not taken

        return next(filter(isFree, (*sources[start:], *sources[:start])), None)
