"""What the routes of the cases need from the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from clopa_annotator.types import CaseRef, Confirmation, Image, Mask, Slot
from clopa_annotator.types.review import ReviewRow
from clopa_annotator.wire.messages import CaseRow, CaseStatistics, Draft
from clopa_annotator.wire.suggestion_messages import Suggested

ReturnedOf = Callable[[str, Slot], tuple[ReviewRow, Mask] | None]
"""The version of a slot that was returned and not confirmed anew, with its mask."""


def nothing_returned(_case_id: str, _slot: Slot) -> tuple[ReviewRow, Mask] | None:
    """For a host without reviews."""
    return None


class CaseHost(Protocol):
    """What these routes need from the engine; ``who`` is the name from the token."""

    def cases(self) -> tuple[CaseRow, ...]:
        """Every case."""
        ...

    def case(self, case_id: str) -> CaseRow:
        """One case."""
        ...

    def image_hash_of(self, case_id: str) -> str:
        """Hash of a case's image."""
        ...

    def add_case(self, case_id: str, image: Image, source: str) -> CaseRow:
        """Add a case, or find it again."""
        ...

    def first_open(self, case_id: str, who: str) -> Slot:
        """The first slot of a case that is neither decided nor in other hands."""
        ...

    def take_case(self, case_id: str, who: str, slot: Slot) -> CaseRow:
        """Take a target of a case, or renew one's hold on it."""
        ...

    def leave_case(self, case_id: str, who: str, slot: Slot) -> None:
        """Give a target of a case back."""
        ...

    def mark(self, action: str, case_id: str, who: str, reason: str, slot: Slot) -> CaseRow:
        """``skip``, ``reopen``, ``withdraw`` or ``flag`` a target of a case."""
        ...

    def save_draft(self, case_id: str, who: str, draft: Draft, slot: Slot) -> None:
        """Keep unconfirmed work."""
        ...

    def load_draft(self, case_id: str, slot: Slot) -> Draft | None:
        """The kept work."""
        ...

    def newest(self, case_id: str, slot: Slot) -> tuple[CaseRef, Mask] | None:
        """The newest confirmed version that is not withdrawn."""
        ...

    def is_withheld(self, case_id: str, slot: Slot) -> bool:
        """Whether there is a suggestion that is not shown."""
        ...

    def suggestion(self, case_id: str, slot: Slot) -> Suggested | None:
        """What the model suggests for a target that nobody has begun."""
        ...

    def others(self, case_id: str, slot: Slot) -> tuple[tuple[Slot, Mask], ...]:
        """The other targets' masks as they are kept."""
        ...

    def confirm(self, confirmation: Confirmation, based_on_version: int | None = None) -> CaseRef:
        """Store a decision, durably."""
        ...

    def statistics(self, target: str = "") -> tuple[CaseStatistics, ...]:
        """Every valid confirmation's numbers of a target."""
        ...

    def read_image(self, image_hash: str) -> Image:
        """An image of the campaign."""
        ...


SeenBy = Callable[[CaseHost, str], CaseHost]
"""Who may not see everything is given a host that hides it."""


def everything(host: CaseHost, _who: str) -> CaseHost:
    """For a host that hides nothing from anybody."""
    return host
