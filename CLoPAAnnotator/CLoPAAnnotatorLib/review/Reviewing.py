"""A second person's round through what is confirmed: what is looked at, what is said of it, what is next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from clopa_annotator.client.engine_client import EngineClient
from clopa_annotator.errors import ClopaError, InputError, NoImage, ReviewConflict
from clopa_annotator.types import Slot
from clopa_annotator.types.review import Comparison, Lps, PairAgreement, ReviewFilter, ReviewRow, Verdict
from CLoPAAnnotatorLib.annotation.AnnotationSession import AnnotationSession
from CLoPAAnnotatorLib.Texts import Mood, tr


class Around(Protocol):
    """What is asked of the workspace."""

    session: AnnotationSession

    @property
    def isConnected(self) -> bool: ...

    def openCase(self, caseId: str, slot: Slot | None = None) -> None: ...

    def say(self, sentence: str, mood: Mood) -> None: ...

    def attempt(self, action: Callable[[], object]) -> None: ...


class Reviewing:
    """The rows that the filter shows, the one that is looked at, and the verdict on it.

    Attributes:
        rows: what the filter shows, as the engine last told.
        chosen: the filter.
        current: the row that was opened to be judged; None if none was.
        agreement: how well people agree who annotated the same cases, as the engine last told.
        place: where the reviewer wants the annotator to look, in the image's own LPS; None if nowhere.
        onChange: called after every change.
    """

    def __init__(self, around: Around, client: Callable[[], EngineClient | None]) -> None:
        self._around, self._client = around, client
        self.rows: tuple[ReviewRow, ...] = ()
        self.chosen = ReviewFilter(verdict=Verdict.NONE)
        self.current: ReviewRow | None = None
        self.place: Lps | None = None
        self.agreement: tuple[PairAgreement, ...] = ()
        self.onChange: list[Callable[[], object]] = []
        self._asked = 0

    # -- the list ------------------------------------------------------------------------------------------

    def choose(self, chosen: ReviewFilter) -> None:
        """Show other rows."""
        self.chosen = chosen
        self.refresh()

    def refresh(self, then: Callable[[], object] | None = None) -> None:
        """Ask the engine; an answer that a later question has overtaken is dropped."""
        client = self._client()
        if client is None or not self._around.isConnected:
            self.rows = ()
            self._tell()
            return
        self._asked += 1
        number = self._asked

        def got(rows: tuple[ReviewRow, ...]) -> None:
            if number == self._asked:
                self.rows = rows
                self._tell()
                if then is not None:
                    then()

        client.reviews(self.chosen).then(got, lambda error: self._around.say(str(error), "error"))

    def askAgreement(self) -> None:
        """Ask how well people agree who annotated the same cases; nothing is said to who may not know."""
        client = self._client()
        if client is not None and self._around.isConnected:
            client.agreement().then(self._agree, lambda error: self._around.say(str(error), "error"))

    def _agree(self, pairs: tuple[PairAgreement, ...]) -> None:
        self.agreement = pairs
        self._tell()

    def _tell(self) -> None:
        for listener in tuple(self.onChange):
            listener()

    # -- going through it ----------------------------------------------------------------------------------

    @property
    def isLooking(self) -> bool:
        """Whether the open case and target are those that were opened to be judged."""
        session, row = self._around.session, self.current
        return (
            row is not None and session.isOpen and (session.caseId, session.slot) == (row.case_id, row.slot)
        )

    def open(self, row: ReviewRow) -> None:
        """Look at a row; raises `NoImage` if its image is not in the list of cases."""
        self._around.openCase(row.case_id, row.slot)
        self.current, self.place = row, None
        self._tell()

    def go(self, step: int) -> None:
        """Look at the next row (1) or the one before (-1), around the list."""
        if not self.rows:
            self._around.say(tr("Nothing in the list waits for a review."), "calm")
            return
        self.open(self.rows[(self._at() + step) % len(self.rows)])

    def _at(self) -> int:
        """Where the current row is in the list; before the first if it is not there."""
        now = None if self.current is None else (self.current.case_id, self.current.slot)
        return next((n for n, row in enumerate(self.rows) if (row.case_id, row.slot) == now), -1)

    # -- the verdict ---------------------------------------------------------------------------------------

    def accept(self, comment: str = "") -> None:
        """Accept what is looked at, and go on to the next."""
        row, client = self._judged()
        call = client.accept(row.case_id, row.slot, row.seen, comment)
        call.then(self._decided, self._refused)

    def sendBack(self, comment: str) -> None:
        """Return what is looked at, with the comment and the marked place, and go on to the next."""
        row, client = self._judged()
        if not comment.strip():
            raise InputError(tr("Type what has to be mended, then return it."))
        call = client.send_back(row.case_id, comment.strip(), row.slot, row.seen, self.place)
        call.then(self._decided, self._refused)

    def _judged(self) -> tuple[ReviewRow, EngineClient]:
        client = self._client()
        if self.current is None or client is None or not self.isLooking:
            raise NoImage(tr("Open a case in the list of section 6 first; then judge it."))
        if self._around.session.work.isBegun:
            raise InputError(
                tr("You have changed this mask. Undo that to judge what was confirmed, or confirm your own.")
            )
        return self.current, client

    def _decided(self, row: ReviewRow) -> None:
        said = tr("Accepted: {case}, version {v}.")
        if row.verdict is Verdict.RETURNED:
            said = tr("Returned: {case}, version {v}. It does not train until it is confirmed anew.")
        sentence = said.format(case=row.case_id, v=row.case_version)
        at = self._at()
        self.current, self.place = row, None

        def goOn() -> None:
            left = [r for r in self.rows if r.verdict is Verdict.NONE]
            following = [r for r in left if self.rows.index(r) >= at] or left
            if following:
                self._around.attempt(lambda: self.open(following[0]))
                self._around.say(sentence, "good")
            else:
                self._around.say(sentence + " " + tr("Nothing else waits."), "good")

        self._around.say(sentence, "good")
        self.refresh(goOn)

    def _refused(self, error: ClopaError) -> None:
        self._around.say(str(error), "warning" if isinstance(error, ReviewConflict) else "error")
        self.refresh()

    def compare(self, done: Callable[[Comparison], object]) -> None:
        """What the version looked at can be held against."""
        row, client = self.current, self._client()
        if row is None or client is None or not self.isLooking:
            raise NoImage(tr("Open a case in the list of section 6 first; then compare."))

        def got(found: Comparison) -> None:
            if self.isLooking and self.current is row:
                done(found)

        client.compare(row.case_id, row.slot).then(got, lambda e: self._around.say(str(e), "error"))
