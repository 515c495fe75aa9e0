"""Pretraining the base model: generated volumes, mixed prompts, the episodes' own loop.

The run is a function of its seed when its length is given in updates; given in minutes, the learning rate
follows the clock, so that a run of any length ends annealed.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clopa_annotator.episode.encoding import EncodingRules
from clopa_annotator.episode.loop import WindowResult, WindowSettings, run_window
from clopa_annotator.episode.allocator import keep_freed_memory
from clopa_annotator.episode.prompting import MixedPrompter, PromptMix
from clopa_annotator.errors import ConfigError
from clopa_annotator.pretrain.checkpoint import export_model
from clopa_annotator.pretrain.generator import GeneratorSettings, Volume, stream
from clopa_annotator.pretrain.network import NetworkDesign, build_network, count_parameters, same_device
from clopa_annotator.session.model import choose_device

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainSettings:
    """One pretraining run.

    Attributes:
        minutes: wall time to train; ignored when ``updates`` is given.
        updates: optimiser steps to train; 0 goes by the clock. Only then does a seed repeat a run.
        seed: seed of weights, volumes and prompts.
        batch: volumes per window.
        lengths, length_weights: window lengths in steps, and how often each is drawn.
        sides: crop edge in voxels per phase; smaller first, because that is cheaper.
        phase_ends: end of each phase as a fraction of the run; the last is 1.
        learning_rate: peak of the cosine.
        warmup: updates until the peak.
        weight_decay: of AdamW.
        averaging: decay of the moving average of the weights that is exported.
        workers: processes that make volumes.
        threads: CPU threads of the training process; 0 leaves them alone.
        log_s: seconds between rows of ``curves.csv``.
        export_minutes: minutes between exports.
    """

    minutes: float = 75.0
    updates: int = 0
    seed: int = 0
    batch: int = 2
    lengths: tuple[int, ...] = (2, 3, 4, 6)
    length_weights: tuple[float, ...] = (0.35, 0.3, 0.25, 0.1)
    sides: tuple[int, ...] = (48, 64)
    phase_ends: tuple[float, ...] = (0.4, 1.0)
    learning_rate: float = 1.5e-3
    warmup: int = 150
    weight_decay: float = 1e-3
    averaging: float = 0.999
    workers: int = 1
    threads: int = 2
    log_s: float = 30.0
    export_minutes: float = 5.0
    design: NetworkDesign = field(default_factory=NetworkDesign)
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    prompts: PromptMix = field(default_factory=PromptMix)

    def __post_init__(self) -> None:
        if self.updates < 0 or (self.updates == 0 and self.minutes <= 0):
            raise ConfigError("Pretraining needs a length: minutes above 0, or a number of updates.")
        if len(self.sides) != len(self.phase_ends) or self.phase_ends[-1] != 1.0:
            raise ConfigError("Each phase needs a crop size and an end, and the last one ends at 1.")
        if len(self.lengths) != len(self.length_weights) or self.batch < 1:
            raise ConfigError("Each window length needs a weight, and a batch at least one volume.")


@dataclass(frozen=True)
class PretrainProgress:
    """How far a run is.

    Attributes:
        fraction: of the whole run, in [0, 1].
        updates: optimiser steps done.
        volumes: volumes seen.
        seconds: training time over all parts of a resumed run.
        loss: mean loss since the last report.
        dice_first: mean Dice after the initial prompts since the last report.
        dice_last: mean Dice at the end of the windows since the last report.
        learning_rate: of the last update.
        side: crop edge in voxels.
    """

    fraction: float
    updates: int
    volumes: int
    seconds: float
    loss: float
    dice_first: float
    dice_last: float
    learning_rate: float
    side: int


@dataclass
class _Run:
    """Everything that a checkpoint keeps."""

    network: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.AdamW
    rng: np.random.Generator
    updates: int = 0
    volumes: int = 0
    seconds: float = 0.0


def run(
    settings: PretrainSettings,
    out: Path,
    device: str = "auto",
    on_progress: Callable[[PretrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """Train, or go on with the run in ``out``.

    Args:
        settings: the run; when resuming, only its length and intervals may differ.
        out: folder for ``state.pt`` (resume), ``curves.csv``, ``settings.json`` and ``model/``.
        device: "auto", "cpu", "cuda" or "mps".
        on_progress: called every ``log_s`` seconds.
        should_stop: asked after every window; True saves and returns.

    Returns:
        ``out/model``: the averaged weights in nnInteractive's checkpoint layout.
    """
    out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    (out / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")
    state = _restore(settings, out, choose_device(device))
    logger.info("Pretraining %d parameters from update %d on", count_parameters(state.network), state.updates)
    trainer = _Trainer(settings, out, state, on_progress)
    for phase, side in enumerate(settings.sides):
        if trainer.fraction < settings.phase_ends[phase] and not trainer.stopped:
            trainer.train_phase(side, settings.phase_ends[phase], should_stop or (lambda: False))
    trainer.save()
    return trainer.export()


class _Trainer:
    def __init__(
        self,
        settings: PretrainSettings,
        out: Path,
        state: _Run,
        on_progress: Callable[[PretrainProgress], None] | None,
    ) -> None:
        self.settings, self.out, self.state = settings, out, state
        self.stopped = False
        self._on_progress = on_progress
        self._device = same_device(state.network)
        self._autocast = torch.bfloat16 if settings.threads or self._device.type == "cuda" else None
        self._clock = time.monotonic()
        self._reported = self._exported = state.seconds
        self._results: list[WindowResult] = []

    @property
    def fraction(self) -> float:
        """How much of the run is done, in [0, 1]."""
        s = self.settings
        done = self.state.updates / s.updates if s.updates else self.state.seconds / (60 * s.minutes)
        return min(done, 1.0)

    def train_phase(self, side: int, end: float, should_stop: Callable[[], bool]) -> None:
        """Train at one crop size until ``end``, a fraction of the run."""
        s = self.settings
        rules = EncodingRules((side, side, side))
        generator = GeneratorSettings(**{**_shallow(s.generator), "side": side})
        volumes = stream(s.seed, generator, self.state.volumes, s.workers)
        self._clock = time.monotonic()
        while self.fraction < end:
            self._window(volumes, rules)
            self._tick(side)
            if should_stop():
                self.stopped = True
                return

    def _window(self, volumes: Iterator[Volume], rules: EncodingRules) -> None:
        s, state = self.settings, self.state
        weights = np.array(s.length_weights)
        steps = int(state.rng.choice(s.lengths, p=weights / weights.sum()))
        samples = [next(volumes).to(self._device).sample() for _ in range(s.batch)]
        state.volumes += s.batch
        window = WindowSettings(steps, rules, self._autocast)
        prompter = MixedPrompter(s.prompts)
        result = run_window(
            state.network,
            samples,
            prompter,
            state.rng,
            window,
            backward=True,
            on_step=lambda _: self._update(steps),
        )
        self._results.append(result)

    def _update(self, steps: int) -> None:
        """One optimiser step per interaction step: more, noisier steps pay on two CPU cores."""
        s, state = self.settings, self.state
        rate = s.learning_rate * min(1.0, (state.updates + 1) / s.warmup)
        rate *= 0.5 * (1 + math.cos(math.pi * self.fraction)) + 0.002
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        gradients = [p.grad for p in state.network.parameters() if p.grad is not None]
        torch._foreach_mul_(gradients, float(steps))  # the loop divides the loss by the window's length
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), 2.0)
        state.optimiser.step()
        state.optimiser.zero_grad(set_to_none=True)
        state.updates += 1
        keep = min(s.averaging, (1 + state.updates) / (10 + state.updates))
        with torch.no_grad():
            live = dict(state.network.named_parameters())
            torch._foreach_lerp_([state.average[n] for n in live], list(live.values()), 1 - keep)

    def _tick(self, side: int) -> None:
        now = time.monotonic()
        self.state.seconds += now - self._clock
        self._clock = now
        if self.state.seconds - self._reported >= self.settings.log_s:
            self._reported = self.state.seconds
            self._report(side)
        if self.state.seconds - self._exported >= 60 * self.settings.export_minutes:
            self._exported = self.state.seconds
            self.save()
            self.export()

    def _report(self, side: int) -> None:
        r, state = self._results, self.state
        progress = PretrainProgress(
            self.fraction,
            state.updates,
            state.volumes,
            state.seconds,
            float(np.mean([x.loss for x in r])),
            float(np.mean([x.dice[0] for x in r])),
            float(np.mean([x.dice[-1] for x in r])),
            float(state.optimiser.param_groups[0]["lr"]),
            side,
        )
        self._results = []
        _append_row(self.out / "curves.csv", asdict(progress))
        logger.info("%s", progress)
        if self._on_progress is not None:
            self._on_progress(progress)

    def save(self) -> None:
        """Write the state that resuming needs."""
        state = self.state
        content = {
            "network": state.network.state_dict(),
            "average": state.average,
            "optimiser": state.optimiser.state_dict(),
            "rng": json.dumps(state.rng.bit_generator.state),
            "updates": state.updates,
            "volumes": state.volumes,
            "seconds": state.seconds,
        }
        fresh = self.out / "state.pt.new"
        torch.save(content, fresh)
        os.replace(fresh, self.out / "state.pt")

    def export(self) -> Path:
        """Write the averaged weights as a model folder."""
        state, s = self.state, self.settings
        weights = {**state.network.state_dict(), **_with_aliases(state.network, state.average)}
        about = {
            "seed": s.seed,
            "updates": state.updates,
            "volumes": state.volumes,
            "minutes": round(state.seconds / 60, 1),
            "torch": torch.__version__,
            "device": self._device.type,
        }
        rules = EncodingRules(s.design.patch_kji)
        return export_model(weights, s.design, rules, self.out / "model", about=about)


def _shallow(settings: GeneratorSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}


def _with_aliases(network: nn.Module, average: dict[str, Tensor]) -> dict[str, Tensor]:
    """The averaged weights under every name that the ``state_dict`` knows them by."""
    by_tensor = {p.data_ptr(): average[n] for n, p in network.named_parameters()}
    return {n: by_tensor[t.data_ptr()] for n, t in network.state_dict().items() if t.data_ptr() in by_tensor}


def _restore(settings: PretrainSettings, out: Path, device: torch.device) -> _Run:
    torch.manual_seed(settings.seed)
    network = build_network(settings.design).to(device)
    rng = np.random.default_rng(settings.seed)
    optimiser = torch.optim.AdamW(
        network.parameters(),
        settings.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    average = {n: p.detach().clone() for n, p in network.named_parameters()}
    state = _Run(network, average, optimiser, rng)
    if (out / "state.pt").is_file():
        content = torch.load(out / "state.pt", map_location=device, weights_only=True)
        network.load_state_dict(content["network"])
        optimiser.load_state_dict(content["optimiser"])
        state.average = content["average"]
        rng.bit_generator.state = json.loads(content["rng"])
        state.updates, state.volumes = content["updates"], content["volumes"]
        state.seconds = content["seconds"]
    return state


def _append_row(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
