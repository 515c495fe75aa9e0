"""A campaign in memory, for the in-process engine: cases, versions, drafts, statistics; nothing on disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np

from clopa_annotator.errors import CaseTaken, ConfirmationConflict, GeometryError, UnknownCase
from clopa_annotator.events import EventLog
from clopa_annotator.testing.fake_learning import FakeLearning
from clopa_annotator.types import CaseRef, CaseState, Confirmation, Image, Mask
from clopa_annotator.wire.messages import CaseRow, CaseStatistics, Draft


@dataclass
class _Version:
    ref: CaseRef
    mask: Mask
    statistics: CaseStatistics
    withdrawn: bool = False


@dataclass
class _Case:
    row: CaseRow
    image: Image
    image_hash: str
    versions: list[_Version] = field(default_factory=list)
    draft: Draft | None = None


def _hash(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _image_hash(image: Image) -> str:
    return _hash(repr(image.geometry).encode(), np.ascontiguousarray(image.voxels).tobytes())


class FakeCampaign:
    """What an engine keeps, shared by every `FakeEngineClient` that is given it; it outlives them."""

    def __init__(self, name: str = "demonstration", size: int = 20, needed: int = 5) -> None:
        """Start empty.

        Args:
            name: shown to the user.
            size: how many cases the campaign is planned to have.
            needed: confirmations that start an episode.
        """
        self.name, self.size = name, size
        self.events = EventLog()
        self.learning = FakeLearning(self.events, needed=needed)
        self.cases: dict[str, _Case] = {}
        self._confirmations: dict[str, tuple[str, CaseRef]] = {}

    def case(self, case_id: str) -> _Case:
        """The case of that name.

        Raises:
            UnknownCase: there is none.
        """
        if case_id not in self.cases:
            raise UnknownCase(f"The campaign has no case named {case_id!r}; open it first.")
        return self.cases[case_id]

    def add(self, case_id: str, image: Image, source: str) -> _Case:
        """Add a case, or find it again."""
        digest = _image_hash(image)
        known = self.cases.get(case_id)
        if known is None:
            known = _Case(CaseRow(case_id, CaseState.TODO, source=source), image, digest)
            self.cases[case_id] = known
            self.changed(case_id)
        elif known.image_hash != digest:
            raise GeometryError(
                f"The campaign already has another image under the name {case_id!r}; "
                "give this case a new name."
            )
        return known

    def take(self, case_id: str, owner: str) -> _Case:
        """Give a case to an annotator."""
        case = self.case(case_id)
        if case.row.owner not in ("", owner):
            raise CaseTaken(f"{case.row.owner} is working on {case_id}; choose another case.")
        state = CaseState.IN_PROGRESS if case.row.state is CaseState.TODO else case.row.state
        case.row = replace(case.row, owner=owner, state=state)
        self.changed(case_id)
        return case

    def give_back(self, case_id: str) -> None:
        """End an annotator's hold on a case; untouched, it is to do again."""
        case = self.case(case_id)
        untouched = case.row.state is CaseState.IN_PROGRESS and case.draft is None
        case.row = replace(case.row, owner="", state=CaseState.TODO if untouched else case.row.state)
        self.changed(case_id)

    def set_state(self, case_id: str, state: CaseState, note: str = "") -> CaseRow:
        """Move a case to another state."""
        case = self.case(case_id)
        case.row = replace(case.row, state=state, note=note)
        self.changed(case_id)
        return case.row

    def withdraw(self, case_id: str, reason: str) -> CaseRow:
        """Mark the newest valid version as withdrawn."""
        case = self.case(case_id)
        valid = [v for v in case.versions if not v.withdrawn]
        if not valid:
            raise UnknownCase(f"{case_id} has no confirmed version to withdraw.")
        valid[-1].withdrawn = True
        left = CaseState.CONFIRMED if len(valid) > 1 else CaseState.NEEDS_REVIEW
        return self.set_state(case_id, left, reason)

    def keep_draft(self, case_id: str, draft: Draft) -> None:
        """Keep unconfirmed work."""
        case = self.case(case_id)
        case.draft = replace(draft, mask=draft.mask.copy())
        state = CaseState.IN_PROGRESS if case.row.state is CaseState.TODO else case.row.state
        case.row = replace(case.row, has_draft=True, state=state)

    def confirm(self, confirmation: Confirmation) -> CaseRef:
        """Store a decision; the same one again changes nothing."""
        case = self.case(confirmation.case_id)
        if confirmation.mask.shape != case.image.geometry.shape_kji:
            raise GeometryError(
                f"The mask has shape {confirmation.mask.shape}, but the image of {confirmation.case_id} has "
                f"{case.image.geometry.shape_kji}; nothing was confirmed."
            )
        mask_hash = _hash(np.ascontiguousarray(confirmation.mask).tobytes())
        earlier = self._confirmations.get(confirmation.confirmation_id)
        if earlier is not None:
            if earlier[0] != mask_hash:
                raise ConfirmationConflict("This confirmation was delivered before with another mask.")
            return earlier[1]
        ref = self._append(case, confirmation, mask_hash)
        self._confirmations[confirmation.confirmation_id] = (mask_hash, ref)
        self.events.publish(
            "confirmed", case_id=ref.case_id, record_hash=ref.record_hash,
            confirmation_id=confirmation.confirmation_id,
        )  # fmt: skip
        self.changed(ref.case_id)
        self.learning.case_confirmed()
        return ref

    def _append(self, case: _Case, confirmation: Confirmation, mask_hash: str) -> CaseRef:
        sequence = len(self._confirmations) + 1
        version = len(case.versions) + 1
        record_hash = _hash(mask_hash.encode(), confirmation.confirmation_id.encode())
        ref = CaseRef(
            confirmation.case_id, version, sequence, case.image_hash, mask_hash, record_hash,
            f"cases/{sequence:05d}",
        )  # fmt: skip
        statistics = CaseStatistics(
            ref.case_id, sequence, confirmation.weights_version, confirmation.first_shown_dice,
            len(confirmation.prompts), confirmation.seconds_active, confirmation.annotator,
        )  # fmt: skip
        case.versions.append(_Version(ref, confirmation.mask.copy(), statistics))
        case.draft = None
        case.row = replace(case.row, state=CaseState.CONFIRMED, versions=version, has_draft=False, note="")
        return ref

    def statistics(self) -> tuple[CaseStatistics, ...]:
        """Every valid confirmation's numbers, in order of arrival."""
        valid = (v.statistics for c in self.cases.values() for v in c.versions if not v.withdrawn)
        return tuple(sorted(valid, key=lambda s: s.sequence))

    def changed(self, case_id: str) -> None:
        """Tell the listeners that a case changed."""
        self.events.publish("case_changed", case_id=case_id)
