"""A mark: what was decided about a slot of a case besides its masks (in words: docs/formats/campaign.md)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from clopa_annotator.cache.format.record import MARK, open_document, slot_from_json, slot_to_json
from clopa_annotator.cache.format.sealed import seal
from clopa_annotator.errors import CorruptRecord, InputError
from clopa_annotator.types import CaseState, Slot
from clopa_annotator.types.review import Lps, place_from
from clopa_annotator.types.targets import FIRST

VERDICTS = ("accept", "return")
"""Actions of marks that a second person makes; they say more, under ``review``."""
_MARK_KEYS = ("sequence", "case_id", "action", "state", "case_version", "annotator", "reason", "at")


@dataclass(frozen=True)
class Reviewed:
    """What a second person's verdict says besides what every mark says.

    Attributes:
        case_version: the version accepted or returned.
        place_lps_mm: where the reviewer says to look; None if nowhere in particular.
        allowed_by: the campaign's setting without which this reviewer could not have judged it; or empty.
    """

    case_version: int
    place_lps_mm: Lps | None = None
    allowed_by: str = ""


@dataclass(frozen=True)
class Mark:
    """``m<sequence>.json``: a decision about a case that is not a mask.

    Attributes:
        sequence: campaign-wide number.
        case_id: name of the case.
        action: "withdraw", "reopen", "skip", "state", "accept" or "return".
        state: state of the case afterwards.
        case_version: the version withdrawn or returned; None for every other action.
        annotator: who decided.
        reason: why, in words.
        at: ISO 8601 instant.
        slot: what of the case it is about.
        review: what "accept" and "return" say besides; None for every other action.
    """

    sequence: int
    case_id: str
    action: str
    state: CaseState
    case_version: int | None = None
    annotator: str = ""
    reason: str = ""
    at: str = ""
    slot: Slot = FIRST
    review: Reviewed | None = None

    def to_document(self) -> bytes:
        """The content of the mark's file."""
        values = {name: getattr(self, name) for name in _MARK_KEYS}
        if self.review is not None:
            values["review"] = asdict(self.review)
        values["state"] = self.state.name
        return seal({"format": MARK, **slot_to_json(self.slot), **values})

    @classmethod
    def from_document(cls, document: bytes, name: str = "mark") -> Mark:
        """Read a mark; raises `CorruptRecord`."""
        values = open_document(document, MARK, name)
        try:
            given = {key: values[key] for key in _MARK_KEYS}
            given |= {"state": CaseState[values["state"]], "slot": slot_from_json(values, name)}
            if given["action"] in VERDICTS:
                review = values["review"]
                place = place_from(review["place_lps_mm"])
                given["review"] = Reviewed(review["case_version"], place, review["allowed_by"])
            return cls(**given)
        except KeyError as error:
            raise CorruptRecord(f"{name} lacks {error}.") from error
        except (TypeError, InputError) as error:
            raise CorruptRecord(f"{name} cannot be read: {error}") from error
