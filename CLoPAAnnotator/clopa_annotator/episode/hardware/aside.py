"""Stepping aside when a click needs the memory, not only the time, of the device."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

import torch
from torch import nn


class Aside(Protocol):
    """Whoever knows that a click is short of memory; the engine's trainer process fulfils it."""

    def interruptible(self) -> AbstractContextManager[object]:
        """While this is open, `DeviceWanted` may come out of any layer of the network."""
        ...

    def stand_aside(self) -> None:
        """Say that everything was given back, and wait until the click has been answered."""
        ...


class NobodyClicks:
    """For episodes beside which no engine runs; fulfils `Aside`."""

    def interruptible(self) -> AbstractContextManager[object]:
        """Nothing will interrupt."""
        return nullcontext()

    def stand_aside(self) -> None:
        """There is nobody to wait for."""


def free_cached_memory() -> None:
    """Hand back what PyTorch's allocator keeps for later, on whatever accelerator there is."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


@contextmanager
def moved_out(network: nn.Module, optimiser: torch.optim.Optimizer) -> Iterator[None]:
    """Weights and the optimiser's state in main memory for the body, and back on their device after it.

    The parameters stay the same objects, so whoever holds them need not know. On a CPU nothing moves.
    """
    device = next(network.parameters()).device
    if device.type != "cpu":
        _move(network, optimiser, torch.device("cpu"))
    free_cached_memory()
    try:
        yield
    finally:
        if device.type != "cpu":
            _move(network, optimiser, device)


def _move(network: nn.Module, optimiser: torch.optim.Optimizer, device: torch.device) -> None:
    network.to(device)
    for state in optimiser.state.values():
        for name, value in state.items():
            # Adam keeps its step on the CPU unless it is capturable.
            if isinstance(value, torch.Tensor) and value.ndim:
                state[name] = value.to(device)
