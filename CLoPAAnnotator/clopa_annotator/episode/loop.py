"""One interaction window: prompts, forward, backward, corrections, forward, backward, ...

The same code trains the base model (`pretrain`) and every episode. A window is the paper's inner loop:
initial prompts and ``steps - 1`` corrections, a backward pass per step with the loss divided by ``steps``,
predictions detached in between (no back-propagation through time), the next previous segmentation taken by
argmax. A sample whose prediction equals its target drops out of the later steps.

Two deviations from the research code, both on purpose: a survivor keeps its own image when its neighbour
drops out, and by default the patch follows the newest prompt across the whole image, as the session's does,
so that training sees the padding that inference sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clopa_annotator.episode.hardware.device_prompts import Look, draw_both, look
from clopa_annotator.episode.loss import dice_and_cross_entropy, entropy_near_prompts
from clopa_annotator.episode.prompt_canvas import EncodingRules, PromptCanvas
from clopa_annotator.episode.prompting import PointPrompter, Prompter, Region
from clopa_annotator.episode.tour import Tour
from clopa_annotator.episode.window_sample import WindowSample
from clopa_annotator.errors import ConfigError, NonFiniteLoss
from clopa_annotator.types import Prompt

Criterion = Callable[[Any, Tensor], Tensor]
"""Network output and (batch, k, j, i) target to one loss per sample."""


@dataclass(frozen=True)
class WindowSettings:
    """What one window does.

    Attributes:
        steps: forward passes: the initial prompts and ``steps - 1`` corrections.
        rules: patch, decay and point radius of the model.
        autocast: lower precision for the forward pass (``torch.bfloat16`` on CPUs with AMX or AVX512-BF16,
            ``torch.float16`` on CUDA, then with a ``scaler``); None computes in float32.
        micro_batch: most samples in one forward pass; 0 takes all at once. Smaller costs less memory and
            gives the same gradient.
        criterion: loss per sample, see `loss`.
        follow: centre the patch on the newest prompt (as the session does); False keeps it in the middle of
            the image, for samples that already are one patch.
        emphasis: see `EpisodeSettings`.
        reach: how far from a prompt, in voxels, the emphasis reaches.
        unprompted: share of the samples that begin without any prompt, as a suggestion does: with a look at
            the whole of the image, then a close one where it is larger than a patch. Clicks correct what
            these gave, as they correct a suggestion.
    """

    steps: int = 6
    rules: EncodingRules = field(default_factory=EncodingRules)
    autocast: torch.dtype | None = None
    micro_batch: int = 0
    criterion: Criterion = dice_and_cross_entropy
    follow: bool = True
    emphasis: float = 0.0
    reach: int = 6
    unprompted: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.micro_batch < 0:
            raise ConfigError("A window needs at least one step, and a micro-batch of 0 (all) or more.")


@dataclass(frozen=True)
class WindowResult:
    """What happened in a window.

    Attributes:
        losses: mean loss per step over the samples still in it; shorter than ``steps`` if all dropped out.
        dice: per step one Dice per sample, over the whole image; a sample that dropped out stays at 1.
    """

    losses: tuple[float, ...]
    dice: tuple[tuple[float, ...], ...]

    @property
    def loss(self) -> float:
        """Mean over the steps; NaN if there was none."""
        return float(np.mean(self.losses)) if self.losses else float("nan")


@dataclass(eq=False)
class _Running:
    """One sample on its way through the window."""

    index: int
    sample: WindowSample
    canvas: PromptCanvas
    on_device: Tensor
    looks: int = 0  # without a prompt, still to come
    tour: Tour | None = None

    @cached_property
    def target(self) -> Region:
        """The target in main memory; asked for only where clicks are drawn there."""
        return self.sample.target.cpu().numpy().astype(bool)


@dataclass
class _Record:
    """Losses and Dice so far; ``dice`` holds every sample's latest."""

    dice: list[float]
    losses: list[float] = field(default_factory=list)
    curve: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, found: Look, running: list[_Running]) -> None:
        if not np.isfinite(found.loss):
            raise NonFiniteLoss("The training loss is not a finite number; lower the learning rate.")
        for r, (common, sizes) in zip(running, found.overlaps, strict=True):
            self.dice[r.index] = 1.0 if sizes == 0 else 2 * common / sizes
        self.losses.append(found.loss / len(running))
        self.curve.append(tuple(self.dice))


def run_window(
    network: nn.Module,
    samples: Sequence[WindowSample],
    prompter: Prompter,
    rng: np.random.Generator,
    settings: WindowSettings,
    *,
    backward: bool,
    on_microstep: Callable[[], None] | None = None,
    on_step: Callable[[int], None] | None = None,
    scaler: Any = None,
) -> WindowResult:
    """Run one interaction window over a batch.

    Args:
        network: (batch, 8, k, j, i) to (batch, 2, k, j, i), or with deep supervision a list, finest first.
        samples: the batch.
        prompter: who clicks.
        rng: source of every random choice in the window.
        settings: see `WindowSettings`.
        backward: accumulate gradients of ``loss / steps``; False only measures, without a graph.
        on_microstep: called after each micro-batch: the place to yield the device to a click, or to raise
            `EpisodeCancelled`; what it raises ends the window.
        on_step: called with the step's number (from 0) once its gradients are complete.
        scaler: a ``torch.amp.GradScaler`` for float16, else None.

    Returns:
        Losses and Dice per step.

    Raises:
        NonFiniteLoss: the loss of a step is NaN or infinite; gradients so far are incomplete.
    """
    running = _start(samples, prompter, rng, settings)
    record = _Record([0.0] * len(running))
    for step in range(settings.steps):
        if not running:
            break
        total = _one_step(network, running, settings, backward, on_microstep, scaler)
        there = step + 1 < settings.steps and _draws_there(prompter, running[0].on_device)
        found = look(total, [(r.canvas.previous, r.on_device) for r in running], rng if there else None)
        record.add(found, running)
        if on_step is not None:
            on_step(step)
        if step + 1 < settings.steps:
            running = _correct(running, found, prompter, rng, settings)
    return WindowResult(tuple(record.losses), tuple(record.curve))


def _start(
    samples: Sequence[WindowSample], prompter: Prompter, rng: np.random.Generator, settings: WindowSettings
) -> list[_Running]:
    """Every sample with its first prompts."""
    running = [
        _Running(n, s, PromptCanvas(s.image, settings.rules, s.others), s.target.bool())
        for n, s in enumerate(samples)
    ]
    prompted = [r for r in running if not _looks_first(r, prompter, rng, settings)]
    if prompted and _draws_there(prompter, prompted[0].on_device):
        targets = [r.on_device for r in prompted]
        for r, prompts in zip(prompted, draw_both([(~t, t) for t in targets], rng), strict=True):
            _add(r, prompts, settings)
        return running
    for r in prompted:
        prompts = prompter.initial(r.target, rng)
        _add(r, prompts, settings)
        if any(p.starts_over for p in prompts):
            # The session takes an initial mask over as it is; its first prediction follows a correction.
            _add(r, prompter.correct(r.canvas.previous.cpu().numpy(), r.target, rng), settings)
    return running


def _looks_first(r: _Running, prompter: Prompter, rng: np.random.Generator, settings: WindowSettings) -> bool:
    """Whether the sample has begun: by chance without a prompt, or with looks from further away."""
    if settings.unprompted > 0 and rng.random() < settings.unprompted:
        r.looks = int(r.canvas.look_around())
        return True
    if r.sample.shown is not None:
        r.tour = Tour(r.canvas, r.on_device, r.sample.shown, prompter, rng)
    return r.tour is not None


def _correct(
    running: list[_Running],
    found: Look,
    prompter: Prompter,
    rng: np.random.Generator,
    settings: WindowSettings,
) -> list[_Running]:
    """Add the next corrections; the samples with something left to correct, or to look at."""
    left = []
    for n, r in enumerate(running):
        if r.looks:
            r.looks -= 1
            r.canvas.look_at_a_find(r.target, rng)
            left.append(r)
            continue
        if r.tour is not None:
            left += [r] if r.tour.go_on() else []
            continue
        if found.clicks is not None:
            prompts = found.clicks[n]
        else:
            prompts = prompter.correct(r.canvas.previous.cpu().numpy(), r.target, rng)
        _add(r, prompts, settings)
        if prompts:
            left.append(r)
    return left


def _draws_there(prompter: Prompter, target: Tensor) -> bool:
    """Whether clicks are drawn where the masks are instead of bringing these to the CPU."""
    return isinstance(prompter, PointPrompter) and target.device.type != "cpu"


def _add(r: _Running, prompts: Sequence[Prompt], settings: WindowSettings) -> None:
    for prompt in prompts:
        r.canvas.add(prompt)
    if not settings.follow:
        k, j, i = r.sample.image.shape
        r.canvas.centre_kji = (k // 2, j // 2, i // 2)


def _one_step(
    network: nn.Module,
    running: list[_Running],
    settings: WindowSettings,
    backward: bool,
    on_microstep: Callable[[], None] | None,
    scaler: Any,
) -> Tensor:
    """Forward, backward and paste for every sample still in the window; the summed loss, not waited for."""
    size = settings.micro_batch or len(running)
    total = torch.zeros((), device=running[0].on_device.device)
    for first in range(0, len(running), size):
        part = running[first : first + size]
        summed, predictions = _forward(network, part, settings, backward)
        if backward:
            scaled = summed / (len(running) * settings.steps)
            (scaler.scale(scaled) if scaler is not None else scaled).backward()
        for r, prediction in zip(part, predictions, strict=True):
            if r.tour is None or r.tour.keeps:
                r.canvas.paste(prediction)
        total = total + summed.detach()
        if on_microstep is not None:
            on_microstep()
    return total


def _forward(
    network: nn.Module, part: list[_Running], settings: WindowSettings, backward: bool
) -> tuple[Tensor, Tensor]:
    """Summed loss and the (batch, k, j, i) bool predictions of one micro-batch."""
    inputs = torch.stack([r.canvas.network_input() for r in part])
    target = torch.stack([r.canvas.crop(r.sample.target) for r in part])
    cast = (
        nullcontext() if settings.autocast is None else torch.autocast(inputs.device.type, settings.autocast)
    )
    with torch.set_grad_enabled(backward), cast:
        output = network(inputs)
    with torch.set_grad_enabled(backward):
        summed = settings.criterion(output, target).sum()
        finest = output if isinstance(output, Tensor) else output[0]
        if settings.emphasis:
            near = entropy_near_prompts(finest, target, inputs, settings.reach)
            summed = summed + settings.emphasis * near.sum()
    margin = finest.detach()
    return summed, margin[:, 1] > margin[:, 0]
