"""Channels last: how a network's weights lie in memory while it trains on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def train_channels_last(network: nn.Module) -> None:
    """Lay the convolutions' weights out channels last if the network is on a CPU; values stay as they are.

    oneDNN computes the gradient of a 3D convolution's weights faster in this layout: forward and backward
    of the base model at 64^3, batch 2, took 1.54 s instead of 1.78 s on two cores with AVX2 and no
    unit for bf16 (``benchmarks/training_layout.py``). A forward pass alone gains nothing, so sessions keep
    PyTorch's usual layout, and with it bit parity between processes that predict.
    """
    _lay_out(network, torch.channels_last_3d)


@contextmanager
def training_layout(network: nn.Module) -> Iterator[None]:
    """`train_channels_last` for the body, and the usual layout after it."""
    train_channels_last(network)
    try:
        yield
    finally:
        _lay_out(network, torch.contiguous_format)


def _lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    for parameter in network.parameters():
        if parameter.device.type == "cpu" and parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=layout)
