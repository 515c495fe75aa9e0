"""Training through ``torch.compile``: off unless a setting asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class Compiled(nn.Module):
    """A network whose passes are compiled; its parameters stay where they are.

    ``torch.compile(network)`` would do but for the hooks that let a click in between layers: it warns of them
    at every pass.
    """

    def __init__(self, network: nn.Module, backend: str | Callable[..., Any]) -> None:
        super().__init__()
        self._orig_mod = network  # the name by which `parameters.unwrap` knows PyTorch's own wrapper
        # Two samples, one when the other is solved, no gradient in validation: each compiled by itself.
        self._pass = torch.compile(network.forward, backend=backend, dynamic=False)

    def forward(self, inputs: torch.Tensor) -> Any:
        """The network's output; compiles at the first of its kind."""
        return self._pass(inputs)


def compiled(network: nn.Module, wanted: bool, backend: str | Callable[..., Any] = "inductor") -> nn.Module:
    """The network behind ``torch.compile``, or itself.

    Off by default: compiling the passes takes a while, which an episode has to earn back, and a compiled pass
    cannot be left between its layers, so that a click waits for a whole micro-step (`training.yielding` keeps
    out of what is being compiled). ``benchmarks/gpu.py`` (b, c) measures both on a card.

    Args:
        network: on the device that trains.
        wanted: whether to compile.
        backend: PyTorch's name of a compiler, which has to be there when the first pass comes.
    """
    return Compiled(network, backend) if wanted else network
