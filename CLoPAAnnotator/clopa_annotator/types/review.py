"""A second person's look at what was confirmed: verdicts, and the list of what waits for one.

A slot is *judged*: accepted, or returned to whoever annotated it. A verdict is about one confirmed version;
a newer version has none.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from clopa_annotator.errors import ConfigError, InputError
from clopa_annotator.geometry import Kji
from clopa_annotator.types.prompts import Mask
from clopa_annotator.types.targets import FIRST, Slot

Lps = tuple[float, float, float]

OWN_CASES = "review_own_cases"
"""The campaign's setting that lets people review what they confirmed themselves; verdicts name it."""
DOUBLE_READING = "double_reading"
"""The campaign's setting that says which share of the cases two people annotate, blind to each other."""
LONGEST_COMMENT = 4000


def is_double_read(settings: Mapping[str, Any], case_id: str) -> bool:
    """Whether a case is one of those that two people annotate.

    Drawn from the campaign's seed and the case's name alone: the same on every machine, whatever the order of
    cases, and a larger share keeps everything that a smaller one had drawn.
    """
    share = settings.get(DOUBLE_READING)
    if not isinstance(share, int | float) or not share > 0:
        return False
    seed = f"clopa double reading\n{settings.get('seed', 0)}\n{case_id}"
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") < share * 2**64


class Verdict(str, Enum):
    """What a second person has decided about a slot's version."""

    NONE = "waiting"
    ACCEPTED = "accepted"
    RETURNED = "returned"


@dataclass(frozen=True)
class Judgement:
    """A reviewer's decision, on its way to the cache.

    Attributes:
        case_id: name of the case.
        verdict: accepted or returned.
        reviewer: identity of the person.
        seen: see `ReviewRow.seen`: what the reviewer has looked at; None for whatever is there.
        comment: why it is returned, in words; may say something about an accepted one too.
        place_lps_mm: where to look, in LPS millimetres; None if no place is marked.
        slot: what of the case.
        version: the version to accept, where two people have read the case; None for the one that trains.
    """

    case_id: str
    verdict: Verdict
    reviewer: str
    seen: int | None = None
    comment: str = ""
    place_lps_mm: Lps | None = None
    slot: Slot = FIRST
    version: int | None = None

    def __post_init__(self) -> None:
        if self.verdict is Verdict.NONE:
            raise InputError("A case is accepted or returned; there is no third verdict.")
        if not self.reviewer.strip():
            raise InputError("A verdict needs the reviewer's name. Type yours first.")
        if self.verdict is Verdict.RETURNED and not self.comment.strip():
            raise InputError("Say what has to be mended: a returned case needs a comment.")
        if len(self.comment) > LONGEST_COMMENT:
            raise InputError(f"A comment has at most {LONGEST_COMMENT} characters.")
        place = self.place_lps_mm
        if place is not None and not (len(place) == 3 and all(math.isfinite(x) for x in place)):
            raise InputError("A marked place is three finite numbers, in millimetres.")


@dataclass(frozen=True)
class ReviewRow:
    """One slot with a confirmed version, as the list of a review shows it.

    Attributes:
        case_id: name of the case.
        slot: what of it.
        verdict: what was decided about the version.
        annotator: who confirmed it.
        case_version: its number.
        sequence: its campaign-wide number.
        seen: number of the newest thing that happened to the slot; a judgement names it, so that nobody
            judges what has changed meanwhile.
        reviewer: who judged it; empty if nobody has.
        comment: what the reviewer said.
        place_lps_mm: place that the reviewer marked.
        measured: Dice of the first mask shown against the confirmed one; NaN if none was shown.
        expected: Dice that its suggestion was expected to reach; NaN if that is not known.
        confirmed_at: ISO 8601 instant.
        is_absent: its mask is empty.
    """

    case_id: str
    slot: Slot
    verdict: Verdict
    annotator: str
    case_version: int
    sequence: int
    seen: int
    reviewer: str = ""
    comment: str = ""
    place_lps_mm: Lps | None = None
    measured: float = math.nan
    expected: float = math.nan
    confirmed_at: str = ""
    is_absent: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not known is None."""
        values = asdict(self)
        place, slot = values.pop("place_lps_mm"), values.pop("slot")
        for name in ("measured", "expected"):
            values[name] = None if math.isnan(values[name]) else values[name]
        values["verdict"] = self.verdict.value
        return {**values, "place_lps_mm": None if place is None else list(place), **slot}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ReviewRow:
        """The inverse of `to_dict`; keys of a newer version are ignored.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or of another type.
            ConfigError: what it says about the target cannot be.
        """
        known = {k: v for k, v in values.items() if k in cls.__dataclass_fields__}
        known["slot"] = Slot(values.get("target", ""), values.get("instance", 1))
        known["verdict"] = Verdict(values["verdict"])
        known["place_lps_mm"] = place_from(values.get("place_lps_mm"))
        for name in ("measured", "expected"):
            known[name] = math.nan if values.get(name) is None else float(values[name])
        return cls(**known)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a version under review can be held against.

    Attributes:
        shape_kji: voxels along k, j and i.
        earlier_version: number of the version before, withdrawn or not; None if there is none.
        earlier: its (k, j, i) mask.
        suggested_by: weights version that made the suggestion; None if none is kept.
        suggestion: its (k, j, i) mask.
    """

    shape_kji: Kji
    earlier_version: int | None = None
    earlier: Mask | None = None
    suggested_by: int | None = None
    suggestion: Mask | None = None


@dataclass(frozen=True)
class Agreement:
    """How well two people agree about one slot, neither having seen the other's mask.

    Attributes:
        case_id: name of the case.
        slot: what of it.
        first: who read it first.
        second: who read it second.
        dice: overlap of the two masks.
        nsd: surface Dice at 1 mm; NaN for two empty masks.
        volume_difference: second minus first, in shares of their mean; NaN for two empty masks.
    """

    case_id: str
    slot: Slot
    first: str
    second: str
    dice: float
    nsd: float
    volume_difference: float


@dataclass(frozen=True)
class PairAgreement:
    """The same for every slot of a target that a pair of people has read.

    Attributes:
        one: the person whose name comes first.
        two: the other.
        target: key of the target.
        readings: number of slots.
        dice: mean.
        lowest_dice: of a single slot.
        nsd: mean of those that have one.
        volume_difference: mean of the absolute values.
    """

    one: str
    two: str
    target: str
    readings: int
    dice: float
    lowest_dice: float
    nsd: float
    volume_difference: float


def place_from(values: Any) -> Lps | None:
    """A place in LPS millimetres from plain values; None for None.

    Raises:
        InputError: not three finite numbers.
    """
    if values is None:
        return None
    good = isinstance(values, list | tuple) and len(values) == 3
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)] if good else []
    if len(numbers) != 3 or not all(math.isfinite(v) for v in numbers):
        raise InputError("A marked place is three finite numbers, in millimetres.")
    x, y, z = (float(v) for v in numbers)
    return (x, y, z)


@dataclass(frozen=True)
class ReviewFilter:
    """Which rows a list shows; what is left at its default leaves nothing out.

    A row whose quality is not known (NaN) is left out by every bound on that quality.

    Attributes:
        verdict: only these.
        annotator: only what this person confirmed, whatever the case of the letters.
        target: key of the target; None for every one.
        expected_below: only rows whose expected Dice is lower.
        expected_above: only rows whose expected Dice is at least this.
        measured_below: only rows whose measured Dice is lower.
        measured_above: only rows whose measured Dice is at least this.
    """

    verdict: Verdict | None = None
    annotator: str = ""
    target: str | None = None
    expected_below: float | None = None
    expected_above: float | None = None
    measured_below: float | None = None
    measured_above: float | None = None

    def __post_init__(self) -> None:
        bounds = (self.expected_below, self.expected_above, self.measured_below, self.measured_above)
        if not all(bound is None or 0 <= bound <= 1 for bound in bounds):
            raise ConfigError("Quality is a Dice value: choose a bound between 0 and 1.")

    def shows(self, row: ReviewRow) -> bool:
        """Whether a row belongs to the list."""
        asked = self.annotator.strip().casefold()
        return (
            (self.verdict is None or row.verdict is self.verdict)
            and (not asked or row.annotator.strip().casefold() == asked)
            and (self.target is None or row.slot.target == self.target)
            and (self.expected_below is None or row.expected < self.expected_below)
            and (self.expected_above is None or row.expected >= self.expected_above)
            and (self.measured_below is None or row.measured < self.measured_below)
            and (self.measured_above is None or row.measured >= self.measured_above)
        )
