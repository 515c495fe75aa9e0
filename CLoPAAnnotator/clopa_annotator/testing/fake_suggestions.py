"""Suggestions of the in-process engine: put there by a test, or made one at a time while a client polls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from clopa_annotator.errors import ClopaError
from clopa_annotator.events import EventLog
from clopa_annotator.session.exclusion import union_of
from clopa_annotator.testing.fake_cases import FakeCase
from clopa_annotator.testing.fake_suggester import FakeSuggester
from clopa_annotator.types import Mask, Slot
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.suggestion_messages import (
    Suggested,
    SuggestionMark,
    SuggestionPhase,
    SuggestionState,
)


@dataclass
class FakeSuggestions:
    """Like `campaign.idle.suggestion_desk`, without a thread.

    Attributes:
        events: told what happens.
        version_of: the weights version in use of a target.
        withholds: whether the suggestion for a slot is not to be shown.
        makes: whether suggestions for the next cases are made without being asked for.
        is_on: the campaign's setting.
        held: while true, none is made, as while an episode trains.
        all_wanted: whether all open cases are to have one.
        failing: case and reason: what is passed over.
    """

    events: EventLog
    version_of: Callable[[str], int]
    withholds: Callable[[str, Slot], bool] = lambda _case_id, _slot: False
    makes: bool = False
    is_on: bool = True
    held: bool = False
    all_wanted: bool = False
    failing: dict[str, str] = field(default_factory=dict)
    _made: dict[tuple[str, Slot], Suggested] = field(default_factory=dict)
    _over: dict[str, str] = field(default_factory=dict)
    _total: int = 0
    _left: int = 0

    def put(self, case_id: str, mask: Mask, mark: SuggestionMark, slot: Slot = FIRST) -> None:
        """Have a suggestion ready."""
        kept = mask.copy()
        kept.flags.writeable = False
        self._made[case_id, slot] = Suggested(kept, mark)
        self.events.publish("suggested", case_id=case_id, target=slot.target, instance=slot.instance)

    def of(self, case: FakeCase, slot: Slot) -> Suggested | None:
        """What is suggested for a target that nobody has begun."""
        made, work = self._made.get((case.case_id, slot)), case.slot(slot)
        in_use = made is not None and made.mark.version == self.version_of(slot.target)
        if made is None or not (self.is_on and in_use) or work.versions or work.draft:
            return None
        taken = union_of(case.taken_by_others(slot))
        return made if taken is None else replace(made, mask=np.where(taken, np.uint8(0), made.mask))

    def shown(self, case: FakeCase, slot: Slot) -> tuple[Suggested | None, bool]:
        """What is shown when a case is opened, and whether something is withheld."""
        found = self.of(case, slot)
        is_withheld = found is not None and self.withholds(case.case_id, slot)
        return None if is_withheld else found, is_withheld

    def quality(self, case: FakeCase, slot: Slot, mask: Mask) -> float | None:
        """Dice of the suggestion with what is confirmed; None without one."""
        found = self._made.get((case.case_id, slot))
        if found is None:
            return None
        total = int(np.count_nonzero(mask)) + int(np.count_nonzero(found.mask))
        return 2 * int(np.count_nonzero(mask & found.mask)) / total if total else 1.0

    def want_all(self, cases: Iterable[FakeCase]) -> SuggestionState:
        """Suggest for every open case."""
        known = list(cases)
        self._over.clear()
        self._total = self._left = len(self._todo(known))
        self.all_wanted = self._left > 0
        self.events.publish("suggestions")
        return self.state(known)

    def cancel(self, cases: Iterable[FakeCase]) -> SuggestionState:
        """Suggest for the next cases only."""
        self.all_wanted = False
        self.events.publish("suggestions")
        return self.state(cases)

    def switch(self, on: bool, cases: Iterable[FakeCase]) -> SuggestionState:
        """Have masks suggested, or not."""
        self.is_on = on
        self.events.publish("suggestions")
        return self.state(cases)

    def step(self, cases: Iterable[FakeCase]) -> None:
        """Make the next one, if it is time."""
        if not self.is_on or self.held or not (self.makes or self.all_wanted):
            return
        todo = self._todo(list(cases))
        if todo:
            case, slot = todo[0]
            self._make(case, slot)
            todo = todo[1:]
        if self.all_wanted:
            self._left = len(todo)
            self.all_wanted = self._left > 0
            self.events.publish("suggestions")

    def state(self, cases: Iterable[FakeCase]) -> SuggestionState:
        """What is being done."""
        slots = [(case, slot) for case in cases for slot in case.in_order if _waits(case, slot)]
        ready = sum(self.of(case, slot) is not None for case, slot in slots)
        phase: SuggestionPhase = "waiting" if self.held else "working" if self.all_wanted else "at rest"
        sentence = {
            "waiting": "Suggestions wait while somebody clicks or an episode trains.",
            "working": "Suggestions are being made.",
            "at rest": "Suggestions are made while nobody clicks.",
        }[phase]
        if not self.is_on:
            phase, sentence = "off", "Suggestions are switched off in this campaign."
        elif self.all_wanted:
            sentence = f"{self._total - self._left} of {self._total} done. {sentence}"
        return SuggestionState(
            phase, sentence, ready, len(slots) - ready, self.all_wanted, self._total - self._left,
            self._total, tuple(sorted(self._over.items())), self.is_on,
        )  # fmt: skip

    def _todo(self, cases: Iterable[FakeCase]) -> list[tuple[FakeCase, Slot]]:
        return [
            (case, slot)
            for case in cases
            for slot in case.in_order
            if _waits(case, slot) and case.case_id not in self._over and self._is_stale(case, slot)
        ]

    def _is_stale(self, case: FakeCase, slot: Slot) -> bool:
        made = self._made.get((case.case_id, slot))
        version = self.version_of(slot.target)
        return version > 0 and (made is None or made.mark.version != version)

    def _make(self, case: FakeCase, slot: Slot) -> None:
        version = self.version_of(slot.target)
        try:
            if case.case_id in self.failing:
                raise ClopaError(self.failing[case.case_id])
            work = FakeSuggester(version=version).begin(case.image)
            while not work.step():
                pass
            answer = work.answer()
        except ClopaError as error:
            self._over[case.case_id] = str(error)
            return
        self.put(case.case_id, answer.mask, SuggestionMark(version, answer.agreement), slot)


def _waits(case: FakeCase, slot: Slot) -> bool:
    """Whether nobody has begun."""
    work = case.slot(slot)
    return not (work.versions or work.draft or work.owner or work.row(slot).is_decided)
