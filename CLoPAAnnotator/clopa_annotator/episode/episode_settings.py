"""Settings of an episode: the paper's values, and a preset for two CPU cores. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from clopa_annotator.errors import ConfigError

GROUPS = ("in", "cn", "stem", "heads", "last", "decoder", "all")
"""Names of the parameter groups; several are joined with a plus sign, for instance ``in+last``."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "learning_rate_schedule": ("constant", "linear"),
    "step_after": ("window", "pass"),
    "patch_centre": ("paper", "session"),
    "anchor_to": ("parent", "base"),
    "precision": ("auto", "fp32", "bf16", "fp16"),
    "delta_dtype": ("fp32", "fp16"),
    "keep": ("last", "best"),
    "augment_on": ("auto", "cpu", "device"),
    "augmentation_as": ("paper", "code"),
    "layout": ("auto", "usual", "channels last"),
}
_AT_LEAST_0 = (
    "micro_batch",
    "threads",
    "cache_mb",
    "val_samples",
    "weight_decay",
    "gradient_clip",
    "anchor",
    "emphasis",
    "patience",
)


def check_group(group: str) -> None:
    """Raise unless every part of ``group`` is a known name.

    Raises:
        ConfigError: a part is unknown.
    """
    unknown = [name for name in group.split("+") if name not in GROUPS]
    if unknown:
        raise ConfigError(
            f'There is no parameter group "{unknown[0]}"; choose from {", ".join(GROUPS)}, '
            'or join some with "+".'
        )


@dataclass(frozen=True)
class EpisodeSettings:
    """How an episode trains. The defaults are the paper's (Esmaeili et al. 2026).

    Attributes:
        group: parameters to tune, see `GROUPS`.
        learning_rate: Adam's step.
        learning_rate_schedule: "constant" (paper), or "linear": falling to zero at the end.
        betas: Adam's decay rates.
        weight_decay: L2 term added to the gradient (Adam's, not AdamW's).
        gradient_clip: largest norm of the gradient; 0 for no clipping (paper).
        anchor: draws the weights back to where they came from, see `steady.Anchor`; 0 does not (paper).
        anchor_to: "parent" is the version that the episode starts from, "base" the untouched base model.
        averaging: decay per update of the mean of the weights that is validated and kept instead of the last
            weights, see `steady.Average`; 0 averages nothing (paper).
        replay: share of the training samples that are generated volumes like those that the bundled base
            model was trained on, so that it stays general; 0 for none (paper).
        emphasis: weight of a further cross-entropy around the newest prompts, so that a click is obeyed where
            it was placed, see `loss.entropy_near_prompts`; 0 for none (paper).
        unprompted: share of the training samples that begin without any prompt, so that the model can segment
            an image before the first click, see `loop.WindowSettings`; 0 for none (paper).
        zoomed: share of the samples of a structure larger than the patch that train as the session looks at
            it, from further away and then closer, see `tour`; the others see one patch after another of a
            part of the image, as all samples of smaller structures do. For ``patch_centre`` "session" only.
        keep: which epoch's weights the episode hands over. "last" looks at no score; "best" takes the epoch
            with the best validation score, the incoming weights among them, as the paper does, but judged on
            windows of the *training* cases: what is chosen on the held-out ones cannot be judged by them.
        patience: epochs without a better validation score after which the episode ends early, where the best
            one is kept; 0 trains all of them (paper).
        epochs: validations, not counting the one before the first update.
        updates: optimiser steps in an epoch.
        batch: samples in an update.
        steps: forward passes per sample: the initial prompts and ``steps - 1`` corrections.
        step_after: "window" changes the weights once per sample, by the mean gradient of its ``steps`` passes
            (paper); "pass" after each of them: more and noisier steps for the same computing.
        patch_centre: "paper" cuts one patch around a foreground or background voxel (1:1) and keeps it;
            "session" hands the whole image (or ``region`` patches of it) to the loop, which centres each
            step's patch on the newest prompt, so that training meets the padding that inference meets.
        region: side of the part of a large image that "session" reads, in patches.
        foreground: share of the samples that are centred on a foreground voxel.
        augmentation: factor on the probability of every augmentation; 1 is the paper's, 0 none.
        augmentation_as: "paper" augments as the paper lists it, "code" as the authors' program does, which
            repeats some keys and so loses what stood under them first, see `augmentation`.
        val_foreground: share of the validation windows around a target voxel, by turns; the rest lie around a
            background voxel (paper: one to one).
        val_samples: validation windows per epoch, spread evenly over the held-out cases (the training cases
            where the best epoch is kept); the same ones with the same prompts every epoch.
        val_smoothing: weight of the current score in the smoothed one; the rest is the last smoothed score.
        precision: of the forward pass; losses and weights are float32 always. "auto" takes bf16 where the
            processor computes it fast, fp16 with loss scaling on older CUDA devices, and fp32 elsewhere.
        micro_batch: most samples in one forward pass, 0 for all. Halved when memory runs out.
        gradient_checkpointing: recompute activations in the backward pass; switched on when memory runs out.
        threads: CPU threads, 0 for PyTorch's choice. Timing and resumed results depend on it: keep it fixed.
        prefetch: samples prepared ahead.
        cache_mb: most megabytes of image and mask kept in memory between samples.
        augment_on: "cpu" augments in a thread while the network works, through batchgeneratorsv2; "device"
            where the network is (`device_augmentation`: equal distributions, other random numbers); "auto"
            takes the device if that is CUDA.
        delta_dtype: type of the tensors in the delta file.
        layout: of the weights in memory while training. "auto" takes channels last on a CPU, where it was
            measured to pay, and PyTorch's usual layout elsewhere.
        compiled: train through ``torch.compile``; a click then waits for a whole pass, see `compiled`.
    """

    group: str = "in"
    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["constant", "linear"] = "constant"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-5
    gradient_clip: float = 0.0
    anchor: float = 0.0
    anchor_to: Literal["parent", "base"] = "parent"
    averaging: float = 0.0
    replay: float = 0.0
    emphasis: float = 0.0
    unprompted: float = 0.0
    zoomed: float = 0.0
    keep: Literal["last", "best"] = "last"
    patience: int = 0
    epochs: int = 10
    updates: int = 50
    batch: int = 2
    steps: int = 6
    step_after: Literal["window", "pass"] = "window"
    patch_centre: Literal["paper", "session"] = "paper"
    region: float = 2.0
    foreground: float = 0.5
    augmentation: float = 1.0
    augmentation_as: Literal["paper", "code"] = "paper"
    val_samples: int = 30
    val_foreground: float = 0.5
    val_smoothing: float = 0.9
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    micro_batch: int = 0
    gradient_checkpointing: bool = False
    threads: int = 0
    prefetch: int = 4
    cache_mb: int = 256
    delta_dtype: Literal["fp32", "fp16"] = "fp32"
    augment_on: Literal["auto", "cpu", "device"] = "auto"
    layout: Literal["auto", "usual", "channels last"] = "auto"
    compiled: bool = False

    def __post_init__(self) -> None:
        check_group(self.group)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f'{name} is one of {", ".join(choices)}, not "{getattr(self, name)}".')
        for name in ("epochs", "updates", "batch", "steps", "prefetch"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in _AT_LEAST_0:
            _require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        for name in (
            "foreground",
            "augmentation",
            "val_smoothing",
            "replay",
            "unprompted",
            "zoomed",
            "val_foreground",
        ):
            _require(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "between 0 and 1")
        _require("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0")
        _require("averaging", self.averaging, 0 <= self.averaging < 1, "at least 0 and below 1")
        _require("region", self.region, self.region >= 1, "at least 1 patch")
        sound = len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas)
        _require("betas", self.betas[0], sound, "two numbers in [0, 1)")

    @classmethod
    def paper(cls, group: str = "in") -> EpisodeSettings:
        """The published settings."""
        return cls(group=group)

    @classmethod
    def quick(cls, group: str = "cn") -> EpisodeSettings:
        """Two or three minutes per episode on two CPU cores with AVX2, in the geometry of the session.

        The step is ten times the paper's, falls to zero and is taken after every pass: 144 steps on 48
        windows of one sample have to do what 500 windows of two do there, and a tenth of the paper's
        augmentation is all that so few can use. ``docs/results/hippocampus.md`` shows what it gives;
        ``docs/results/tuning.md`` compares other settings.
        """
        return cls(
            group=group,
            learning_rate=1e-2,
            learning_rate_schedule="linear",
            epochs=4,
            updates=12,
            batch=1,
            steps=3,
            step_after="pass",
            patch_centre="session",
            augmentation=0.1,
            val_samples=4,
            val_foreground=1.0,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "betas": list(self.betas)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EpisodeSettings:
        """The inverse of `to_dict`; settings that are missing take the paper's value.

        Raises:
            ConfigError: a setting is unknown, of a wrong type or out of range.
        """
        unknown = sorted(values.keys() - {f.name for f in fields(cls)})
        if unknown:
            raise ConfigError(
                f"The episode has settings that this version does not know: {', '.join(unknown)}. "
                "It was prepared by another version; prepare it again."
            )
        try:
            betas = tuple(values.get("betas", cls.betas))
            return cls(**{**values, "betas": betas})
        except TypeError as error:
            raise ConfigError("The episode's settings hold a value of a wrong type.") from error


def _require(name: str, value: float, holds: bool, words: str) -> None:
    if not holds or not math.isfinite(value):
        raise ConfigError(f"{name} must be {words}, but is {value}.")
