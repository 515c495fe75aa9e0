"""The course of an import: the labels one after the other, and of each every target that is asked for."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from clopa_annotator.datasets.volumes import read_image, right_handed
from clopa_annotator.errors import DatasetError
from clopa_annotator.importers.grids import Placed, place
from clopa_annotator.importers.label_batch import REFUSALS, LabelBatch
from clopa_annotator.importers.label_files import Content, LabelFile
from clopa_annotator.importers.label_volumes import without_tail
from clopa_annotator.importers.label_work import AbsentTarget, LabelCase, LabelWork, Unused
from clopa_annotator.importers.matching import Matcher, check_identity, identities_in
from clopa_annotator.importers.receiver import Kept, KnownCase, LabelReceiver
from clopa_annotator.importers.target_choice import (
    ANY,
    NotThere,
    SlotChoice,
    by_name,
    choices,
    listed,
    slot_called,
)
from clopa_annotator.session.checks import usable_voxels
from clopa_annotator.types import Imported, Mask
from clopa_annotator.types.imports import ImportOrder, Outcome
from clopa_annotator.types.targets import FIRST


def import_id(case_id: str, digest: str, choice: SlotChoice) -> str:
    """The same for the same file, case and target: nothing is imported twice."""
    slot, part = choice.slot, choice.part
    other = () if slot == FIRST else (slot.target, str(slot.instance))
    parts = "\n".join((case_id, digest, part.name, *part.wanted, *other))
    return f"import-{hashlib.sha256(parts.encode()).hexdigest()[:40]}"


class ImportCourse:
    """The labels of one import.

    Raises:
        ConfigError: a target is asked for that the campaign does not have.
    """

    def __init__(self, order: ImportOrder, receiver: LabelReceiver) -> None:
        """See `run_import`."""
        self._order, self._receiver = order, receiver
        self._targets = receiver.targets
        self._choices = choices(order.asked, self._targets)
        self._sources = dict(receiver.sources())
        self._matcher = Matcher(self._sources)
        self.batch = LabelBatch(receiver, order.confirmed)
        self._labels = 0
        self._taken: dict[str, str] = {}
        self._absent: list[AbsentTarget] = []
        self._unused = Unused()

    @property
    def _is_alone(self) -> bool:
        return len(self._choices) == 1 and not self._choices[0].name

    def one(self, label: LabelFile) -> None:
        """One label, every target of it: decided, waiting to be taken in with others, or left to the end."""
        self._labels += 1
        work = LabelWork(label, without_tail(label.name), self._labels)
        try:
            work.case_id = self._matcher.case_of(label) or work.case_id
        except REFUSALS as error:
            self._leave_out(work, str(error))
            return
        if work.case_id in self._taken:
            reason = f"Another label is there for this case: {self._taken[work.case_id]}."
            self._leave_out(work, reason)
        else:
            self._taken[work.case_id] = work.label.called
            self._each_target(work)
        work.read = None  # a label that is decided at the end needs its volume no more
        self.batch.take_in_if_enough()

    def _each_target(self, work: LabelWork) -> None:
        before = len(self.batch.outcomes) + len(self._absent)
        try:
            chosen = self._choices_in(work)
        except REFUSALS as error:
            self._leave_out(work, str(error))
            return
        for choice in chosen:
            try:
                self._take(work, choice)
            except REFUSALS as error:
                self._leave_out(work, str(error), choice.name if work.is_usable else "")
            if not work.is_usable:
                return
        if len(self.batch.outcomes) + len(self._absent) == before and work.read is not None:
            self._leave_out(work, self._none_is_named(work, work.read))
        self._note_unused(work, chosen)

    def _choices_in(self, work: LabelWork) -> tuple[SlotChoice, ...]:
        """What is taken of a label; where nobody said it, also what is called like a further of a kind."""
        if self._is_alone or self._choices[0].is_asked or not any(t.instances for t in self._targets):
            return self._choices
        slots = {slot_called(s.name, self._targets) for s in work.content().segments}
        known = {choice.slot for choice in self._choices}
        more = sorted((s for s in slots if s is not None and s not in known), key=lambda s: s.instance)
        return (*self._choices, *(by_name(slot, self._targets) for slot in more))

    def _none_is_named(self, work: LabelWork, content: Content) -> str:
        example = " ".join(f"--target '{target.name}=VALUE'" for target in self._targets[:2])
        return (
            f"{work.label.called} has {listed(content.segments)}, and none is called like a target of the "
            f"campaign ({self._targets.in_words}). Say which is which with {example}."
        )

    def _note_unused(self, work: LabelWork, chosen: tuple[SlotChoice, ...]) -> None:
        """Remember what no target has, in a campaign of several."""
        if work.read is None or len(self._targets) == 1:
            return
        wanted = {w for choice in chosen for w in choice.part.wanted}
        if ANY in wanted:
            return
        left = [
            s.in_words for s in work.read.segments if s.present and not any(s.is_called(w) for w in wanted)
        ]
        self._unused.note(left)

    def remarks(self) -> tuple[str, ...]:
        """What was passed over, in sentences."""
        return self._unused.in_words

    # -- one target of a label -----------------------------------------------------------------------------

    def _take(self, work: LabelWork, choice: SlotChoice) -> None:
        label = work.label
        digest = label.digest(choice.part.wanted)
        number = import_id(work.case_id, digest, choice)
        case = self._case(work, choice, number)
        if self._is_there(case.known, number):
            there = Outcome(work.case_id, str(label.path), "already there", target=choice.name)
            self.batch.add(there, work.number)
            return
        if choice.name and not choice.is_asked and not self._is_named(work, choice):
            return
        self._check_free(case.known, number)
        content = work.content()
        if content.identity is not None:
            images = identities_in(self._sources.get(work.case_id, ""))
            check_identity(content.identity, images, label.called)
        imported = Imported(number, str(label.path), label.format, digest, choice.part.in_words, label.author)
        self._hand_on(work, choice, case, imported)

    def _is_named(self, work: LabelWork, choice: SlotChoice) -> bool:
        return any(s.is_called(w) for s in work.content().segments for w in choice.part.wanted)

    def _hand_on(self, work: LabelWork, choice: SlotChoice, case: LabelCase, imported: Imported) -> None:
        label, content = work.label, work.content()
        title = self._targets.by_key(choice.slot.target).name
        try:
            chosen = choice.part.choose(content.segments, title, label.called)
        except NotThere as error:
            if content.is_complete or not all(w.isdecimal() for w in choice.part.wanted):
                raise
            self._absent.append(AbsentTarget(work, choice, case, imported, str(error)))
            return
        if not content.is_complete and not any(segment.present for segment in chosen):
            reason = f"{label.called} has only {listed([s for s in content.segments if s.present])}."
            self._absent.append(AbsentTarget(work, choice, case, imported, reason))
            return
        mask: Mask = np.zeros(content.geometry.shape_kji, np.uint8)
        for segment in chosen:
            mask |= segment.mask()
        placed = place(mask, content.geometry, case.known.geometry, self._order.resample, label.called)
        taken = ", ".join(segment.in_words for segment in chosen)
        self._keep(work, choice, case, placed, replace(imported, taken=taken))

    def _keep(
        self, work: LabelWork, choice: SlotChoice, case: LabelCase, placed: Placed, imported: Imported
    ) -> None:
        case_id = work.case_id
        if not self._order.dry_run:
            if case.image is not None and case_id not in self._sources:
                self._receiver.add(case_id, case.image, case.source)
                self._sources[case_id] = case.source
            marked = replace(imported, resampled=placed.resampled)
            self.batch.wait(Kept(case_id, placed.mask, marked, choice.slot))
        voxels = int(np.count_nonzero(placed.mask))
        is_new = case.image is not None
        path = str(work.label.path)
        became = Outcome(case_id, path, "imported", "", voxels, placed.resampled, is_new, choice.name)
        self.batch.add(became, work.number)

    def _leave_out(self, work: LabelWork, reason: str, target: str = "") -> None:
        path = str(work.label.path)
        self.batch.add(Outcome(work.case_id, path, "left out", reason, target=target), work.number)

    # -- the end -------------------------------------------------------------------------------------------

    def finish(self) -> tuple[Outcome, ...]:
        """Decide about the labels that lack a target.

        Raises:
            DatasetError: not one file has what is asked for.
        """
        outcomes = self.batch.outcomes
        seen = {o.target for o in outcomes if o.became == "already there" or o.voxels}
        nothing = all(o.became == "left out" for o in outcomes)
        if self._absent and nothing and not seen:
            wanted = " or ".join(dict.fromkeys(a.choice.part.in_words for a in self._absent)) or "label"
            reasons = " ".join(dict.fromkeys(absent.reason for absent in self._absent[:3]))
            raise DatasetError(f"No file has the {wanted} that is asked for. {reasons}")
        for absent in self._absent:
            if self._is_alone or absent.choice.name in seen:
                empty = Placed(np.zeros(absent.case.known.geometry.shape_kji, np.uint8))
                self._keep(absent.work, absent.choice, absent.case, empty, absent.imported)
            else:
                reason = f"No file has the {absent.choice.part.in_words} that is asked for. {absent.reason}"
                self._leave_out(absent.work, reason, absent.choice.name)
        self.batch.take_in()
        return tuple(outcomes)

    # -- the case ------------------------------------------------------------------------------------------

    def _case(self, work: LabelWork, choice: SlotChoice, number: str) -> LabelCase:
        if work.case_id in self._sources:
            return LabelCase(self._receiver.look(work.case_id, number, choice.slot))
        if work.new is None:
            work.is_usable = False
            work.new = self._new_case(work.label, work.case_id)
            work.is_usable = True
        return work.new

    def _new_case(self, label: LabelFile, case_id: str) -> LabelCase:
        path = self._order.images.get(case_id) or self._order.images.get(label.name)
        if path is not None:
            image, source = read_image(path), str(path)
        elif label.image is not None:
            image, source = label.image(), label.image_source
        else:
            raise DatasetError(
                f"The campaign has no case {case_id!r}, and there is no image for it. Name the folder with "
                "the images, or add the case first."
            )
        image = right_handed(image)
        usable_voxels(image)
        return LabelCase(KnownCase(case_id, image.geometry), image, source)

    def _is_there(self, known: KnownCase, number: str) -> bool:
        return known.was_imported or (not self._order.confirmed and known.suggestion == number)

    def _check_free(self, known: KnownCase, number: str) -> None:
        """Refuse to put a label over what people did.

        Raises:
            DatasetError: it is confirmed, skipped, or somebody's work on it is kept.
        """
        if known.confirmed_by is not None:
            by = f" by {known.confirmed_by}" if known.confirmed_by else ""
            raise DatasetError(
                f"The case was confirmed{by} already. Withdraw that first if this one is right."
            )
        if known.skipped:
            raise DatasetError("The case was skipped. Reopen it first.")
        if known.has_draft and known.suggestion != number:
            what = "another suggestion" if known.suggestion else "unfinished work"
            raise DatasetError(f"There is {what} on the case. Confirm or discard that first.")
