"""One import: every label is matched, compared and handed on, or left out with a sentence."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clopa_annotator.datasets.volumes import read_image, right_handed
from clopa_annotator.errors import CaseTaken, ConfirmationConflict, CorruptRecord, DatasetError, InputError
from clopa_annotator.importers.detect import find_labels
from clopa_annotator.importers.grids import Placed, place
from clopa_annotator.importers.label_files import Content, LabelFile
from clopa_annotator.importers.label_volumes import stem, volumes_in, without_tail
from clopa_annotator.importers.matching import Matcher, check_identity, identities_in
from clopa_annotator.importers.receiver import Kept, KnownCase, LabelReceiver, TakesSeveral
from clopa_annotator.importers.target_choice import NotThere, Target, listed
from clopa_annotator.session.checks import usable_voxels
from clopa_annotator.types import Image, Imported, Mask
from clopa_annotator.types.imports import ImportOrder, ImportReport, Outcome

logger = logging.getLogger(__name__)

REFUSALS = (InputError, CorruptRecord, ConfirmationConflict, CaseTaken)
"""What concerns one label; everything else ends the import."""
TOGETHER = 32
"""Most labels that are taken in together ..."""
TOGETHER_VOXELS = 64 << 20
"""... and most voxels, about as many bytes ..."""
TOGETHER_S = 3.0
"""... and how long one waits for others, so that a person sees it go on."""


def images_in(folder: Path) -> dict[str, Path]:
    """Image files of a folder by case, without nnU-Net's ``_0000``.

    Raises:
        DatasetError: the folder cannot be read.
    """
    inner = folder / "imagesTr"
    files = volumes_in(inner if inner.is_dir() else folder)
    return {stem(file).removesuffix("_0000"): file for file in files}


def import_id(case_id: str, digest: str, target: Target) -> str:
    """The same for the same file, case and target: nothing is imported twice."""
    parts = "\n".join((case_id, digest, target.name, *target.wanted))
    return f"import-{hashlib.sha256(parts.encode()).hexdigest()[:40]}"


OnStep = Callable[[int, int, Outcome], object]


def run_import(
    order: ImportOrder,
    receiver: LabelReceiver,
    on_step: OnStep | None = None,
    stop: Callable[[], bool] | None = None,
) -> ImportReport:
    """Import what lies under a path.

    Args:
        order: what and how.
        receiver: where to.
        on_step: told (done, total, outcome) after each label.
        stop: asked before each label whether to stop.

    Raises:
        ConfigError: the target's name is not the campaign's.
        DatasetError: nothing there, or no file has the target.
        CacheError, EngineError: nothing more can be stored; what was stored stays.
    """
    work = _Import(order, receiver)
    found = find_labels(order.path, order.confirmed, order.format)
    stopped = False
    done = 0

    def tell(outcomes: Iterable[Outcome]) -> None:
        nonlocal done
        for outcome in outcomes:
            done += 1
            if on_step is not None:
                on_step(done, len(found.labels), outcome)

    for label in found.labels:
        if stop is not None and stop():
            stopped = True
            break
        work.one(label)
        tell(work.settled())
    work.take_in()
    tell(work.settled())
    outcomes = work.finish()
    if not order.dry_run and any(o.became == "imported" for o in outcomes):
        receiver.done()
    return ImportReport(found.format, order.confirmed, order.dry_run, outcomes, found.remarks, stopped)


@dataclass(frozen=True, eq=False)
class _Case:
    """A label's case: known to the campaign, or to be added with its image."""

    known: KnownCase
    image: Image | None = None
    source: str = ""


class _Import:
    """The labels of one import, one after the other."""

    def __init__(self, order: ImportOrder, receiver: LabelReceiver) -> None:
        self._order, self._receiver = order, receiver
        self._target = Target.parse(order.target) if order.target else Target()
        self._target.check_for(receiver.label)
        self._sources = dict(receiver.sources())
        self._matcher = Matcher(self._sources)
        self._outcomes: list[Outcome] = []
        self._told, self._since = 0, 0.0
        self._waiting: list[tuple[int, Kept]] = []
        """Masks to be taken in together, with the place of their outcome."""
        self._taken: dict[str, str] = {}
        self._absent: list[tuple[LabelFile, _Case, Imported, str]] = []
        """Labels without the target: imported as empty only if others have it."""

    def one(self, label: LabelFile) -> None:
        """One label: decided, waiting to be taken in with others, or left to the end."""
        case_id = without_tail(label.name)
        try:
            case_id = self._matcher.case_of(label) or case_id
            outcome = self._take(label, case_id)
        except REFUSALS as error:
            outcome = Outcome(case_id, str(label.path), "left out", str(error))
        if outcome is not None:
            self._outcomes.append(outcome)
        if self._waiting and self._enough():
            self.take_in()

    def _enough(self) -> bool:
        waiting = [kept for _, kept in self._waiting]
        most = TOGETHER if isinstance(self._receiver, TakesSeveral) else 1
        voxels = sum(kept.mask.size for kept in waiting)
        return len(waiting) >= most or voxels > TOGETHER_VOXELS or time.monotonic() > self._since + TOGETHER_S

    def settled(self) -> list[Outcome]:
        """What was decided since the last call, in the order of the labels."""
        until = self._waiting[0][0] if self._waiting else len(self._outcomes)
        told, self._told = self._told, max(self._told, until)
        return self._outcomes[told : self._told]

    def take_in(self) -> None:
        """Hand the waiting masks on; one that is refused is left out by itself."""
        waiting, self._waiting = self._waiting, []
        confirmed, receiver = self._order.confirmed, self._receiver
        if len(waiting) > 1 and isinstance(receiver, TakesSeveral):
            try:
                receiver.keep_together([kept for _, kept in waiting], confirmed)
                return
            except REFUSALS as error:
                logger.info("One of %d labels is refused, each goes by itself: %s", len(waiting), error)
        for at, kept in waiting:
            try:
                receiver.keep(kept.case_id, kept.mask, kept.imported, confirmed)
            except REFUSALS as error:
                source = self._outcomes[at].source
                self._outcomes[at] = Outcome(kept.case_id, source, "left out", str(error))

    def _take(self, label: LabelFile, case_id: str) -> Outcome | None:
        if case_id in self._taken:
            raise DatasetError(f"Another label is there for this case: {self._taken[case_id]}.")
        self._taken[case_id] = label.called
        digest = label.digest(self._target.wanted)
        number = import_id(case_id, digest, self._target)
        case = self._case(label, case_id, number)
        if self._is_there(case.known, number):
            return Outcome(case_id, str(label.path), "already there")
        self._check_free(case.known, number)
        content = label.read()
        if content.identity is not None:
            images = identities_in(self._sources.get(case_id, ""))
            check_identity(content.identity, images, label.called)
        imported = Imported(
            number, str(label.path), label.format, digest, self._target.in_words, label.author
        )
        return self._hand_on(label, case, content, imported)

    def _hand_on(self, label: LabelFile, case: _Case, content: Content, imported: Imported) -> Outcome | None:
        try:
            chosen = self._target.choose(content.segments, self._receiver.label, label.called)
        except NotThere as error:
            if content.is_complete or not all(w.isdecimal() for w in self._target.wanted):
                raise
            self._absent.append((label, case, imported, str(error)))
            return None
        if not content.is_complete and not any(segment.present for segment in chosen):
            reason = f"{label.called} has only {listed([s for s in content.segments if s.present])}."
            self._absent.append((label, case, imported, reason))
            return None
        mask: Mask = np.zeros(content.geometry.shape_kji, np.uint8)
        for segment in chosen:
            mask |= segment.mask()
        placed = place(mask, content.geometry, case.known.geometry, self._order.resample, label.called)
        taken = ", ".join(segment.in_words for segment in chosen)
        return self._keep(label, case, placed, replace(imported, taken=taken))

    def _keep(self, label: LabelFile, case: _Case, placed: Placed, imported: Imported) -> Outcome:
        case_id = case.known.case_id
        if not self._order.dry_run:
            if case.image is not None:
                self._receiver.add(case_id, case.image, case.source)
            marked = replace(imported, resampled=placed.resampled)
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.append((len(self._outcomes), Kept(case_id, placed.mask, marked)))
        voxels = int(np.count_nonzero(placed.mask))
        is_new = case.image is not None
        return Outcome(case_id, str(label.path), "imported", "", voxels, placed.resampled, is_new)

    def finish(self) -> tuple[Outcome, ...]:
        """Decide about the labels that lack the target.

        Raises:
            DatasetError: not one file has it.
        """
        has_target = any(o.became == "already there" or o.voxels for o in self._outcomes)
        if self._absent and not has_target and all(o.became == "left out" for o in self._outcomes):
            wanted = self._target.in_words or "label"
            reasons = " ".join(reason for _, _, _, reason in self._absent[:3])
            raise DatasetError(f"No file has the {wanted} that is asked for. {reasons}")
        for label, case, imported, _ in self._absent:
            empty = Placed(np.zeros(case.known.geometry.shape_kji, np.uint8))
            self._outcomes.append(self._keep(label, case, empty, imported))
        self.take_in()
        return tuple(self._outcomes)

    # -- the case ------------------------------------------------------------------------------------------

    def _case(self, label: LabelFile, case_id: str, number: str) -> _Case:
        if case_id in self._sources:
            return _Case(self._receiver.look(case_id, number))
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
        return _Case(KnownCase(case_id, image.geometry), image, source)

    def _is_there(self, known: KnownCase, number: str) -> bool:
        return known.was_imported or (not self._order.confirmed and known.suggestion == number)

    def _check_free(self, known: KnownCase, number: str) -> None:
        """Refuse to put a label over what people did.

        Raises:
            DatasetError: the case is confirmed, skipped, or somebody's work on it is kept.
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
