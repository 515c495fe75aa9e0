"""What became of the versions, read off the history: which is in use, and whether it is on probation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from clopa_annotator.types import GateDecision, Standing


class Happened(Protocol):
    """An entry of the history."""

    @property
    def what(self) -> str:
        """What happened."""
        ...

    @property
    def version(self) -> int:
        """To which version."""
        ...

    @property
    def decision(self) -> GateDecision | None:
        """Why."""
        ...

    @property
    def to(self) -> int | None:
        """Which version came into use instead."""
        ...


@dataclass
class Course:
    """The state after some entries.

    Attributes:
        current: the version in use.
        settled: the version to return to: the last one that was confirmed, chosen by a person, or put into
            use by a program that knew no probation; else the base.
        standings: what became of each version.
        decisions: the gate's last decision on each.
        verdicts: how the probation of each ended.
    """

    current: int = 0
    settled: int = 0
    standings: dict[int, Standing] = field(default_factory=dict)
    decisions: dict[int, GateDecision] = field(default_factory=dict)
    verdicts: dict[int, GateDecision] = field(default_factory=dict)

    @property
    def on_probation(self) -> bool:
        """Whether the version in use has still to show that it is better."""
        return self.standings.get(self.current, "") == "on probation"

    def follow(self, entry: Happened) -> None:
        """Take one entry into account."""
        number, decision = entry.version, entry.decision
        if entry.what == "promoted":
            self._use(number, "on probation" if decision and decision.probation else "promoted")
        elif entry.what == "rolled_back":
            self._use(number, "chosen")
        elif entry.what == "confirmed":
            self.standings[number] = "confirmed"
            self.settled = number if number == self.current else self.settled
        elif entry.what == "taken_back":
            self.standings[number] = "taken back"
            self.current = self.settled = entry.to or 0
        elif entry.what == "rejected":
            self.standings[number] = "rejected"
        if decision is not None:
            (self.verdicts if entry.what in ("confirmed", "taken_back") else self.decisions)[number] = (
                decision
            )

    def _use(self, number: int, standing: Standing) -> None:
        if self.on_probation:
            self.standings[self.current] = "replaced"
        self.current = number
        if number:
            self.standings[number] = standing
        if standing != "on probation":
            self.settled = number


def course_of(entries: Iterable[Happened]) -> Course:
    """What became of the versions after these entries, oldest first."""
    course = Course()
    for entry in entries:
        course.follow(entry)
    return course
