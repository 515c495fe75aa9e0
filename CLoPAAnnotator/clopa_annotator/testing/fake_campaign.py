"""A campaign in memory, for the in-process engine: cases, versions, drafts, statistics; nothing on disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clopa_annotator.case_order import CaseSettings
from clopa_annotator.errors import (
    AcceptedCase,
    CaseTaken,
    ConfigError,
    ConfirmationConflict,
    GeometryError,
    InputError,
    UnknownCase,
)
from clopa_annotator.events import EventLog
from clopa_annotator.testing.fake_cases import (
    FakeCase,
    FakeVersion,
    SlotWork,
    hash_of,
    image_hash,
    is_same_image,
)
from clopa_annotator.testing.fake_learning import FakeLearning
from clopa_annotator.testing.fake_suggestions import FakeSuggestions
from clopa_annotator.types import CaseRef, CaseState, Confirmation, Image, Slot, Target, Targets
from clopa_annotator.types.review import PairAgreement, Verdict
from clopa_annotator.types.targets import FIRST
from clopa_annotator.wire.messages import CaseRow, CaseStatistics, Draft


class FakeCampaign:
    """What an engine keeps, shared by every `FakeEngineClient` that is given it; it outlives them."""

    def __init__(
        self,
        name: str = "demonstration",
        size: int = 20,
        needed: int = 5,
        targets: Targets | None = None,
    ) -> None:
        """Start empty.

        Args:
            name: shown to the user.
            size: how many cases the campaign is planned to have.
            needed: confirmations that start an episode.
            targets: what it segments; one, called "target", unless given.
        """
        self.name, self.size, self._needed = name, size, needed
        self.events = EventLog()
        self.targets = targets or Targets((Target("target"),))
        self.lines: dict[str, FakeLearning] = {}
        self.own_reviews, self.verdicts = False, 0
        self.agreement: list[PairAgreement] = []
        self.cases: dict[str, FakeCase] = {}
        self.case_settings = CaseSettings()
        self.suggestions = FakeSuggestions(
            self.events,
            lambda target: self.line(target).current,
            self._withholds,
        )
        self._confirmations: dict[str, tuple[str, CaseRef]] = {}

    @property
    def learning(self) -> FakeLearning:
        """Of the first target."""
        return self.line("")

    def line(self, target: str) -> FakeLearning:
        """How a target learns. Raises `ConfigError` if there is no such target."""
        key = self.targets.by_key(target).key
        if key not in self.lines:
            self.lines[key] = FakeLearning(
                self.events, needed=self._needed, target=key, busy=lambda: self._another_runs(key)
            )
        return self.lines[key]

    def _another_runs(self, key: str) -> bool:
        return any(line.running for name, line in self.lines.items() if name != key)

    def step(self) -> None:
        """Advance the episode that runs, or start the one that waits; one trains at a time. Else suggest."""
        lines = [self.line(target.key) for target in self.targets]
        for line in lines:
            if line.running:
                line.step()
                return
        for line in sorted(lines, key=lambda line: -line.gathered):
            line.start_if_due()
        self.suggestions.step(self.cases.values())

    def set_targets(self, targets: Targets) -> None:
        """Say what is segmented.

        Raises:
            InputError: one with records would go.
        """
        kept = {target.key for target in targets}
        for case in self.cases.values():
            for slot, work in case.slots.items():
                if (work.versions or work.draft) and slot.target not in kept:
                    gone = self.targets.by_key(slot.target).name
                    raise InputError(f"{gone} has masks in {case.case_id}, so it cannot be removed.")
                if work.versions and slot.instance > 1 and not targets.by_key(slot.target).instances:
                    raise InputError(f"{case.case_id} has {slot.instance} masks of a kind that is to be one.")
        if FIRST.target not in kept:
            raise ConfigError("The campaign's first target can be renamed, not removed.")
        self.targets = targets
        for case in self.cases.values():
            case.targets = targets
            case.slots = {s: w for s, w in case.slots.items() if s.target in kept}
        self.events.publish("targets_changed")

    def _withholds(self, case_id: str, slot: Slot) -> bool:
        return self.case_settings.withholds(case_id, slot)

    def set_case_settings(self, settings: CaseSettings) -> None:
        """Say how cases come to annotators."""
        self.case_settings = replace(settings, seed=self.case_settings.seed)
        self.events.publish("case_settings_changed", order=settings.order)

    def case(self, case_id: str) -> FakeCase:
        """The case of that name.

        Raises:
            UnknownCase: there is none.
        """
        if case_id not in self.cases:
            raise UnknownCase(f"The campaign has no case named {case_id!r}; open it first.")
        return self.cases[case_id]

    def add(self, case_id: str, image: Image, source: str) -> FakeCase:
        """Add a case, or find it again."""
        digest = image_hash(image)
        known = self.cases.get(case_id)
        if known is None:
            known = FakeCase(case_id, image, digest, source, self.targets, suggested=self.suggestions.of)
            self.cases[case_id] = known
            self.changed(case_id)
        elif known.image_hash != digest and not is_same_image(known.image, image):
            raise GeometryError(
                f"The campaign already has another image under the name {case_id!r}; "
                "give this case a new name."
            )
        return known

    def take(self, case_id: str, owner: str, slot: Slot = FIRST) -> FakeCase:
        """Give a target of a case to an annotator."""
        case = self.case(case_id)
        self.require_next(case, slot)
        work = case.slot(slot)
        if work.owner not in ("", owner):
            what = f"{self.targets.name_of(slot)} of {case_id}" if len(self.targets) > 1 else case_id
            raise CaseTaken(f"{work.owner} is working on {what}; choose another case.")
        work.owner = owner
        if work.state is CaseState.TODO:
            work.state = CaseState.IN_PROGRESS
        self.changed(case_id)
        return case

    def require_next(self, case: FakeCase, slot: Slot) -> None:
        """An instance comes after those that there are. Raises `ConfigError`."""
        self.targets.of(slot)
        last = max((s.instance for s in case.in_order if s.target == slot.target), default=1)
        if slot.instance > last + 1:
            raise ConfigError(
                f"{case.case_id} has {last} of {self.targets.by_key(slot.target).name}; the next is "
                f"number {last + 1}."
            )

    def give_back(self, case_id: str, slot: Slot = FIRST) -> None:
        """End an annotator's hold on a target of a case; untouched, it is to do again."""
        if slot.target not in {target.key for target in self.targets}:
            return  # it was taken out meanwhile
        work = self.case(case_id).slot(slot)
        if work.state is CaseState.IN_PROGRESS and work.draft is None:
            work.state = CaseState.TODO
        work.owner = ""
        self.changed(case_id)

    def set_state(self, case_id: str, state: CaseState, note: str = "", slot: Slot = FIRST) -> CaseRow:
        """Move a target of a case to another state."""
        case = self.case(case_id)
        work = case.slot(slot)
        work.state, work.note = state, note
        self.changed(case_id)
        return case.row

    def withdraw(self, case_id: str, reason: str, slot: Slot = FIRST) -> CaseRow:
        """Mark the newest valid version as withdrawn."""
        work = self.case(case_id).slot(slot)
        newest = work.newest
        if newest is None:
            raise UnknownCase(f"{case_id} has no confirmed version to withdraw.")
        if work.verdict is Verdict.ACCEPTED:
            raise AcceptedCase(f"{work.reviewer} accepted {case_id}. Return it instead.")
        newest.withdrawn = True
        left = CaseState.CONFIRMED if work.newest is not None else CaseState.NEEDS_REVIEW
        return self.set_state(case_id, left, reason, slot)

    def keep_draft(self, case_id: str, draft: Draft, slot: Slot = FIRST) -> None:
        """Keep unconfirmed work."""
        work = self.case(case_id).slot(slot)
        work.draft = replace(draft, mask=draft.mask.copy())
        if work.state is CaseState.TODO:
            work.state = CaseState.IN_PROGRESS

    def confirm(self, confirmation: Confirmation) -> CaseRef:
        """Store a decision; the same one again changes nothing."""
        case = self.case(confirmation.case_id)
        if confirmation.mask.shape != case.image.geometry.shape_kji:
            raise GeometryError(
                f"The mask has shape {confirmation.mask.shape}, but the image of {confirmation.case_id} has "
                f"{case.image.geometry.shape_kji}; nothing was confirmed."
            )
        work = case.slot(confirmation.slot)
        mask_hash = hash_of(np.ascontiguousarray(confirmation.mask).tobytes())
        earlier = self._confirmations.get(confirmation.confirmation_id)
        if earlier is not None:
            if earlier[0] != mask_hash:
                raise ConfirmationConflict("This confirmation was delivered before with another mask.")
            return earlier[1]
        self._require_free(case, confirmation)
        if work.verdict is Verdict.ACCEPTED and not confirmation.replaces_accepted:
            raise AcceptedCase(f"{work.reviewer} accepted this case. Confirm once more to replace it.")
        ref = self._append(case, work, confirmation, mask_hash)
        self._confirmations[confirmation.confirmation_id] = (mask_hash, ref)
        self.events.publish(
            "confirmed", case_id=ref.case_id, record_hash=ref.record_hash,
            confirmation_id=confirmation.confirmation_id, target=ref.slot.target, instance=ref.slot.instance,
        )  # fmt: skip
        self.changed(ref.case_id)
        self.line(ref.slot.target).case_confirmed()
        return ref

    def _require_free(self, case: FakeCase, confirmation: Confirmation) -> None:
        for other in case.in_order:
            newest = case.slot(other).newest
            if (
                other == confirmation.slot
                or newest is None
                or not case.targets.exclude(confirmation.slot, other)
            ):
                continue
            both = int(np.count_nonzero((newest.mask != 0) & (confirmation.mask != 0)))
            if both:
                raise InputError(
                    f"{both} voxels belong to {case.targets.name_of(other)} already; nothing was confirmed."
                )

    def _append(self, case: FakeCase, work: SlotWork, confirmation: Confirmation, mask_hash: str) -> CaseRef:
        sequence = len(self._confirmations) + 1
        version = len(work.versions) + 1
        record_hash = hash_of(mask_hash.encode(), confirmation.confirmation_id.encode())
        ref = CaseRef(
            confirmation.case_id, version, sequence, case.image_hash, mask_hash, record_hash,
            f"cases/{sequence:05d}", confirmation.slot,
        )  # fmt: skip
        first = confirmation.first_shown_dice if version == 1 else None
        statistics = CaseStatistics(
            ref.case_id, sequence, confirmation.weights_version, first,
            len(confirmation.prompts), confirmation.seconds_active, confirmation.annotator, confirmation.slot,
            confirmation.suggestion, self.suggestions.quality(case, confirmation.slot, confirmation.mask),
        )  # fmt: skip
        work.versions.append(FakeVersion(ref, confirmation.mask.copy(), statistics))
        work.draft, work.state, work.note = None, CaseState.CONFIRMED, ""
        work.has_new_version()
        return ref

    def knows(self, confirmation_id: str) -> bool:
        """Whether a confirmation was stored before."""
        return confirmation_id in self._confirmations

    def statistics(self, target: str = "") -> tuple[CaseStatistics, ...]:
        """Every valid confirmation's numbers of a target, in order of arrival."""
        key = self.targets.by_key(target).key
        valid = (
            v.statistics
            for case in self.cases.values()
            for slot, work in case.slots.items()
            if slot.target == key
            for v in work.versions
            if not v.withdrawn
        )
        return tuple(sorted(valid, key=lambda s: s.sequence))

    def changed(self, case_id: str) -> None:
        """Tell the listeners that a case changed."""
        self.events.publish("case_changed", case_id=case_id)
