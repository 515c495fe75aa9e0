"""Forward and backward of the base model with weights channels last and in PyTorch's usual layout.

    python benchmarks/training_layout.py [--model bundled] [--side 64] [--batch 2] [--threads 2] [--repeats 6]

Both layouts run in turn on the same input, without autocast; the table gives medians, and how far the
gradients of the two differ. It is what `clopa_annotator.episode.hardware.channels_last` is for.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import bench
import torch
from torch import nn

from clopa_annotator.episode.hardware.allocator import keep_freed_memory
from clopa_annotator.episode.hardware.channels_last import training_layout
from clopa_annotator.models import resolve
from clopa_annotator.session.model import load_model


def forward_s(network: nn.Module, inputs: torch.Tensor) -> float:
    """Seconds of one forward pass without a graph."""
    started = time.perf_counter()
    with torch.inference_mode():
        network(inputs)
    return time.perf_counter() - started


def both_s(network: nn.Module, inputs: torch.Tensor) -> float:
    """Seconds of one forward and backward pass; the gradients stay in the network."""
    network.zero_grad(set_to_none=True)
    started = time.perf_counter()
    network(inputs).square().mean().backward()
    return time.perf_counter() - started


def gradients(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of what the last backward pass left."""
    return {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


def measure(given: bench.Options, _scratch: Path) -> bench.Figures:
    """Both layouts, in turn."""
    keep_freed_memory()
    network = load_model(resolve(given.model), "cpu").network.requires_grad_(True)
    inputs = torch.randn(given.batch, 8, *[given.side] * 3, generator=torch.Generator().manual_seed(0))
    names = [f"{layout}, {what}" for layout in ("usual", "last") for what in ("forward", "both")]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(given.repeats + 1):  # the first one warms up
        usual = (forward_s(network, inputs), both_s(network, inputs))
        reference = gradients(network)
        with training_layout(network):
            network.zero_grad(set_to_none=True)
            last = (forward_s(network, inputs), both_s(network, inputs))
            found = gradients(network)
            network.zero_grad(set_to_none=True)
        if repeat:
            for name, value in zip(seconds, (*usual, *last), strict=True):
                seconds[name].append(value)
    norm = sum(float(g.square().sum()) for g in reference.values()) ** 0.5
    apart = sum(float((found[n] - g).square().sum()) for n, g in reference.items()) ** 0.5
    medians = {name: median(values) for name, values in seconds.items()}
    size = {"batch": given.batch, "side": given.side, "repeats": given.repeats}
    return {**size, "median_s": medians, "gradients_apart": apart / norm}


if __name__ == "__main__":
    sizes = {"--side": 64, "--batch": 2, "--threads": 2, "--repeats": 6}
    bench.main(__doc__, measure, {"--model": "bundled", **sizes})
