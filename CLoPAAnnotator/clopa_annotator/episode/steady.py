"""What keeps a small cache from carrying the weights too far: an anchor, and averaging over updates.

The anchor is L2-SP (Li et al. 2018, "Explicit inductive bias for transfer learning"): weights are drawn back
to where they came from instead of to zero. It is decoupled from Adam's scaling, as AdamW does with weight
decay, so that its strength means the same for every parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Anchor:
    """Draws parameters back to given values after every update.

    Args:
        parameters: what is tuned, by name.
        values: where they are drawn to; at least the same names.
        strength: an update with learning rate r takes back the share ``r * strength`` of the distance.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor], strength: float
    ) -> None:
        self._strength = strength
        self._parameters: list[Tensor] = list(parameters.values()) if strength else []
        self._values = [values[n].detach().to(p, copy=True) for n, p in parameters.items() if strength]

    def pull(self, learning_rate: float) -> None:
        """Take back the share that belongs to this learning rate, at most all of it."""
        if self._parameters:
            with torch.no_grad():
                torch._foreach_lerp_(self._parameters, self._values, min(learning_rate * self._strength, 1.0))


class Average:
    """The mean of the weights over updates: of all so far, then with a decay, so that old ones fade.

    Args:
        parameters: what is tuned, by name.
        decay: share that the mean keeps at each update; 0 averages nothing.
        values: the mean so far, by name; it is continued in place. Empty at the start.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], decay: float, values: dict[str, Tensor]
    ) -> None:
        self._parameters, self._decay, self.values = parameters, decay, values

    def add(self, updates: int) -> None:
        """Take in the weights after the ``updates``-th update, counted from 1."""
        if not self._decay:
            return
        keep = min(self._decay, 1 - 1 / updates)
        for name, parameter in self._parameters.items():
            now = parameter.detach()
            self.values[name] = torch.lerp(now, self.values[name].to(now), keep) if keep else now.clone()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the mean into the parameters; afterwards they have their own values again."""
        if not self.values:
            yield
            return
        own = {name: p.detach().clone() for name, p in self._parameters.items()}
        try:
            self._write(self.values)
            yield
        finally:
            self._write(own)

    def _write(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(values[name])
