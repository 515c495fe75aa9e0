"""How long a weights version takes to go live in a 100-million-parameter network. Goal: under 50 ms.

    python benchmarks/swap_resencl.py [--device cpu] [--repeats 20] [--threads 0] [--json FILE]

The standard ResEnc-L (six stages, 102,355,818 parameters, random weights) goes back and forth between two
instance-norm versions and the base; then the same with a shallow-convolution delta. The first swap of a
watched network and a full rewrite (a network that nobody watched) are listed apart. After each swap the
weights are compared with what they should be.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bench
import torch
from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet
from torch import Tensor, nn

from clopa_annotator.delta import DeltaInfo, pack_delta
from clopa_annotator.episode.parameters import select
from clopa_annotator.swap import apply_version, watch

FEATURES, BLOCKS = (32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6)


@dataclass
class Target:
    """A live network."""

    network: nn.Module
    lock: Any = field(default_factory=threading.RLock)
    version: int = 0


def resenc_l() -> nn.Module:
    """The standard ResEnc-L with 8 input channels, as nnInteractive's plans build it."""
    stages = len(FEATURES)
    network: nn.Module = ResidualEncoderUNet(
        input_channels=8,
        n_stages=stages,
        features_per_stage=FEATURES,
        conv_op=nn.Conv3d,
        kernel_sizes=[[3, 3, 3]] * stages,
        strides=[[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
        n_blocks_per_stage=BLOCKS,
        num_classes=2,
        n_conv_per_stage_decoder=[1] * (stages - 1),
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )
    return network.eval()


def variant(network: nn.Module, group: str, seed: int) -> dict[str, Tensor]:
    """A delta of a group with random values, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(p.shape, generator=generator) for n, p in select(network, group).items()}


def check(network: nn.Module, base: Mapping[str, Tensor], delta: Mapping[str, Tensor]) -> None:
    """End the benchmark unless the network is base plus delta."""
    for name, parameter in network.named_parameters():
        if not torch.equal(parameter.detach().cpu(), delta.get(name, base[name])):
            raise SystemExit(f"{name} is not what the version says.")


def swap_ms(
    target: Target, base: Mapping[str, Tensor], delta: dict[str, Tensor], repeats: int
) -> list[float]:
    """Milliseconds of each swap between two deltas of a group and the base; the result is checked."""
    other = {n: t + 1 for n, t in delta.items()}
    times = []
    for n in range(repeats):
        wanted = ({}, delta, other)[n % 3]
        times.append(1e3 * synchronised(target, base, wanted, n))
        check(target.network, base, wanted)
    return times


def synchronised(target: Target, base: Mapping[str, Tensor], delta: dict[str, Tensor], number: int) -> float:
    """Seconds of one swap, with the copies on a GPU done."""
    seconds = apply_version(target, base, delta, number)
    if next(target.network.parameters()).is_cuda:
        torch.cuda.synchronize()
    return seconds


def measure(given: bench.Options, _scratch: Path) -> bench.Figures:
    """Both groups."""
    torch.manual_seed(0)
    network = resenc_l().to(given.device)
    base = {n: p.detach().cpu().clone() for n, p in network.named_parameters()}
    groups: bench.Figures = {}
    for group in ("in", "cn"):
        delta = variant(network, group, 1)
        packed = pack_delta(delta, DeltaInfo("", ""))
        target = Target(network)
        watch(network)
        apply_version(target, base, None, 0)
        first = 1e3 * synchronised(target, base, delta, 1)
        times = swap_ms(target, base, delta, given.repeats)
        apply_version(target, base, None, 0)
        rewrite = 1e3 * synchronised(Target(network), base, base, 0)
        groups[group] = {
            "tensors": len(delta),
            "values": sum(t.numel() for t in delta.values()),
            "file_kb": len(packed) / 1024,
            "first_ms": first,
            "median_ms": statistics.median(times),
            "worst_ms": max(times),
            "full_rewrite_ms": rewrite,
        }
    parameters = sum(p.numel() for p in network.parameters())
    return {"device": given.device, "parameters": parameters, "groups": groups}


if __name__ == "__main__":
    bench.main(__doc__, measure, {"--device": "cpu", "--repeats": 21, "--threads": 0})
