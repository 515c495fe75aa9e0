"""What annotating produces: images, proposals, confirmations and events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from clopa_annotator.geometry import BoundsKji, Geometry
from clopa_annotator.types.prompts import Mask, TimedPrompt
from clopa_annotator.types.suggestion import SuggestionUse
from clopa_annotator.types.targets import FIRST, Slot


@dataclass(frozen=True, eq=False)
class Image:
    """A scalar volume with its place in the world.

    Attributes:
        voxels: (k, j, i) array of any real dtype.
        geometry: the voxel grid; its shape equals that of ``voxels``.
    """

    voxels: npt.NDArray[np.generic]
    geometry: Geometry


@dataclass(frozen=True, eq=False)
class Proposal:
    """What the model currently says. It is never a confirmation.

    Attributes:
        mask: (k, j, i) uint8 mask over the whole image; read-only for the receiver.
        changed_kji: box outside which nothing changed since the proposal before; None if nothing did.
        weights_version: number of the weights version that made it; one version per prediction.
        revision: grows by one with every prompt, undo, redo and reset; stale answers are known by it.
        seconds: time that the prediction took.
    """

    mask: Mask
    changed_kji: BoundsKji | None
    weights_version: int
    revision: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Imported:
    """Where a mask came from that nobody drew here.

    Attributes:
        import_id: the same for the same file, case and target, so that nothing is imported twice.
        source: file or folder, as it was given.
        format: name of its format, for instance "nifti".
        sha256: SHA-256 of the file's bytes, hexadecimal.
        taken: what of it is the target: values or segments, separated by commas.
        author: who made it, as far as the source says.
        resampled: whether it lay on another grid and was brought onto the image's by nearest neighbours.
    """

    import_id: str
    source: str
    format: str
    sha256: str
    taken: str = ""
    author: str = ""
    resampled: bool = False


@dataclass(frozen=True, eq=False)
class Confirmation:
    """A clinician's decision that a mask is right, on its way to the cache.

    Attributes:
        confirmation_id: made once by the client; delivering it again changes nothing.
        case_id: name of the case within the campaign, any Unicode text without line breaks.
        mask: (k, j, i) mask on the image's grid; may be empty if the target is absent.
        prompts: what was clicked, in order.
        annotator: identity of the person.
        seconds_active: time spent on the case without the pauses.
        weights_version: version in use when the mask was confirmed.
        first_shown_dice: Dice of the first proposal against the confirmed mask; None if none was shown. Of a
            case with a shown suggestion it is the suggestion's.
        note: free text.
        imported: where the mask came from; None if it was made here.
        slot: which target the mask is of, and which of several of a kind.
        replaces_accepted: the person knows that a reviewer has accepted the version before, and means it.
        suggestion: what was made of the model's suggestion.
    """

    confirmation_id: str
    case_id: str
    mask: Mask
    prompts: tuple[TimedPrompt, ...] = ()
    annotator: str = ""
    seconds_active: float = 0.0
    weights_version: int = 0
    first_shown_dice: float | None = None
    note: str = ""
    imported: Imported | None = None
    slot: Slot = FIRST
    replaces_accepted: bool = False
    suggestion: SuggestionUse = SuggestionUse.NONE


@dataclass(frozen=True)
class CaseRef:
    """One immutable confirmed version of a case; what an episode trains on.

    Attributes:
        case_id: name of the case.
        case_version: 1 for the first confirmation, counting up with every correction.
        sequence: campaign-wide number of the confirmation; arrival order is decided by it.
        image_hash: SHA-256 of the image's voxels and geometry, hexadecimal.
        mask_hash: SHA-256 of the mask's voxels, hexadecimal.
        record_hash: SHA-256 of the record file; it is what a client is told when "confirmed".
        folder: the version's folder, relative to the campaign folder, with forward slashes.
        slot: which target it is of, and which of several of a kind.
    """

    case_id: str
    case_version: int
    sequence: int
    image_hash: str
    mask_hash: str
    record_hash: str
    folder: str
    slot: Slot = FIRST

    @property
    def name(self) -> str:
        """The case, with what of it the mask is of where that is not the campaign's first target."""
        if self.slot == FIRST:
            return self.case_id
        number = f" {self.slot.instance}" if self.slot.instance > 1 else ""
        return f"{self.case_id} · {self.slot.target}{number}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the first target's only mask is written as before there were several."""
        values = asdict(self)
        slot = values.pop("slot")
        return values if self.slot == FIRST else {**values, **slot}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CaseRef:
        """The inverse of `to_dict`.

        Raises:
            TypeError: a value is missing, or one too many.
            ConfigError: what it says about the target cannot be.
        """
        slot = Slot(values.get("target", ""), values.get("instance", 1))
        return cls(**{k: v for k, v in values.items() if k not in ("target", "instance")}, slot=slot)


class CaseState(str, Enum):
    """Where a case stands in the campaign."""

    TODO = "to do"
    IN_PROGRESS = "in progress"
    CONFIRMED = "confirmed"
    SKIPPED = "skipped"
    NEEDS_REVIEW = "needs another look"


def sum_of_states(states: Iterable[CaseState]) -> CaseState:
    """Where a case stands whose slots stand like this: decided only if every one is."""
    known = set(states)
    if CaseState.NEEDS_REVIEW in known:
        return CaseState.NEEDS_REVIEW
    if known and known <= {CaseState.CONFIRMED, CaseState.SKIPPED}:
        return CaseState.SKIPPED if known == {CaseState.SKIPPED} else CaseState.CONFIRMED
    return CaseState.IN_PROGRESS if known - {CaseState.TODO} else CaseState.TODO


EventValue = str | int | float | bool | None


@dataclass(frozen=True)
class Event:
    """Something that happened in a campaign, for whoever watches.

    Attributes:
        sequence: campaign-wide, without gaps; a client rejoins from the last one it saw.
        name: for instance "confirmed", "episode_progress", "promoted".
        data: plain values, never patient data.
    """

    sequence: int
    name: str
    data: dict[str, EventValue] = field(default_factory=dict)
