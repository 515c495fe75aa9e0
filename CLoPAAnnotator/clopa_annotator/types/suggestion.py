"""What the model proposes for a whole image before anybody has clicked. Never a confirmation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from clopa_annotator.types.prompts import Mask


class SuggestionUse(str, Enum):
    """What a person made of the model's suggestion for a case; kept with the confirmation."""

    NONE = "none"
    """There was none to show."""
    WITHHELD = "withheld"
    """There was one, and it was not shown: the campaign asks what a person does without."""
    UNTOUCHED = "untouched"
    """It was confirmed as it was shown."""
    TAKEN = "taken"
    """It was the start, and was changed."""
    CLEARED = "cleared"
    """It was thrown away, and the work began without it."""


@dataclass(frozen=True, eq=False)
class WholeImageAnswer:
    """A segmentation of a whole image without any prompt.

    Attributes:
        mask: (k, j, i) uint8 mask on the image's grid.
        foreground: (k, j, i) uint8: probability of the target in 255ths, where it was looked at closely.
        agreement: Dice between the answers to the image and to its mirror images, in [0, 1]; NaN if no mirror
            image was looked at.
        weights_version: number of the weights version that made it.
        passes: passes of the network that it took.
        seconds: time in these passes, without what came between them.
    """

    mask: Mask
    foreground: npt.NDArray[np.uint8]
    agreement: float
    weights_version: int
    passes: int
    seconds: float


@dataclass(frozen=True, order=True)
class Subject:
    """What a suggestion is about.

    Attributes:
        case_id: name of the case.
        target: key of the campaign's target; empty for the one of a campaign that has one.
        instance: which of several such structures, from 1.
    """

    case_id: str
    target: str = ""
    instance: int = 1


@dataclass(frozen=True, eq=False)
class Suggestion:
    """A kept suggestion.

    Attributes:
        subject: case, target and instance.
        mask: (k, j, i) uint8 mask on the image's grid.
        weights_version: version that made it; stale once another is in use.
        scores: how sure it is, by the name of the score, each larger for a better mask; see `suggestions`.
        seconds: time that it took.
        mask_hash: SHA-256 of the mask's bytes, hexadecimal; filled in when it is kept.
        made_at: ISO 8601 instant; filled in when it is kept.
    """

    subject: Subject
    mask: Mask
    weights_version: int
    scores: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    mask_hash: str = ""
    made_at: str = ""

    @property
    def head(self) -> SuggestionHead:
        """The same without its mask."""
        return SuggestionHead(self.subject, self.weights_version, self.scores, self.made_at)


@dataclass(frozen=True)
class SuggestionHead:
    """A kept suggestion without its mask; see `Suggestion`."""

    subject: Subject
    weights_version: int
    scores: Mapping[str, float] = field(default_factory=dict)
    made_at: str = ""


@dataclass(frozen=True)
class Outcome:
    """How good a suggestion turned out to be, once its case was confirmed.

    Attributes:
        subject: case, target and instance.
        weights_version: version that had made the suggestion.
        scores: those of the suggestion.
        dice: of the suggestion with the confirmed mask.
        sequence: number of the confirmation.
    """

    subject: Subject
    weights_version: int
    scores: Mapping[str, float]
    dice: float
    sequence: int


@dataclass(frozen=True)
class Expectation:
    """How good a mask is expected to be.

    Attributes:
        dice: expected Dice with what will be confirmed; NaN if not known yet.
        low: lower end of the interval that holds the true value in nine of ten cases.
        high: its upper end.
        cases: confirmed cases that this rests on.
    """

    dice: float = math.nan
    low: float = math.nan
    high: float = math.nan
    cases: int = 0

    @property
    def known(self) -> bool:
        """Whether enough cases have been confirmed to say anything."""
        return not math.isnan(self.dice)
