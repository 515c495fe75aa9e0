"""Ridge regression on cumulative statistics: learning case by case gives what learning all at once gives.

For features x (with a constant 1 appended) and targets y the solution of

    min_W  sum_n w_n |W^T x_n - y_n|^2 + lambda |W|^2      is      W = (G + lambda I)^-1 C

with the Gram matrix G = sum w x x^T and the cross-correlation C = sum w x y^T. Both are sums, so they can be
added up in any order and from any number of places without keeping data, and nothing learned earlier fades.
All sums are float64. (After EvoSAM, Liu et al. 2025, and the analytic continual learning it builds on.)

Classes are balanced when *solving*, from statistics kept per class: weights that depend on how often each
class has been seen so far would otherwise make the result depend on the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import ConfigError, CorruptRecord, InputError

Floats = npt.NDArray[np.float64]


@dataclass
class ClassStatistics:
    """Sums over the samples of one class.

    Attributes:
        count: number of samples.
        gram: (d + 1, d + 1) sum of x x^T with x = (features, 1); its last row is the sum of x.
    """

    count: float
    gram: Floats

    @property
    def total(self) -> Floats:
        """(d + 1,) sum of x."""
        total: Floats = self.gram[-1]
        return total

    @property
    def mean(self) -> Floats:
        """(d,) mean feature."""
        mean: Floats = self.gram[-1, :-1] / max(self.count, 1.0)
        return mean

    @property
    def scatter(self) -> Floats:
        """(d, d) sum of (x - mean)(x - mean)^T, without the constant."""
        scatter: Floats = self.gram[:-1, :-1] - self.count * np.outer(self.mean, self.mean)
        return scatter


@dataclass(frozen=True, eq=False)
class RidgeSolution:
    """An affine map from features to one score per class.

    Attributes:
        classes: in the order of the columns.
        weights: (d, classes).
        bias: (classes,).
    """

    classes: tuple[str, ...]
    weights: Floats
    bias: Floats

    def scores(self, features: npt.ArrayLike) -> Floats:
        """(n, classes) scores of (n, d) features; about 1 for the own class and 0 for another."""
        scores: Floats = np.asarray(features, dtype=np.float64) @ self.weights + self.bias
        return scores


@dataclass
class RidgeClassifier:
    """Class statistics that grow, and the ridge solution for one-hot targets.

    Attributes:
        dimension: number of features d.
        statistics: sums per class name.
    """

    dimension: int
    statistics: dict[str, ClassStatistics] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.dimension < 1:
            raise ConfigError(f"A ridge regression needs at least one feature, not {self.dimension}.")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, sorted, so that the order of arrival cannot matter."""
        return tuple(sorted(self.statistics))

    def update(self, features: npt.ArrayLike, label: str) -> None:
        """Add samples of one class.

        Args:
            features: (n, d) values; n may be 0.
            label: the class, which may be new.

        Raises:
            InputError: another number of features, or a value that is not finite; nothing was added.
        """
        x = np.asarray(features, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self.dimension:
            raise InputError(f"Features of shape {x.shape} do not fit a regression on {self.dimension}.")
        if not np.isfinite(x).all():
            raise InputError("A feature is not finite; the case was not learned from.")
        x = np.hstack([x, np.ones((len(x), 1))])
        own = self.statistics.setdefault(label, self._empty())
        own.gram += x.T @ x
        own.count += len(x)

    def merge(self, other: RidgeClassifier) -> None:
        """Add another's statistics, as if its samples had been given here.

        Raises:
            InputError: another number of features.
        """
        if other.dimension != self.dimension:
            raise InputError(f"Statistics on {other.dimension} features do not fit {self.dimension}.")
        for label, theirs in other.statistics.items():
            own = self.statistics.setdefault(label, self._empty())
            own.gram += theirs.gram
            own.count += theirs.count

    def forget(self, label: str) -> None:
        """Drop a class; the others' statistics stay as they are."""
        self.statistics.pop(label, None)

    def solve(self, penalty: float = 1e-3, balanced: bool = True) -> RidgeSolution:
        """The ridge solution for one-hot targets, on features scaled to unit variance.

        Args:
            penalty: lambda, as a share of the (weighted) number of samples; the constant is not penalised.
            balanced: give every class the same total weight.

        Raises:
            ConfigError: a penalty that is not positive.
            InputError: no sample yet.
        """
        if not penalty > 0:
            raise ConfigError(f"The ridge penalty must be positive, but is {penalty}.")
        filled = [c for c in self.classes if self.statistics[c].count > 0]
        if not filled:
            raise InputError("Nothing has been learned yet; give at least one sample.")
        share = {c: 1 / self.statistics[c].count if balanced else 1.0 for c in filled}
        gram = sum((share[c] * self.statistics[c].gram for c in filled), np.zeros_like(self._empty().gram))
        cross = np.stack([share[c] * self.statistics[c].total for c in filled], axis=1)
        return _solve_centred(tuple(filled), gram, cross, penalty)

    def _empty(self) -> ClassStatistics:
        return ClassStatistics(0.0, np.zeros((self.dimension + 1, self.dimension + 1)))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Plain arrays for a file that needs no pickle."""
        names = self.classes
        side = self.dimension + 1
        return {
            "names": np.frombuffer("\n".join(names).encode("utf-8"), dtype=np.uint8),
            "counts": np.array([self.statistics[c].count for c in names], dtype=np.float64),
            "grams": np.array([self.statistics[c].gram for c in names]).reshape(len(names), side, side),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> RidgeClassifier:
        """The inverse of `to_arrays`, bit for bit.

        Raises:
            CorruptRecord: the arrays do not belong together or are not finite.
        """
        try:
            text = np.asarray(arrays["names"], dtype=np.uint8).tobytes().decode("utf-8")
            counts = np.asarray(arrays["counts"], dtype=np.float64)
            grams = np.asarray(arrays["grams"], dtype=np.float64)
        except (KeyError, ValueError, UnicodeDecodeError) as error:
            raise CorruptRecord("The ridge statistics on disk are incomplete; rebuild the expert.") from error
        names = text.split("\n") if text else []
        fits = grams.ndim == 3 and grams.shape[1] == grams.shape[2] >= 2
        if not fits or not len(names) == len(counts) == len(grams) or not np.isfinite(grams).all():
            raise CorruptRecord("The ridge statistics on disk are damaged; rebuild the expert.")
        rows = zip(names, counts, grams, strict=True)
        statistics = {name: ClassStatistics(float(n), gram.copy()) for name, n, gram in rows}
        return cls(int(grams.shape[1]) - 1, statistics)


def _solve_centred(classes: tuple[str, ...], gram: Floats, cross: Floats, penalty: float) -> RidgeSolution:
    """Solve after centring and scaling, both derived from the sums, so that no constant is penalised."""
    total = gram[-1, -1]
    mean = gram[-1, :-1] / total
    covariance = gram[:-1, :-1] / total - np.outer(mean, mean)
    scale = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    # A constant feature has no say; without this its rounding noise would be blown up to unit variance.
    floor = 1e-9 * (np.abs(mean) + float(scale.max(initial=0.0)) + 1e-300)
    inverse = np.where(scale > floor, 1 / np.maximum(scale, floor), 0.0)
    target_mean = cross[-1] / total
    rhs = (cross[:-1] / total - np.outer(mean, target_mean)) * inverse[:, None]
    system = covariance * np.outer(inverse, inverse) + penalty * np.eye(len(mean))
    weights = np.linalg.solve(system, rhs) * inverse[:, None]
    return RidgeSolution(classes, weights, target_mean - mean @ weights)
