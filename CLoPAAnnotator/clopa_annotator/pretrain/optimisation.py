"""The training loop around the interaction window."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clopa_annotator.episode.hardware.precision import autocast_dtype
from clopa_annotator.episode.loop import WindowResult, WindowSettings, run_window
from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.episode.prompting import MixedPrompter
from clopa_annotator.pretrain.generator import GeneratorSettings, Volume, stream, stream_on
from clopa_annotator.pretrain.model_folder import export_model
from clopa_annotator.pretrain.network import same_device
from clopa_annotator.pretrain.peers import Peers
from clopa_annotator.pretrain.pretrain_settings import PretrainProgress, PretrainSettings
from clopa_annotator.pretrain.state import RunState, averaged_weights, save

logger = logging.getLogger(__name__)


class Trainer:
    """One process of a run at work."""

    def __init__(
        self,
        settings: PretrainSettings,
        out: Path,
        state: RunState,
        peers: Peers,
        on_progress: Callable[[PretrainProgress], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self.settings, self.out, self.state, self.peers = settings, out, state, peers
        self._on_progress, self._should_stop = on_progress, should_stop
        self._device = same_device(state.network)
        self._autocast = _autocast(self._device)
        cuda = self._device.type == "cuda"
        self._save_s = settings.save_s or (30.0 if cuda else 60 * settings.export_minutes)
        self._generates = settings.generate_on == "device" or (settings.generate_on == "auto" and cuda)
        self._fraction, self._stopped = self._done(), False
        self._clock = time.monotonic()
        self._reported = self._exported = self._saved = state.seconds
        self._results: list[WindowResult] = []

    def _done(self) -> float:
        """How much of the run is done, in [0, 1]."""
        s = self.settings
        done = self.state.updates / s.updates if s.updates else self.state.seconds / (60 * s.minutes)
        return min(done, 1.0)

    def train_phase(self, generator: GeneratorSettings, end: float) -> None:
        """Train on one kind of volumes until ``end``, a fraction of the run."""
        s, side = self.settings, generator.side
        volumes: Iterator[Volume] | None = None
        self._clock = time.monotonic()
        weights = np.array(s.length_weights) / sum(s.length_weights)
        while True:
            stop = self._should_stop is not None and self._should_stop()
            steps = int(self.state.lengths.choice(s.lengths, p=weights))
            self._fraction, stopped = self.peers.follow(self._done(), float(self._stopped or stop))
            self._stopped = bool(stopped)
            if self._fraction >= end or self._stopped:
                return
            volumes = volumes or self._volumes(generator)
            self._window(volumes, steps, EncodingRules((side, side, side)))
            self._tick(side)

    def _volumes(self, generator: GeneratorSettings) -> Iterator[Volume]:
        s = self.settings
        seed = s.seed * 1000 + self.peers.rank  # each process draws volumes of its own
        if self._generates:
            return stream_on(self._device, seed, generator, self.state.volumes)
        return stream(seed, generator, self.state.volumes, s.workers)

    def _window(self, volumes: Iterator[Volume], steps: int, rules: EncodingRules) -> None:
        s, state = self.settings, self.state
        samples = [next(volumes).to(self._device).sample() for _ in range(s.batch)]
        state.volumes += s.batch
        result = run_window(
            state.network,
            samples,
            MixedPrompter(s.prompts),
            state.rng,
            WindowSettings(steps, rules, self._autocast, emphasis=s.emphasis),
            backward=True,
            on_step=lambda _: self._update(steps),
        )
        for _ in range(steps - len(result.losses)):
            self._update(steps)  # every sample was perfect early: the peers still wait for a gradient
        self._results.append(result)

    def _update(self, steps: int) -> None:
        """One optimiser step per interaction step: more, noisier steps pay on two CPU cores."""
        s, state = self.settings, self.state
        rate = s.learning_rate * min(1.0, (state.updates + 1) / s.warmup)
        rate *= 0.5 * (1 + math.cos(math.pi * self._fraction)) + 0.002
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        parameters = list(state.network.parameters())
        for p in parameters:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_mul_(gradients, float(steps))  # the loop divides the loss by the window's length
        self.peers.average(gradients)
        torch.nn.utils.clip_grad_norm_(parameters, s.clip)
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
        if not self.peers.leads:
            return
        if self.state.seconds - self._reported >= self.settings.log_s:
            self._reported = self.state.seconds
            self._report(side)
        if self.state.seconds - self._saved >= self._save_s:
            self._saved = self.state.seconds
            save(self.state, self.out)
        if self.state.seconds - self._exported >= 60 * self.settings.export_minutes:
            self._exported = self.state.seconds
            self.export()

    def _report(self, side: int) -> None:
        r, state = self._results, self.state
        progress = PretrainProgress(
            self._fraction,
            state.updates,
            state.volumes * self.peers.count,
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

    def export(self) -> Path:
        """Write the averaged weights as a model folder."""
        state, s = self.state, self.settings
        about = {
            "seed": s.seed,
            "updates": state.updates,
            "volumes": state.volumes * self.peers.count,
            "minutes": round(state.seconds / 60, 1),
            "torch": torch.__version__,
            "device": self._device.type,
        }
        rules = EncodingRules(s.design.patch_kji)
        return export_model(averaged_weights(state), s.design, rules, self.out / "model", about=about)


def _autocast(device: torch.device) -> torch.dtype | None:
    """bf16 where it is computed fast, else float32; fp16 would need a scaler."""
    if device.type == "cuda":
        return torch.bfloat16 if autocast_dtype("auto", device) is torch.bfloat16 else None
    return torch.bfloat16 if device.type == "cpu" and torch.cpu._is_amx_tile_supported() else None


def _append_row(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
