"""In which order cases come to annotators, and which of them come without a suggestion. Pure functions.

The panel, the engine's suggestions and the simulation all go by `in_order`. Whatever is random is drawn
from a seed and the names alone: the same on every computer, at any time, for each case whatever the others.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clopa_annotator.config import CASE_ORDERS, CampaignConfig, CaseOrder, check_share
from clopa_annotator.errors import ConfigError
from clopa_annotator.types.targets import FIRST, Slot

BY_CERTAINTY: tuple[CaseOrder, ...] = ("least-certain", "most-certain")
"""The orders that need suggestions, and that change whenever those do."""

IN_WORDS: dict[CaseOrder, str] = {
    "added": "as added",
    "least-certain": "least certain first",
    "most-certain": "most certain first",
    "random": "at random",
}
"""How an order is called in a sentence that begins with "Cases come"."""


@dataclass(frozen=True)
class CaseSettings:
    """How the cases of a campaign come to its annotators; the lead's to change at any time.

    Attributes:
        order: see `in_order`.
        without_suggestion: share of the cases whose suggestion is withheld, see `withholds`.
        seed: of both draws; the campaign's.
    """

    order: CaseOrder = "added"
    without_suggestion: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.order not in CASE_ORDERS:
            raise ConfigError(f'There is no order "{self.order}"; there are {", ".join(CASE_ORDERS)}.')
        check_share(self.without_suggestion, "The share of cases without a suggestion")

    @classmethod
    def of(cls, config: CampaignConfig) -> CaseSettings:
        """Those of a campaign."""
        return cls(config.order, config.without_suggestion, config.seed)

    def into(self, config: CampaignConfig) -> CampaignConfig:
        """The campaign's settings with these, but for the seed."""
        return replace(config, order=self.order, without_suggestion=float(self.without_suggestion))

    def withholds(self, case_id: str, slot: Slot = FIRST) -> bool:
        """Whether the suggestion for a target of a case is made but not shown (anchoring check).

        Drawn once for ever: a larger share withholds these and some more, a smaller one some of these.
        """
        number = draw(self.seed, "without a suggestion", case_id, slot.target, str(slot.instance))
        return number < self.without_suggestion

    def arrange(self, case_ids: Sequence[str], certainty: Mapping[str, float]) -> list[str]:
        """These cases in this order, see `in_order`."""
        return in_order(case_ids, self.order, certainty, self.seed)


def in_order(
    case_ids: Sequence[str], order: CaseOrder, certainty: Mapping[str, float], seed: int | str = 0
) -> list[str]:
    """Cases in the order in which they are to be annotated.

    Args:
        case_ids: in the order in which they were added.
        order: "added"; "least-certain" first, which the model learns most from; "most-certain" first, which
            are finished quickly; or "random".
        certainty: how sure the model is of each case, larger for a better suggestion. Cases that are missing
            or NaN come after all others in either order by certainty, as they were added; so do equal ones.
        seed: of the random order, which puts each pair of cases the same way whatever the others are.
    """
    if order == "random":
        return sorted(case_ids, key=lambda case_id: draw(seed, "order", case_id))
    if order not in BY_CERTAINTY:
        return list(case_ids)
    sign = 1 if order == "least-certain" else -1

    def place(case_id: str) -> tuple[bool, float]:
        sure = certainty.get(case_id, math.nan)
        return (True, 0.0) if math.isnan(sure) else (False, sign * sure)

    return sorted(case_ids, key=place)


def mean_certainty(scores: Sequence[float]) -> float:
    """How sure the model is of a case with several targets: the mean over those with a score; NaN if none."""
    known = [score for score in scores if math.isfinite(score)]
    return sum(known) / len(known) if known else math.nan


def draw(seed: int | str, *names: str) -> float:
    """A number in [0, 1) that depends on seed and names only."""
    text = "\0".join((str(seed), *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56
