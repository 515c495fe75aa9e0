"""Whether a candidate replaces the current weights: a pure decision on paired scores.

The same held-out confirmed cases go through the real session with both weights; the pairs come here. A
candidate is promoted if the mean gain exceeds ``min_gain`` and no single case loses more than ``worst_drop``.
Whatever cannot be compared is not promoted: no silent worse model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clopa_annotator.errors import ConfigError
from clopa_annotator.types import GateDecision

_ROUNDING = 1e-9
"""Two scores that differ by less are equal; sums of equal numbers may differ by their rounding."""


@dataclass(frozen=True)
class GateSettings:
    """What a candidate has to reach, in units of the score (Dice).

    Attributes:
        min_gain: the mean gain must be above this.
        worst_drop: the largest loss that a single case may suffer.
    """

    min_gain: float = 0.0
    worst_drop: float = 0.2

    def __post_init__(self) -> None:
        if not math.isfinite(self.min_gain) or not 0 <= self.min_gain <= 1:
            raise ConfigError(f"The gate's smallest gain is between 0 and 1, not {self.min_gain}.")
        if not math.isfinite(self.worst_drop) or not 0 <= self.worst_drop <= 1:
            raise ConfigError(f"The gate's largest drop is between 0 and 1, not {self.worst_drop}.")


def decide(
    case_ids: Sequence[str], before: Sequence[float], after: Sequence[float], settings: GateSettings
) -> GateDecision:
    """Compare a candidate with the current weights.

    Args:
        case_ids: the held-out cases.
        before: score of the current weights per case, in [0, 1].
        after: score of the candidate per case, in the same order.
        settings: the limits.

    Returns:
        The decision with its numbers and a sentence that a person understands.

    Raises:
        ConfigError: the three sequences are not of one length.
    """
    if not len(case_ids) == len(before) == len(after):
        raise ConfigError(
            f"The gate compares pairs, but got {len(case_ids)} cases, {len(before)} scores before "
            f"and {len(after)} after."
        )
    promoted, reason = _judge(case_ids, before, after, settings)
    pairs = (tuple(map(float, before)), tuple(map(float, after)))
    return GateDecision(promoted, reason, tuple(case_ids), *pairs)


def _judge(
    case_ids: Sequence[str], before: Sequence[float], after: Sequence[float], settings: GateSettings
) -> tuple[bool, str]:
    if not case_ids:
        return False, "Not promoted: no confirmed case is held out yet, so nothing shows that it is better."
    broken = [c for c, b, a in zip(case_ids, before, after, strict=True) if not math.isfinite(b + a)]
    if broken:
        return False, f"Not promoted: the score of case {broken[0]} is not a number and cannot be compared."
    changes = [a - b for b, a in zip(before, after, strict=True)]
    gain = math.fsum(changes) / len(changes)
    worst = min(changes)
    means = (
        f"mean score {math.fsum(before) / len(before):.3f} before, {math.fsum(after) / len(after):.3f} after "
        f"on {len(changes)} held-out case{'s' if len(changes) > 1 else ''}"
    )
    if gain <= settings.min_gain + _ROUNDING:
        needed = f" by more than {settings.min_gain:.3f}" if settings.min_gain > 0 else ""
        return False, f"Not promoted: no better{needed} ({means})."
    if worst < -settings.worst_drop - _ROUNDING:
        case = case_ids[changes.index(worst)]
        return False, (
            f"Not promoted: case {case} loses {-worst:.3f}, more than the {settings.worst_drop:.3f} that one "
            f"case may lose ({means})."
        )
    return True, f"Promoted: better by {gain:.3f} ({means}; worst change of a case {worst:+.3f})."
