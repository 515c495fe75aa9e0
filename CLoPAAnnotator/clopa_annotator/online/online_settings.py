"""Settings of the strategies that learn between clicks. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from clopa_annotator.episode.episode_settings import check_group
from clopa_annotator.errors import ConfigError


@dataclass(frozen=True)
class LossSettings:
    """Weights of the online losses; the defaults are the paper's where it states them.

    Attributes:
        alpha: share of the focal term in Dice-focal.
        beta: weight of the click-centred Gaussian term.
        sigma_voxels: its standard deviation in voxels along each axis; it is cut at three of them.
        gamma: focal exponent (assumed: the public sources do not state it).
        smooth: added to numerator and denominator of Dice.
    """

    alpha: float = 0.7
    beta: float = 200.0
    sigma_voxels: float = 3.0
    gamma: float = 2.0
    smooth: float = 1e-5

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"The focal share alpha must lie between 0 and 1, but is {self.alpha}.")
        if self.beta < 0 or self.gamma < 0 or self.smooth < 0 or self.sigma_voxels <= 0:
            raise ConfigError("beta, gamma and smooth must not be negative, and sigma must be positive.")


@dataclass(frozen=True)
class StepSettings:
    """How a gradient step is made.

    Attributes:
        optimiser: "adam" or "sgd" (assumed where a paper does not say).
        learning_rate: its step size.
        weight_decay: L2, as in the episodes.
        autocast: bf16 for the forward pass. "auto" takes it on CUDA and on CPUs with units for bf16, where
            an update takes less than half the time; gradients, moments and weights are float32 always.
    """

    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    autocast: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.optimiser not in ("adam", "sgd"):
            raise ConfigError(f'There is no optimiser "{self.optimiser}"; there are "adam" and "sgd".')
        if self.autocast not in (True, False, "auto"):
            raise ConfigError(f'autocast is True, False or "auto", not {self.autocast!r}.')
        if not self.learning_rate > 0 or self.weight_decay < 0:
            raise ConfigError("The learning rate must be positive and the weight decay not negative.")


@dataclass(frozen=True)
class OaimsSettings:
    """Which parts of OAIMS run, and how.

    Attributes:
        group: tuned parameters, a name of `episode.parameters`; the paper tunes all.
        post: learn after confirmations (PI).
        mid: learn after clicks (MI).
        mid_persists: MI's updates outlive the case, as in the paper's Algorithm 1, which never takes them
            back. Here they do once the case is confirmed: one that is only measured teaches nothing that
            stays. False ends them with the case (*ours*).
        generated_at: where PI's second stage clicks in an error: "random", as in the paper, or at its
            "deepest" voxel (*ours*).
        second_stage: prompts that PI's second stage is given: the "generated" clicks alone, as in the paper,
            or "all": the case's first ones too (*ours*).
        post_step: optimiser of PI; its moments live from case to case.
        mid_step: optimiser of MI; fresh in each case.
        generated_clicks: T, the most clicks generated in PI's second stage.
        loss: weights of the loss terms.
    """

    group: str = "all"
    post: bool = True
    mid: bool = True
    mid_persists: bool = True
    generated_at: Literal["random", "deepest"] = "random"
    second_stage: Literal["generated", "all"] = "generated"
    post_step: StepSettings = field(default_factory=lambda: StepSettings(learning_rate=1e-3))
    mid_step: StepSettings = field(default_factory=lambda: StepSettings(learning_rate=1e-4))
    generated_clicks: int = 10
    loss: LossSettings = field(default_factory=LossSettings)

    def __post_init__(self) -> None:
        check_group(self.group)
        if self.generated_at not in ("random", "deepest") or self.second_stage not in ("generated", "all"):
            raise ConfigError(
                'PI clicks at "random" or "deepest" voxels, and its second stage sees the "generated" clicks '
                'or "all".'
            )
        if self.generated_clicks < 0:
            raise ConfigError("The number of generated clicks must not be negative.")
        if not (self.post or self.mid):
            raise ConfigError("OAIMS needs PI, MI or both; choose the strategy static to learn nothing.")

    @property
    def learns_within_case(self) -> bool:
        """Whether the weights change while a case is open."""
        return self.mid


@dataclass(frozen=True)
class SparseSettings:
    """The two earlier methods that OAIMS compares with; docs/strategies.md names what is assumed.

    Attributes:
        method: "ia-sa" (Kontogianni et al. 2020) or "tsca" (Atanyan et al. 2024).
        group: tuned parameters.
        step: optimiser; fresh for each image.
        updates: gradient steps after each click, and after each confirmation.
        sparse_share: lambda, the weight of the clicked voxels; the dense term has the rest.
        anchor: gamma, weight of the importance-weighted distance to the weights before ("ia-sa").
        momentum: share of the teacher that is kept when a case ends ("tsca").
    """

    method: Literal["ia-sa", "tsca"] = "ia-sa"
    group: str = "all"
    step: StepSettings = field(default_factory=lambda: StepSettings(learning_rate=1e-4))
    updates: int = 10
    sparse_share: float = 0.5
    anchor: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_group(self.group)
        if self.method not in ("ia-sa", "tsca"):
            raise ConfigError(f'There is no baseline "{self.method}"; there are "ia-sa" and "tsca".')
        if self.updates < 1 or self.anchor < 0:
            raise ConfigError("A baseline needs at least one update and an anchor that is not negative.")
        if not (0 <= self.sparse_share <= 1 and 0 <= self.momentum <= 1):
            raise ConfigError("The sparse share and the momentum lie between 0 and 1.")

    @property
    def learns_within_case(self) -> bool:
        """Both methods learn from each click."""
        return True
