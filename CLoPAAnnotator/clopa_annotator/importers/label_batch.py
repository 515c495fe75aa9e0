"""Outcomes of an import, and the masks that wait to be taken in together, which is faster."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from clopa_annotator.errors import CaseTaken, ConfirmationConflict, CorruptRecord, InputError
from clopa_annotator.importers.receiver import Kept, LabelReceiver, TakesSeveral
from clopa_annotator.types.imports import Outcome

logger = logging.getLogger(__name__)

REFUSALS = (InputError, CorruptRecord, ConfirmationConflict, CaseTaken)
"""What concerns one label; everything else ends the import."""
TOGETHER = 64
"""Most masks that are taken in together ..."""
TOGETHER_VOXELS = 64 << 20
"""... and most voxels, about as many bytes ..."""
TOGETHER_S = 3.0
"""... and how long one waits for others, so that a person sees it go on."""


class LabelBatch:
    """What became of each label and target, in order; nothing is settled before it is stored."""

    def __init__(self, receiver: LabelReceiver, confirmed: bool) -> None:
        """Nothing was decided yet."""
        self._receiver, self._confirmed = receiver, confirmed
        self.outcomes: list[Outcome] = []
        self._labels: list[int] = []
        self._told, self._since = 0, 0.0
        self._waiting: list[tuple[int, Kept]] = []
        """Masks with the place of their outcome."""

    def add(self, outcome: Outcome, label: int) -> None:
        """An outcome of the label with this number."""
        self.outcomes.append(outcome)
        self._labels.append(label)

    def wait(self, kept: Kept) -> None:
        """A mask to be taken in; its outcome is the next that is added."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append((len(self.outcomes), kept))

    def take_in_if_enough(self) -> None:
        """Hand the waiting masks on when there are many, or the first has waited long."""
        if not self._waiting:
            return
        waiting = [kept for _, kept in self._waiting]
        most = TOGETHER if isinstance(self._receiver, TakesSeveral) else 1
        voxels = sum(kept.mask.size for kept in waiting)
        if len(waiting) >= most or voxels > TOGETHER_VOXELS or time.monotonic() > self._since + TOGETHER_S:
            self.take_in()

    def take_in(self) -> None:
        """Hand the waiting masks on; one that is refused is left out by itself."""
        waiting, self._waiting = self._waiting, []
        confirmed, receiver = self._confirmed, self._receiver
        if len(waiting) > 1 and isinstance(receiver, TakesSeveral):
            try:
                receiver.keep_together([kept for _, kept in waiting], confirmed)
                return
            except REFUSALS as error:
                logger.info("One of %d labels is refused, each goes by itself: %s", len(waiting), error)
        for at, kept in waiting:
            try:
                receiver.keep(kept.case_id, kept.mask, kept.imported, confirmed, kept.slot)
            except REFUSALS as error:
                known = Outcome(kept.case_id, self.outcomes[at].source, "left out", str(error))
                self.outcomes[at] = replace(known, target=self.outcomes[at].target)

    def settled(self) -> list[tuple[int, Outcome]]:
        """What was decided since the last call, with the numbers of the labels, in their order."""
        until = self._waiting[0][0] if self._waiting else len(self.outcomes)
        told, self._told = self._told, max(self._told, until)
        return list(zip(self._labels[told : self._told], self.outcomes[told : self._told], strict=True))
