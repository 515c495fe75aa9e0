"""The network as nnInteractive calls it, with a faster way from two channels to a mask.

nnInteractive asks ``network(x)[0].argmax(0)``. Over the two channels of a 192^3 patch that takes about 1.6 s
on a CPU, comparing them 9 ms (``benchmarks/click_overhead.py`` measures both). `TwoClassNetwork` answers with
an object that understands just these two steps. Where both channels are equal `argmax` gives the first,
class 0; so does ``>``.
"""

from __future__ import annotations

import contextlib
from typing import Literal

import torch
from torch import nn

CpuPrecision = Literal["fp32", "bf16"]


def best_cpu_precision() -> CpuPrecision:
    """The faster precision on this CPU: bf16 where the processor has units for it, else fp32.

    Units for bf16 (AMX, AVX512-BF16) halve the time of a prediction; without them it is emulated and slower.
    """
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "fp32"


class NotFiniteError(Exception):
    """The network's answer contains NaN or infinite values; `LocalSession` turns it into words."""


class TwoClassLogits:
    """The network's answer: indexing gives one sample, `argmax` over its channels the mask."""

    def __init__(self, logits: torch.Tensor) -> None:
        self._logits = logits

    def __getitem__(self, sample: int) -> TwoClassLogits:
        return TwoClassLogits(self._logits[sample])

    def argmax(self, dim: int) -> torch.Tensor:
        """1 where the second channel is larger than the first, as uint8, without the channel axis.

        Raises:
            NotFiniteError: a value is NaN or infinite.
        """
        background, target = self._finite().unbind(dim)
        return (target > background).to(torch.uint8)

    def probability(self) -> torch.Tensor:
        """(k, j, i) float32 of the one sample: the softmax of the second channel.

        Raises:
            NotFiniteError: a value is NaN or infinite.
        """
        background, target = self._finite().float().unbind(0)
        return torch.sigmoid(target - background)

    def _finite(self) -> torch.Tensor:
        # A sum is finite only if every term is; it costs a tenth of isfinite().all(). Terms may also overflow
        # together, so a suspicious sum is looked at voxel by voxel.
        suspicious = not torch.isfinite(self._logits.sum(dtype=torch.float32))
        if suspicious and not torch.isfinite(self._logits).all():
            raise NotFiniteError
        return self._logits


class TwoClassNetwork:
    """A network with two output channels, ready for nnInteractive's session."""

    def __init__(self, network: nn.Module, cpu_precision: CpuPrecision = "fp32") -> None:
        self._network = network
        self._cpu_precision = cpu_precision

    def __call__(self, patch: torch.Tensor) -> TwoClassLogits:
        """Run the network on a (1, 8, k, j, i) patch."""
        with self._precision(patch.device):
            return TwoClassLogits(self._network(patch))

    def _precision(self, device: torch.device) -> contextlib.AbstractContextManager[object]:
        if device.type == "cpu" and self._cpu_precision == "bf16":
            return torch.autocast("cpu", dtype=torch.bfloat16)
        return contextlib.nullcontext()
