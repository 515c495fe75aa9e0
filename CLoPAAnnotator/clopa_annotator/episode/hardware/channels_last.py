"""Channels last: how a network's weights lie in memory while it trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

Layout = Literal["auto", "usual", "channels last"]


def train_channels_last(network: nn.Module, layout: Layout = "auto") -> None:
    """Lay the convolutions' weights out channels last; values stay as they are.

    oneDNN computes the gradient of a 3D convolution's weights faster in this layout: forward and backward
    of the base model at 64^3, batch 2, took 1.54 s instead of 1.78 s on two cores with AVX2 and no
    unit for bf16 (``benchmarks/training_layout.py``). A forward pass alone gains nothing, so sessions keep
    PyTorch's usual layout, and with it bit parity between processes that predict.

    Args:
        network: on the device that trains.
        layout: "auto" does it on a CPU only; ``benchmarks/gpu.py`` (b, c) measures what it gives on CUDA.
    """
    if layout == "channels last" or (layout == "auto" and _device(network) == "cpu"):
        _lay_out(network, torch.channels_last_3d)


@contextmanager
def training_layout(network: nn.Module, layout: Layout = "auto") -> Iterator[None]:
    """`train_channels_last` for the body, and the usual layout after it."""
    train_channels_last(network, layout)
    try:
        yield
    finally:
        _lay_out(network, torch.contiguous_format)


def _device(network: nn.Module) -> str:
    return next((p.device.type for p in network.parameters()), "cpu")


def _lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    for parameter in network.parameters():
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=layout)
