"""The epochs of an episode: updates, validation, what is handed over, a checkpoint after each.

The paper's episode (Esmaeili et al. 2026), with the deviations that `loop` states and these:

* The validation score is the trapezoid of the *Dice* over the steps (the authors' code computes IoU under
  that name), over windows that are the same in every epoch, so that epochs are compared on equal clicks.
* The last epoch is handed over, not the best: the held-out cases are to judge it, so they may not choose it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clopa_annotator.episode.checkpoint import TrainState, load_state, save_state
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.hardware.aside import Aside, NobodyClicks, free_cached_memory, moved_out
from clopa_annotator.episode.hardware.memory import MemorySaver, is_out_of_memory
from clopa_annotator.episode.hardware.precision import autocast_dtype, loss_scaler
from clopa_annotator.episode.loop import WindowResult, WindowSettings, run_window
from clopa_annotator.episode.progress import Phase, Progress
from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.episode.prompting import PointPrompter
from clopa_annotator.episode.sampling import Batch, Place, Prefetcher, Sampler, on_device, plan
from clopa_annotator.episode.steady import Anchor, Average
from clopa_annotator.errors import DeviceWanted, EpisodeCancelled, NonFiniteLoss


@dataclass(frozen=True)
class Hooks:
    """How an episode talks to the process that runs it; all are called between micro-steps.

    Attributes:
        should_stop: asked whether to end; the episode can be resumed later.
        yield_to: returns when nobody is waiting for the device.
        on_progress: told after every update and validation.
        aside: asks for the device's memory; the window under way is then dropped and repeated.
    """

    should_stop: Callable[[], bool] = lambda: False
    yield_to: Callable[[], None] | None = None
    on_progress: Callable[[Progress], None] = lambda _: None
    aside: Aside = field(default_factory=NobodyClicks)


class Trainer:
    """Trains the selected parameters of a network in place.

    Args:
        network: in evaluation mode, with the parent version's weights.
        parameters: what to tune, by name.
        sampler: gives the batches.
        settings: see `EpisodeSettings`.
        rules: the model's encoding.
        checkpoint: file that each complete epoch is kept in.
        order: fingerprint of the job.
        hooks: see `Hooks`.
        base: values of the base model that the anchor draws to; None takes the parent version's.
    """

    def __init__(
        self,
        network: nn.Module,
        parameters: dict[str, nn.Parameter],
        sampler: Sampler,
        settings: EpisodeSettings,
        rules: EncodingRules,
        checkpoint: Path,
        order: str,
        hooks: Hooks,
        base: Mapping[str, Tensor] | None = None,
    ) -> None:
        self._network, self._parameters, self._sampler = network, parameters, sampler
        self._settings, self._rules, self._hooks = settings, rules, hooks
        self._checkpoint, self._order = checkpoint, order
        self._device = next(iter(parameters.values())).device
        self._autocast = autocast_dtype(settings.precision, self._device)
        self._scaler: Any = loss_scaler(self._autocast, self._device)
        self._optimiser = torch.optim.Adam(
            parameters.values(), settings.learning_rate, settings.betas, weight_decay=settings.weight_decay
        )
        # Before a checkpoint is loaded, the parameters hold the parent's weights.
        self._anchor = Anchor(parameters, parameters if base is None else base, settings.anchor)
        self._state = load_state(checkpoint, parameters, self._optimiser, self._scaler, order) or TrainState(
            micro_batch=settings.micro_batch, checkpointing=settings.gradient_checkpointing
        )
        self._average = Average(parameters, settings.averaging, self._state.mean)
        first = self._state.micro_batch or settings.batch
        self._memory = MemorySaver(network, first, self._state.checkpointing)
        self._epoch = max(self._state.epoch, 0)
        self._since = time.perf_counter()
        self._updates_here = 0

    @property
    def seconds(self) -> float:
        """Wall time so far, over all runs."""
        return self._state.seconds + time.perf_counter() - self._since

    @property
    def state(self) -> TrainState:
        """What the complete epochs left."""
        return self._state

    def run(self) -> TrainState:
        """Train until the last epoch is complete, or patience ends.

        Raises:
            EpisodeCancelled: `Hooks.should_stop` said so; the checkpoint holds the last complete epoch.
            NonFiniteLoss: a loss or weight is not finite.
            OutOfMemory: too little memory even for the smallest steps.
        """
        if self._state.epoch >= 0:
            self._tell("resumed")
        places = plan(self._settings, self._sampler.val_batches, self._state.epoch)
        prefetcher = Prefetcher(self._sampler.batch, places, self._settings.prefetch)
        try:
            batches = iter(prefetcher)
            for epoch in range(self._state.epoch + 1, self._settings.epochs + 1):
                if self._out_of_patience():
                    break
                self._epoch = epoch
                losses = [self._update(next(batches)) for _ in range(self._settings.updates if epoch else 0)]
                with self._average.applied():
                    score = self._validate(batches)
                    candidate = {n: _copy(p) for n, p in self._parameters.items()}
                self._close_epoch(losses, score, candidate)
        finally:
            prefetcher.close()
            self._memory.undo()
        return self._state

    def _out_of_patience(self) -> bool:
        waited = self._state.epoch - self._state.best_epoch
        return 0 < self._settings.patience <= waited

    def _update(self, batch: Batch) -> float:
        learning_rate = self._set_learning_rate()
        self._optimiser.zero_grad(set_to_none=True)
        if self._settings.step_after == "pass":
            result = self._window(batch, True, lambda _: self._step(learning_rate, self._settings.steps))
        else:
            result = self._window(batch, True)
            self._step(learning_rate)
        self._state.updates += 1
        self._average.add(self._state.updates)
        self._updates_here += 1
        self._tell("training", loss=result.loss)
        return result.loss

    def _step(self, learning_rate: float, factor: int = 1) -> None:
        """Change the weights by the gradient so far, times ``factor``, and begin a new one."""
        if self._scaler is not None:
            self._scaler.unscale_(self._optimiser)
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        torch._foreach_mul_(gradients, float(factor))  # the window divides its loss by its steps
        if self._settings.gradient_clip > 0:
            nn.utils.clip_grad_norm_(self._parameters.values(), self._settings.gradient_clip)
        if self._scaler is not None:
            self._scaler.step(self._optimiser)
            self._scaler.update()
        else:
            self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self._anchor.pull(learning_rate)

    def _set_learning_rate(self) -> float:
        rate = self._settings.learning_rate
        if self._settings.learning_rate_schedule == "linear":
            rate *= 1 - self._state.updates / (self._settings.epochs * self._settings.updates)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        return rate

    def _validate(self, batches: Iterator[Batch]) -> float | None:
        """Mean score over the validation windows; None without held-out cases."""
        scores: list[float] = []
        for _ in range(self._sampler.val_batches):
            batch = next(batches)
            result = self._window(batch, backward=False)
            curves = zip(*result.dice, strict=True)
            scores += [dice_auc(curve, self._settings.steps) for curve in curves]
        return sum(scores) / len(scores) if scores else None

    def _window(
        self, batch: Batch, backward: bool, on_step: Callable[[int], None] | None = None
    ) -> WindowResult:
        """One interaction window; done again with less memory if it ran out."""
        samples = on_device(batch, self._device)
        while True:
            settings = WindowSettings(
                self._settings.steps,
                self._rules,
                self._autocast,
                self._memory.micro_batch,
                follow=self._settings.patch_centre == "session",
                emphasis=self._settings.emphasis,
                unprompted=self._settings.unprompted if backward else 0.0,
            )
            try:
                with self._hooks.aside.interruptible():
                    return run_window(
                        self._network,
                        samples,
                        PointPrompter(),
                        self._sampler.rng(batch.place),
                        settings,
                        backward=backward,
                        on_microstep=self._between_microsteps,
                        on_step=on_step,
                        scaler=self._scaler if backward else None,
                    )
            except DeviceWanted:
                make_room = self._stand_aside
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                make_room = self._spare_memory
            # Outside the handlers: the exceptions hold on to the tensors that filled the memory.
            self._optimiser.zero_grad(set_to_none=True)
            make_room(batch.place)

    def _stand_aside(self, place: Place) -> None:
        with moved_out(self._network, self._optimiser):
            self._hooks.aside.stand_aside()
        self._note(place, "A click needed the memory of the device; going on.")
        self._memory.forgive_once = True

    def _spare_memory(self, place: Place) -> None:
        free_cached_memory()
        note = self._memory.save_more()
        self._note(place, note)

    def _note(self, place: Place, note: str) -> None:
        self._tell("validating" if place.validation else "training", note=note)

    def _between_microsteps(self) -> None:
        if self._hooks.should_stop():
            raise EpisodeCancelled(
                f"The episode was stopped in epoch {self._epoch} of {self._settings.epochs}; "
                "no weights were changed."
            )
        if self._hooks.yield_to is not None:
            self._hooks.yield_to()

    def _close_epoch(
        self, losses: Sequence[float], score: float | None, candidate: dict[str, Tensor]
    ) -> None:
        state = self._state
        if not all(bool(torch.isfinite(p).all()) for p in self._parameters.values()):
            raise NonFiniteLoss("A weight became NaN or infinite while training; lower the learning rate.")
        if losses:
            state.losses.append(sum(losses) / len(losses))
        if score is not None:
            keep = self._settings.val_smoothing
            state.scores.append(score)
            state.smoothed.append(keep * score + (1 - keep) * state.smoothed[-1] if state.smoothed else score)
        last = self._settings.keep == "last" or score is None
        if last or state.smoothed[-1] > max(state.smoothed[:-1], default=-1.0):
            state.best_epoch = self._epoch
            state.best = candidate
        state.epoch = self._epoch
        state.micro_batch, state.checkpointing = self._memory.micro_batch, self._memory.checkpointing
        kept = replace(state, seconds=self.seconds)
        save_state(self._checkpoint, kept, self._parameters, self._optimiser, self._scaler, self._order)
        self._tell("validating", val=score)

    def _tell(
        self, phase: Phase, loss: float | None = None, val: float | None = None, note: str = ""
    ) -> None:
        done, total = self._state.updates, self._settings.epochs * self._settings.updates
        here = time.perf_counter() - self._since
        eta_s = here / self._updates_here * (total - done) if self._updates_here else None
        progress = Progress(
            phase, self._epoch, self._settings.epochs, done, total, loss, val, self.seconds, eta_s, note
        )
        self._hooks.on_progress(progress)


def _copy(parameter: Tensor) -> Tensor:
    return parameter.detach().cpu().clone(memory_format=torch.contiguous_format)


def dice_auc(curve: Sequence[float], steps: int) -> float:
    """Trapezoid of a Dice curve over the interaction axis, divided by its length: in [0, 1].

    Args:
        curve: Dice after each step; a curve that ended early, with a perfect mask, goes on at its last value.
        steps: number of steps of the window.
    """
    full = [*curve, *[curve[-1]] * (steps - len(curve))]
    if steps == 1:
        return full[0]
    return (sum(full) - (full[0] + full[-1]) / 2) / (steps - 1)
