"""Weights that change between clicks: numbered, undoable, and never mistaken for a registered version.

Three states are kept as copies of the tuned parameters: what is *registered*, what *persists* from case to
case, and the states *within the case* that undo can return to. Copies are bounded by bytes; the oldest states
within the case are dropped first.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from clopa_annotator.episode.parameters import select, unwrap
from clopa_annotator.errors import NonFiniteLoss, OutOfMemory
from clopa_annotator.online.online_settings import StepSettings
from clopa_annotator.online.strategy import AdaptableModel
from clopa_annotator.session.logits import best_cpu_precision

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class WeightsState:
    """A version number and copies of the tuned parameters, in the order of the selection."""

    version: int
    values: tuple[Tensor, ...]


class OnlineWeights:
    """The tuned parameters of a live network and their states.

    Attributes:
        model: the live network with its lock and version.
        parameters: the tuned ones by name.
    """

    def __init__(self, model: AdaptableModel, group: str, keep_bytes: int = 2**29) -> None:
        self.model = model
        self.parameters = select(model.network, group)
        self._limit = keep_bytes
        self._next = min(model.version, 0) - 1
        self._within: OrderedDict[int, WeightsState] = OrderedDict()
        self._adopt()

    @property
    def parent_version(self) -> int:
        """The registered version that the weights stem from."""
        return self._registered.version

    @property
    def persistent(self) -> WeightsState:
        """The state that outlives the case."""
        return self._persistent

    def live(self) -> dict[str, Tensor]:
        """Copies of the tuned parameters as they are now."""
        with self.model.lock:
            return dict(zip(self.parameters, self._copy(), strict=True))

    def start_case(self) -> bool:
        """Return to the persistent state, or adopt what someone else swapped in; True if adopted."""
        with self.model.lock:
            adopted = self._notice_swap()
            if not adopted:
                self._restore(self._persistent)
            self._within = OrderedDict({self._persistent.version: self._persistent})
            return adopted

    def return_to(self, version: int) -> bool:
        """Restore a state of this case; False if it is not kept any more."""
        with self.model.lock:
            state = self._within.get(version)
            if state is None:
                logger.warning("Weights %d are not kept any more; undo leaves the newer ones in use", version)
                return False
            if self.model.version != version:
                self._restore(state)
            return True

    def keep(self) -> None:
        """What was learned within the case persists from now on."""
        with self.model.lock:
            state = self._within.get(self.model.version)
            if state is not None:
                self._persistent = state

    def commit(self, persist: bool) -> int:
        """Give the network's present weights a provisional number; they persist or last within the case."""
        with self.model.lock:
            state = WeightsState(self._next, self._copy())
            self._next -= 1
            self.model.version = state.version
            self._within[state.version] = state
            if persist:
                self._persistent = state
            self._drop_oldest()
            return state.version

    def registered(self, version: int) -> None:
        """The persistent state became a registered version."""
        with self.model.lock:
            if self.model.version == self._persistent.version:
                self.model.version = version
            self._persistent = WeightsState(version, self._persistent.values)
            self._registered = self._persistent
            self._within[version] = self._persistent

    def rollback(self) -> None:
        """Return to the registered state and persist it."""
        with self.model.lock:
            self._persistent = self._registered
            self._restore(self._registered)
            self._within = OrderedDict({self._registered.version: self._registered})

    @contextmanager
    def or_restore(self) -> Iterator[None]:
        """Hold the model's lock; whatever fails inside leaves the weights as they were."""
        with self.model.lock, torch.inference_mode(False):
            self._notice_swap()
            before = WeightsState(self.model.version, self._copy())
            try:
                yield
            except BaseException:
                self._restore(before)
                raise

    def _notice_swap(self) -> bool:
        """Go on from weights that someone else put into the network since; True if someone did.

        A registered version counts as someone else's once something newer persists: who puts it back, to
        roll back or to measure it, does not want what was learned since.
        """
        ours = {version for version in self._within if version < 0}
        if self.model.version in {self._persistent.version, *ours}:
            return False
        self._adopt()
        return True

    def _adopt(self) -> None:
        self._registered = WeightsState(self.model.version, self._copy())
        self._persistent = self._registered
        self._within = OrderedDict({self._registered.version: self._registered})

    def _copy(self) -> tuple[Tensor, ...]:
        with torch.inference_mode(False):
            return tuple(p.detach().clone() for p in self.parameters.values())

    def _restore(self, state: WeightsState) -> None:
        with torch.inference_mode(False), torch.no_grad():
            torch._foreach_copy_(list(self.parameters.values()), list(state.values))
        self.model.version = state.version

    def _drop_oldest(self) -> None:
        size = sum(t.numel() * t.element_size() for t in self._persistent.values)
        keep = {self._persistent.version, self._registered.version, self.model.version}
        for version in [v for v in self._within if v not in keep]:
            if len(self._within) * size <= self._limit:
                return
            del self._within[version]


class Stepper:
    """Gradient steps on the tuned parameters; the optimiser's moments live until `forget`."""

    def __init__(self, weights: OnlineWeights, settings: StepSettings) -> None:
        self._weights = weights
        self._settings = settings
        self._optimiser = self._new_optimiser()

    def forget(self) -> None:
        """Start with fresh moments."""
        self._optimiser = self._new_optimiser()

    def forward(self, network_input: Tensor) -> Tensor:
        """(2, *patch) logits of an (8, *patch) input, differentiable when gradients are on."""
        network = unwrap(self._weights.model.network)
        device = self._weights.model.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self._uses_bf16(device)):
            logits: Tensor = network(network_input.to(device)[None])[0]
        return logits

    def _uses_bf16(self, device: torch.device) -> bool:
        if self._settings.autocast != "auto":
            return self._settings.autocast
        return device.type == "cuda" or (device.type == "cpu" and best_cpu_precision() == "bf16")

    def step(self, loss: Callable[[], Tensor]) -> float:
        """One update: gradients on, loss, backward, optimiser; the caller holds `OnlineWeights.or_restore`.

        Args:
            loss: computes the scalar loss.

        Returns:
            The loss before the step.

        Raises:
            NonFiniteLoss: the loss or a weight is not finite.
            OutOfMemory: the backward pass does not fit the device.
        """
        with self._tuning() as parameters:
            value = _backward(loss)
            self._optimiser.step()
        if not all(bool(torch.isfinite(p).all()) for p in parameters):
            self.forget()
            raise NonFiniteLoss(
                "A weight became infinite while learning from this case; it was not learned from."
            )
        return value

    def gradients(self, loss: Callable[[], Tensor]) -> list[Tensor]:
        """The gradient of a loss for each tuned parameter, zero where it has none; no update.

        Raises:
            NonFiniteLoss: the loss is not finite.
            OutOfMemory: the backward pass does not fit the device.
        """
        with self._tuning() as parameters:
            _backward(loss)
            return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]

    @contextmanager
    def _tuning(self) -> Iterator[list[torch.nn.Parameter]]:
        """Gradients for the tuned parameters and for no other; everything as before afterwards."""
        parameters = list(self._weights.parameters.values())
        everything = list(unwrap(self._weights.model.network).parameters())
        flags = [p.requires_grad for p in everything]
        # The session predicts in inference mode, in which nothing can be differentiated.
        with torch.inference_mode(False), torch.enable_grad():
            try:
                for p in everything:
                    p.requires_grad_(False)
                for p in parameters:
                    p.requires_grad_(True)
                yield parameters
            finally:
                for p, flag in zip(everything, flags, strict=True):
                    p.grad = None
                    p.requires_grad_(flag)

    def _new_optimiser(self) -> torch.optim.Optimizer:
        parameters = list(self._weights.parameters.values())
        rate, decay = self._settings.learning_rate, self._settings.weight_decay
        if self._settings.optimiser == "sgd":
            return torch.optim.SGD(parameters, lr=rate, weight_decay=decay)
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)


def _backward(compute: Callable[[], Tensor]) -> float:
    try:
        loss = compute()
        if not bool(torch.isfinite(loss.detach())):
            raise NonFiniteLoss(
                "The loss is not finite; this case was not learned from and the weights are as before."
            )
        loss.backward()  # type: ignore[no-untyped-call]
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(
            "There is not enough memory to learn from this case; the weights are as before. "
            "Choose a smaller parameter group, or a strategy that learns in episodes."
        ) from error
    return float(loss.detach())
