"""What a session may not propose: the voxels that belong to other targets.

The session itself is not told: its own state, and with it undo and the network's view of the previous
proposal, stays exactly what its prompts made of it. Only what is shown is without those voxels, so that they
come back when the other target lets go of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import BoundsKji, bounding_box, union_box
from clopa_annotator.types import Mask, Proposal

Occupied = npt.NDArray[np.bool_]


def union_of(masks: Iterable[Mask]) -> Occupied | None:
    """Voxels of any of these (k, j, i) masks, read one at a time; None if there are none."""
    union: Occupied | None = None
    for mask in masks:
        if mask.any():
            taken = mask != 0
            union = taken if union is None else np.logical_or(union, taken, out=union)
    return union


class Exclusion:
    """Takes the voxels of others out of one session's proposals."""

    def __init__(self) -> None:
        """Nothing is taken yet."""
        self._occupied: Occupied | None = None
        self._pending: BoundsKji | None = None

    def set(self, occupied: Occupied | None) -> None:
        """Say which voxels others have, from the next `cut` on; the array must not change later."""
        before, self._occupied = self._occupied, occupied
        if before is not None and occupied is not None:
            differs = bounding_box(before != occupied)
        else:
            either = before if before is not None else occupied
            differs = None if either is None else bounding_box(either)
        self._pending = union_box(self._pending, differs)

    def cut(self, proposal: Proposal) -> Proposal:
        """The proposal without the voxels of others; its ``changed_kji`` covers what they have changed.

        Raises:
            GeometryError: the proposal is on another grid than the others' masks.
        """
        occupied, pending = self._occupied, self._pending
        mask = proposal.mask
        if occupied is not None:
            if occupied.shape != mask.shape:
                raise GeometryError(
                    f"The other targets' masks have shape {occupied.shape}, the image {mask.shape}; open the "
                    "case again."
                )
            mask = np.where(occupied, np.uint8(0), mask)
            mask.flags.writeable = False
        elif pending is None:
            return proposal
        self._pending = None
        return replace(proposal, mask=mask, changed_kji=union_box(proposal.changed_kji, pending))
