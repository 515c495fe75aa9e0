"""When to learn, and from which cases: pure counting, no clock and no files.

The *fraction* rule is CLoPA's (Esmaeili et al. 2026): an episode is due once

    unassigned >= max(int(k_d * size), ceil(1 / k_m))

cases wait, so ``k_d`` is an interval between episodes and not a filling level of the cache. When it fires,
the first ``ceil((1 - k_m) * n)`` of the ``n`` waiting arrivals train and the rest validate. Both sets only
grow.

The *interval* rule fires after every ``interval`` cases, for campaigns whose size nobody knows. It may be
shorter than ``1 / k_m``, where rounding each episode by itself would never hold a case out; so this rule
rounds over all cases so far, and holds one out as soon as two others are left to train on.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

from clopa_annotator.errors import ConfigError
from clopa_annotator.types import Split

MIN_TRAIN = 2
"""An episode needs at least this many cases to train on (CLoPA)."""


@dataclass(frozen=True)
class SchedulerSettings:
    """How often to learn.

    Attributes:
        size: expected number of cases of the campaign (N); the fraction rule counts in parts of it.
        k_d: fraction of ``size`` between two episodes, in (0, 1].
        k_m: fraction of the cases that is held out for validation, in (0, 1).
        rule: "fraction" (the paper's) or "interval".
        interval: number of cases between two episodes under the interval rule.
    """

    size: int = 20
    k_d: float = 0.25
    k_m: float = 0.2
    rule: Literal["fraction", "interval"] = "fraction"
    interval: int = 5

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"A campaign needs a size of at least one case, not {self.size}.")
        if not 0 < self.k_d <= 1:
            raise ConfigError(f"k_d is a fraction of the campaign: give a number in (0, 1], not {self.k_d}.")
        if not 0 < self.k_m < 1:
            raise ConfigError(f"k_m is the held-out fraction: give a number in (0, 1), not {self.k_m}.")
        if self.rule not in ("fraction", "interval"):
            raise ConfigError(f'The scheduler knows the rules "fraction" and "interval", not "{self.rule}".')
        if self.interval < 1:
            raise ConfigError(f"The interval between episodes is at least one case, not {self.interval}.")


def threshold(settings: SchedulerSettings) -> int:
    """Number of waiting cases at which an episode is due."""
    if settings.rule == "interval":
        return settings.interval
    return max(int(_exact(settings.k_d) * settings.size), ceil(1 / _exact(settings.k_m)))


def due(settings: SchedulerSettings, split: Split) -> Split | None:
    """The split after assigning the waiting cases, or None if it is too early to learn."""
    if len(split.unassigned) < threshold(settings):
        return None
    return _assign(settings, split)


def final(settings: SchedulerSettings, split: Split) -> Split | None:
    """The split for a last episode with what still waits; None if nothing waits or too little could train.

    CLoPA leaves these cases out. Where no case has been held out yet the newest one is, if two remain to
    train on, because without it no candidate could ever be promoted.
    """
    return _assign(settings, split) if split.unassigned else None


def _assign(settings: SchedulerSettings, split: Split) -> Split | None:
    waiting = len(split.unassigned)
    train_share = 1 - _exact(settings.k_m)
    if settings.rule == "interval":
        total = len(split.train) + len(split.val) + waiting
        to_train = min(max(ceil(train_share * total) - len(split.train), 0), waiting)
    else:
        to_train = ceil(train_share * waiting)
    nothing_held_out = not split.val and to_train == waiting
    if nothing_held_out and len(split.train) + to_train > MIN_TRAIN:
        to_train -= 1
    if len(split.train) + to_train < MIN_TRAIN:
        return None
    return Split(train=split.train + split.unassigned[:to_train], val=split.val + split.unassigned[to_train:])


def _exact(value: float) -> Fraction:
    """A setting as the decimal a person typed, so that 0.2 is a fifth and ``ceil(0.8 * 35)`` is 28."""
    return Fraction(str(value))
