"""From how sure the model is to how good its mask will be, learned from the campaign's own confirmed cases.

A Bayesian line between the logits of the score and of the Dice, with a conjugate normal-inverse-gamma
prior (Gelman et al., Bayesian Data Analysis, chapter 14): its predictive distribution is a Student t whose
width says how few cases it rests on. The prior says that a mask is about as good as its score, vaguely; the
cases decide. Outcomes of earlier weights versions count less, because a version changes how the two relate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, stdtrit

from clopa_annotator.errors import ConfigError
from clopa_annotator.suggestions.scores import certainty
from clopa_annotator.types import Expectation, Outcome

Floats = npt.NDArray[np.float64]
_NEAREST = 0.01
"""Scores and Dice are kept so far from 0 and 1 before their logit is taken."""
_PRIOR_SHAPE = 0.5
"""Half the degrees of freedom that the prior's spread is worth: one case's."""


@dataclass(frozen=True)
class CalibrationSettings:
    """How outcomes become expectations.

    Attributes:
        least: confirmed cases before anything is said.
        coverage: share of the true values that the interval is to hold.
        newest: so many outcomes count, the newest.
        older: weight of an outcome of another weights version than the suggestion's.
        trust: cases that the prior is worth.
        spread: standard deviation of the logit of the Dice that the prior expects.
    """

    least: int = 5
    coverage: float = 0.9
    newest: int = 60
    older: float = 0.5
    trust: float = 1.0
    spread: float = 0.4

    def __post_init__(self) -> None:
        if self.least < 1 or self.newest < self.least:
            raise ConfigError("A calibration needs at least one case, and takes no fewer than it needs.")
        if not (0 < self.coverage < 1 and 0 < self.older <= 1 and self.trust > 0 and self.spread > 0):
            raise ConfigError("Coverage and weights lie between 0 and 1, trust and spread above 0.")


class Calibration:
    """What a campaign's past says about the suggestions of one target."""

    def __init__(
        self, outcomes: Sequence[Outcome], settings: CalibrationSettings = CalibrationSettings()
    ) -> None:
        """Take the newest outcomes that have a score.

        Args:
            outcomes: of one target, in any order; one per subject.
            settings: see `CalibrationSettings`.
        """
        known = [o for o in outcomes if math.isfinite(certainty(o.scores)) and math.isfinite(o.dice)]
        self._outcomes = sorted(known, key=lambda o: o.sequence)[-settings.newest :]
        self._settings = settings

    @property
    def cases(self) -> int:
        """Confirmed cases that it rests on."""
        return len(self._outcomes)

    def expect(self, score: float, weights_version: int) -> Expectation:
        """The Dice to expect of a suggestion.

        Args:
            score: how sure it is, see `scores.certainty`.
            weights_version: version that made it.

        Returns:
            An expectation that is not `known` where too few cases were confirmed, or the score is NaN.
        """
        if self.cases < self._settings.least or not math.isfinite(score):
            return Expectation(cases=self.cases)
        x = np.array([1.0, _logit(score)])
        mean, scale, freedom = self._predict(x, weights_version)
        reach = float(stdtrit(freedom, 0.5 + self._settings.coverage / 2)) * scale  # Student's t
        low, middle, high = (float(expit(v)) for v in (mean - reach, mean, mean + reach))
        return Expectation(middle, low, high, self.cases)

    def _predict(self, x: Floats, version: int) -> tuple[float, float, float]:
        """Mean, scale and degrees of freedom of the predictive Student t, in logits."""
        s = self._settings
        rows = np.array([[1.0, _logit(certainty(o.scores))] for o in self._outcomes])
        found = np.array([_logit(o.dice) for o in self._outcomes])
        weights = np.array([1.0 if o.weights_version == version else s.older for o in self._outcomes])
        precision = np.diag([s.trust, s.trust])
        prior = np.array([0.0, 1.0])
        after = precision + rows.T @ (weights[:, None] * rows)
        coefficients = np.linalg.solve(after, precision @ prior + rows.T @ (weights * found))
        shape = _PRIOR_SHAPE + weights.sum() / 2
        away = found - rows @ coefficients
        drift = coefficients - prior
        rate = _PRIOR_SHAPE * s.spread**2 + (float(weights @ away**2) + float(drift @ precision @ drift)) / 2
        scale = math.sqrt(rate / shape * (1 + float(x @ np.linalg.solve(after, x))))
        return float(x @ coefficients), scale, 2 * shape


def _logit(value: float) -> float:
    return float(logit(min(max(value, _NEAREST), 1 - _NEAREST)))
