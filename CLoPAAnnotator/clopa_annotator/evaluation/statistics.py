"""Who is better, and is it more than chance: Wilcoxon, McNemar, and a ranking by significant wins.

Edge cases: pairs with a NaN are left out; pairs without a difference say nothing and are dropped (Wilcoxon's
own way); with nothing left, p is 1. No correction for multiple comparisons is made, as in the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from clopa_annotator.errors import InputError

ALPHA = 0.05
EXACT_UP_TO = 50
"""Pairs up to which the Wilcoxon distribution is counted out; beyond, it is approximated by a normal one."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairedTest:
    """Outcome of a paired test.

    Attributes:
        p: two-sided probability of such a difference by chance.
        direction: 1 if the first of the pair has the larger values, -1 if the second, 0 if neither.
        n: pairs that had a say.
    """

    p: float
    direction: int
    n: int

    def significant(self, alpha: float = ALPHA) -> bool:
        """Whether p is strictly below alpha."""
        return self.p < alpha


def wilcoxon(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Paired two-sided Wilcoxon signed-rank test.

    Exact for up to 50 differing pairs, also with tied differences (their mean ranks are counted out like any
    others); beyond, SciPy's normal approximation with tie correction.

    Raises:
        InputError: the sequences have different lengths.
    """
    differences = _differences(first, second)
    n = len(differences)
    if n == 0:
        return PairedTest(1.0, 0, 0)
    ranks = stats.rankdata(np.abs(differences))
    positive = float(ranks[differences > 0].sum())
    negative = float(ranks[differences < 0].sum())
    direction = (positive > negative) - (positive < negative)
    if n <= EXACT_UP_TO:
        p = _exact_p(ranks, min(positive, negative))
    else:
        p = float(stats.wilcoxon(differences, method="approx").pvalue)
    return PairedTest(p, direction, n)


def _check_pairs(first: int, second: int) -> None:
    if first != second:
        raise InputError(
            f"A paired test needs as many values on both sides, but there are {first} and {second}; compare "
            "runs on the same cases."
        )


def _differences(first: Sequence[float], second: Sequence[float]) -> Floats:
    _check_pairs(len(first), len(second))
    raw = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
    # Scores that differ by rounding only are equal: 0.1 + 0.2 must not rank against 0.3.
    kept: Floats = raw[np.isfinite(raw) & (np.abs(raw) > 1e-12)]
    return np.round(kept, 12)


def _exact_p(ranks: Floats, statistic: float) -> float:
    """Share of the 2^n sign patterns whose smaller rank sum is at most ``statistic``.

    Mean ranks are multiples of one half, so twice a rank is whole and the sums can be counted by convolution.
    """
    doubled = np.rint(2 * ranks).astype(int)
    counts = np.zeros(int(doubled.sum()) + 1)
    counts[0] = 1.0
    for rank in doubled:
        shifted = np.zeros_like(counts)
        shifted[rank:] = counts[: len(counts) - rank]
        counts = (counts + shifted) / 2
    return min(1.0, 2 * float(counts[: round(2 * statistic) + 1].sum()))


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> PairedTest:
    """Exact two-sided McNemar test of paired yes/no outcomes, here: failures.

    Only pairs in which exactly one side says yes count; with none, p is 1.

    Raises:
        InputError: the sequences have different lengths.
    """
    _check_pairs(len(first), len(second))
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    n = only_first + only_second
    direction = (only_first > only_second) - (only_first < only_second)
    if n == 0:
        return PairedTest(1.0, 0, 0)
    p = min(1.0, 2 * float(stats.binom.cdf(min(only_first, only_second), n, 0.5)))
    return PairedTest(p, direction, n)


@dataclass(frozen=True)
class Rank:
    """Place of one method in one metric.

    Attributes:
        place: 1 is best; methods with equally many wins share a place and the next one is skipped.
        wins: methods that it beats significantly.
    """

    place: int
    wins: int


def rank(
    values: Mapping[str, Sequence[float]], *, higher_is_better: bool = True, alpha: float = ALPHA
) -> dict[str, Rank]:
    """Rank methods by significant Wilcoxon wins over each other.

    Args:
        values: per method its values on the same cases in the same order.
        higher_is_better: False for numbers of interactions.
        alpha: level of significance.
    """
    sign = 1 if higher_is_better else -1
    return _rank_by(values, lambda a, b: _wins(wilcoxon(values[a], values[b]), sign, alpha))


def rank_failures(failed: Mapping[str, Sequence[bool]], alpha: float = ALPHA) -> dict[str, Rank]:
    """Rank methods by significant McNemar wins: fewer failures are better."""
    return _rank_by(failed, lambda a, b: _wins(mcnemar(failed[a], failed[b]), -1, alpha))


def _wins(test: PairedTest, sign: int, alpha: float) -> bool:
    return test.significant(alpha) and test.direction == sign


def _rank_by(names: Iterable[str], beats: Callable[[str, str], bool]) -> dict[str, Rank]:
    every = list(names)
    wins = {a: sum(beats(a, b) for b in every if b != a) for a in every}
    return {a: Rank(1 + sum(other > wins[a] for other in wins.values()), wins[a]) for a in every}
