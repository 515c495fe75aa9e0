"""Settings of the experts. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from clopa_annotator.errors import ConfigError


@dataclass(frozen=True)
class RidgeHeadSettings:
    """How the closed-form last layer is learned.

    Attributes:
        penalty: ridge penalty, as a share of the weight of all samples.
        balanced: give target and background the same total weight.
        fit_threshold: place the threshold where the expected Dice is largest; 0.5 otherwise.
        corrections: further inputs per confirmed case, each with clicks into the errors of the one before.
        clicks_per_correction: most clicks in each of them.
        gain: factor on the written logits; the proposal does not depend on it.
    """

    penalty: float = 1e-3
    balanced: bool = True
    fit_threshold: bool = True
    corrections: int = 2
    clicks_per_correction: int = 2
    gain: float = 10.0

    def __post_init__(self) -> None:
        if not self.penalty > 0 or not self.gain > 0:
            raise ConfigError("The ridge head's penalty and gain must be positive.")
        if self.corrections < 0 or self.clicks_per_correction < 1:
            raise ConfigError("The ridge head learns from 0 or more corrections of at least one click each.")


@dataclass(frozen=True)
class RouterSettings:
    """When the router proposes an expert.

    Attributes:
        penalty: ridge penalty on the pooled features.
        typicality: an image less typical of an expert's cases than this share of them is a stranger to it.
        least_cases: experts with fewer cases are not proposed.
    """

    penalty: float = 1e-1
    typicality: float = 0.01
    least_cases: int = 3

    def __post_init__(self) -> None:
        if not self.penalty > 0 or not 0 < self.typicality < 1 or self.least_cases < 2:
            raise ConfigError(
                "The router needs a positive penalty, a typicality between 0 and 1 and at least two cases."
            )
