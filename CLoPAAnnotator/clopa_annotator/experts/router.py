"""Which expert fits a new image: ridge scores choose, typicality decides whether any fits at all.

The ridge regression (after EvoSAM) separates the experts that exist; by itself it would call a stranger
whatever it resembles most. So the chosen expert must also find the image typical: with features scaled by
the expert's own variance s^2, the mean squared distance to its centre

    q = mean_f (x_f - m_f)^2 / s_f^2

has expectation 1 + 1/n for a member, and its spread follows from the within-class correlations. Both come
from the same Gram statistics as the ridge solution, so nothing else is kept, the order of arrival does not
matter, and no threshold was tuned on data. An expert's own variances count, with a few samples' worth of
the variances of all experts added, because few cases say little about many features. q is compared with a
chi-squared distribution of the same mean and variance (Satterthwaite's approximation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from clopa_annotator.experts.expert_settings import RouterSettings
from clopa_annotator.experts.ridge import RidgeClassifier

Floats = npt.NDArray[np.float64]

BORROWED = 4.0
"""How many cases' worth of the experts' common covariance is added to an expert's own."""


@dataclass(frozen=True)
class Candidate:
    """How well one expert fits an image.

    Attributes:
        expert: its name.
        score: ridge score; about 1 for its own cases and 0 for others'.
        typicality: share of its own cases that would be further from its centre, 0 to 1.
    """

    expert: str
    score: float
    typicality: float


@dataclass(frozen=True)
class Route:
    """The router's proposal for an image; a person decides.

    Attributes:
        expert: the proposed one; None says that none fits.
        confidence: 0 to 1; how far the proposed expert leads, 0 if none fits.
        candidates: all experts, the best first.
        reason: a sentence with the numbers.
    """

    expert: str | None
    confidence: float
    candidates: tuple[Candidate, ...]
    reason: str


class Router:
    """Learns which images belong to which expert, one confirmed image at a time.

    Attributes:
        ridge: the statistics; keep them with ``ridge.to_arrays()``.
        settings: when an expert is proposed.
    """

    def __init__(self, ridge: RidgeClassifier, settings: RouterSettings | None = None) -> None:
        self.ridge = ridge
        self.settings = settings or RouterSettings()

    def learn(self, features: npt.ArrayLike, expert: str) -> None:
        """Add the (d,) features of one image of an expert's.

        Raises:
            InputError: another number of features, or a value that is not finite.
        """
        self.ridge.update(np.atleast_2d(np.asarray(features, dtype=np.float64)), expert)

    def route(self, features: npt.ArrayLike) -> Route:
        """The expert for an image with these (d,) features, or none.

        Raises:
            InputError: another number of features.
        """
        x = np.asarray(features, dtype=np.float64)
        known = [e for e in self.ridge.classes if self.ridge.statistics[e].count >= self.settings.least_cases]
        if not known:
            return Route(None, 0.0, (), "No expert has learned from enough cases to be proposed.")
        scores = self._scores(x)
        typicality = self._typicality(x, known)
        candidates = sorted(
            (Candidate(e, scores[e], typicality[e]) for e in known),
            key=lambda c: (-c.score, c.expert),
        )
        return self._decide(tuple(candidates))

    def _scores(self, x: Floats) -> dict[str, float]:
        solution = self.ridge.solve(self.settings.penalty)
        return dict(zip(solution.classes, map(float, solution.scores(x[None])[0]), strict=True))

    def _decide(self, candidates: tuple[Candidate, ...]) -> Route:
        best = candidates[0]
        if best.typicality < self.settings.typicality:
            reason = (
                f"None fits: the nearest expert, {best.expert}, finds this image less typical than "
                f"{100 * (1 - best.typicality):.1f} % of its own cases."
            )
            return Route(None, 0.0, candidates, reason)
        clipped = [max(c.score, 0.0) for c in candidates]
        lead = clipped[0] / sum(clipped) if sum(clipped) > 0 else 1 / len(candidates)
        reason = f"{best.expert} fits: score {best.score:.2f}, typicality {best.typicality:.2f}."
        return Route(best.expert, lead, candidates, reason)

    def _typicality(self, x: Floats, known: list[str]) -> dict[str, float]:
        statistics = [self.ridge.statistics[e] for e in known]
        freedom = sum(s.count - 1 for s in statistics)
        shared = sum((s.scatter for s in statistics), np.zeros((len(x), len(x)))) / freedom
        found = {}
        for expert, own in zip(known, statistics, strict=True):
            effective = own.count - 1 + BORROWED
            covariance = (own.scatter + BORROWED * shared) / effective
            variance = np.maximum(np.diag(covariance), 0.0)
            varies = variance > 1e-12 * max(float(variance.max(initial=0.0)), 1e-300)
            scale = np.sqrt(variance[varies])
            correlation = covariance[np.ix_(varies, varies)] / np.outer(scale, scale)
            q = float(np.mean(((x - own.mean)[varies] / scale) ** 2)) if varies.any() else 0.0
            found[expert] = _share_beyond(q, own.count, effective, correlation)
        return found


def _share_beyond(q: float, count: float, freedom: float, correlation: Floats) -> float:
    """Probability that a member's mean squared distance exceeds ``q``."""
    d = max(len(correlation), 1)
    mean = 1 + 1 / count
    # Sum of squared correlations, without what `freedom` samples would show of uncorrelated features.
    squared = float((correlation**2).sum())
    independent = max((squared - d * d / freedom) / (1 + 1 / freedom), float(d))
    spread = 2 * mean**2 * independent / d**2
    # The variances themselves are estimated: F's variance instead of chi-squared's.
    spread *= (freedom + 2) / max(freedom - 4, 1.0) if freedom > 4 else 3.0
    equivalent = 2 * mean**2 / spread
    return float(stats.chi2.sf(q * equivalent / mean, equivalent))
