"""When to learn, and from which cases: pure counting, no clock and no files.

The rule is CLoPA's (Esmaeili et al. 2026): an episode is due once

    unassigned >= max(int(k_d * size), ceil(1 / k_m))

cases wait, so ``k_d`` is an interval between episodes and not a filling level of the cache. Of ``n`` cases
between two episodes ``ceil((1 - k_m) * n)`` train and the rest validate. Both sets only grow.

With `SchedulerSettings.first` (ours) the first episode comes after so many cases, and the next one whenever
the cases have doubled, until the interval is reached: what a case adds falls with how many there are.

In CLoPA a case gets its role when an episode fires. Here it gets it when it is first confirmed
(`next_is_held_out`), because a strategy may learn from it at once: the counts are CLoPA's, the order within
the first interval is not.

Where a campaign has several targets, each counts for itself, and one episode trains at a time: `whose_turn`
says which target's is next.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from clopa_annotator.config import CampaignConfig
from clopa_annotator.errors import ConfigError
from clopa_annotator.types import Split

MIN_TRAIN = 2
"""An episode needs at least this many cases to train on (CLoPA)."""


@dataclass(frozen=True)
class Share:
    """How many cases have which role.

    Attributes:
        train: cases to train on.
        held_out: cases that validate and never train.
    """

    train: int = 0
    held_out: int = 0


@dataclass(frozen=True)
class SchedulerSettings:
    """How often to learn.

    Attributes:
        size: expected number of cases of the campaign (N).
        k_d: fraction of ``size`` between two episodes, in (0, 1].
        k_m: fraction of the cases that is held out for validation, in (0, 1).
        first: cases until the first episode; 0 for the interval, as in CLoPA.
    """

    size: int = 20
    k_d: float = 0.25
    k_m: float = 0.2
    first: int = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"A campaign needs a size of at least one case, not {self.size}.")
        if not 0 < self.k_d <= 1:
            raise ConfigError(f"k_d is a fraction of the campaign: give a number in (0, 1], not {self.k_d}.")
        if not 0 < self.k_m < 1:
            raise ConfigError(f"k_m is the held-out fraction: give a number in (0, 1), not {self.k_m}.")
        if self.first != 0 and self.first <= MIN_TRAIN:
            raise ConfigError(
                f"The first episode comes after {MIN_TRAIN + 1} cases at the earliest: {MIN_TRAIN} to train "
                f"on, one held out; not after {self.first}."
            )


def interval(settings: SchedulerSettings) -> int:
    """Number of waiting cases at which an episode is due in CLoPA."""
    return max(int(_exact(settings.k_d) * settings.size), ceil(1 / _exact(settings.k_m)))


def needed(settings: SchedulerSettings, assigned: int) -> int:
    """Number of waiting cases at which an episode is due.

    Args:
        settings: the campaign's.
        assigned: cases that an episode has seen.
    """
    if settings.first == 0:
        return interval(settings)
    return min(interval(settings), max(settings.first, assigned))


def scheduler_settings(config: CampaignConfig) -> SchedulerSettings:
    """A campaign's scheduler.

    Raises:
        ConfigError: its ``first_episode`` is too early.
    """
    return SchedulerSettings(size=config.size, first=config.first_episode or 0)


def next_is_held_out(settings: SchedulerSettings, given: Share, present: Share) -> bool:
    """Whether the next case to be confirmed for the first time is held out: a case's role, decided once.

    Each `interval` holds out as many as CLoPA does, its last ones.
    One of them comes earlier: as soon as two cases are there to train on, the next one is held out if none
    is, because without a held-out case no candidate could ever be promoted, also one of "Train now".

    Args:
        settings: the campaign's.
        given: roles given so far, to withdrawn cases too.
        present: roles of the cases that are confirmed and not withdrawn.
    """
    if not present.held_out and present.train >= MIN_TRAIN:
        return True
    train_share, total = 1 - _exact(settings.k_m), given.train + given.held_out
    length = interval(settings)
    past, place = divmod(total, length)
    left = (length - ceil(train_share * length)) * (past + 1) - given.held_out
    return place >= length - left


def due(
    settings: SchedulerSettings,
    split: Split,
    held_out: Container[int],
    waiting: int | None = None,
    assigned: int | None = None,
) -> Split | None:
    """The split after assigning the waiting cases, or None if it is too early to learn.

    Args:
        settings: the campaign's.
        split: who has a part already, and who waits.
        held_out: sequence numbers of the waiting cases whose role is to be held out.
        waiting: how many cases wait, where one may have several masks; None for a mask each.
        assigned: how many cases an episode has seen, likewise.
    """
    seen = len(split.train) + len(split.val) if assigned is None else assigned
    if (len(split.unassigned) if waiting is None else waiting) < needed(settings, seen):
        return None
    return _assign(split, held_out)


def final(split: Split, held_out: Container[int]) -> Split | None:
    """The split for an episode with what waits now; None if nothing waits or too little could train.

    CLoPA leaves the cases that wait at the end out. Roles are those that `next_is_held_out` gave.
    """
    return _assign(split, held_out) if split.unassigned else None


@dataclass(frozen=True)
class Due:
    """A target whose episode is due.

    Attributes:
        target: its key.
        score: of the weights in use on its held-out cases, in [0, 1]; None before its first comparison.
        trained: cases that its last episode trained on.
        waiting: cases that no episode of it has seen.
        passed_over: episodes of other targets that were started since it was due.
    """

    target: str
    score: float | None = None
    trained: int = 0
    waiting: int = 0
    passed_over: int = 0

    @property
    def gain(self) -> float:
        """What its episode may gain, in [0, 1]: what is left to gain, by the share of new cases."""
        room = 1.0 if self.score is None else min(max(1.0 - self.score, 0.0), 1.0)
        return room * self.waiting / max(self.trained + self.waiting, 1)


def whose_turn(targets: Sequence[Due]) -> Due | None:
    """The target that learns next: the one with most to gain, but none is passed over without end.

    A target that was passed over as often as there are targets goes first, the longest waiting of them. So
    of n targets none sees more than 2n - 1 episodes of others between being due and its own.

    Args:
        targets: those whose episode is due, in the campaign's order, which decides between equals.
    """
    late = [t for t in targets if t.passed_over >= len(targets)]
    if late:
        return max(late, key=lambda t: t.passed_over)
    return max(targets, key=lambda t: t.gain, default=None)


def _assign(split: Split, held_out: Container[int]) -> Split | None:
    train = split.train + tuple(n for n in split.unassigned if n not in held_out)
    if len(train) < MIN_TRAIN:
        return None
    return Split(train=train, val=split.val + tuple(n for n in split.unassigned if n in held_out))


def _exact(value: float) -> Fraction:
    """A setting as the decimal a person typed, so that 0.2 is a fifth and ``ceil(0.8 * 35)`` is 28."""
    return Fraction(str(value))
