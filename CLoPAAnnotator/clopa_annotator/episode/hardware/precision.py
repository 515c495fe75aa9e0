"""Which precision a device computes the forward pass in. Weights, losses and their sums stay float32."""

from __future__ import annotations

from typing import Any

import torch

from clopa_annotator.errors import ConfigError

_NAMED = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The type for autocast; None computes in float32.

    Args:
        precision: "auto", "fp32", "bf16" or "fp16".
        device: where the network is.

    Raises:
        ConfigError: fp16 away from CUDA, where nothing scales the loss or computes it fast.
    """
    if precision != "auto":
        if precision == "fp16" and device.type != "cuda":
            raise ConfigError('Training in fp16 needs a CUDA device; set the precision to "auto".')
        return _NAMED[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and cpu_is_fast_in_bf16() else None


def cpu_is_fast_in_bf16() -> bool:
    """Whether this processor multiplies bf16 in hardware (AMX or AVX512-BF16); elsewhere it is emulated."""
    asked = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in asked)


def loss_scaler(dtype: torch.dtype | None, device: torch.device) -> Any:
    """A scaler that keeps small fp16 gradients from vanishing; None where none is needed."""
    return torch.amp.GradScaler(device.type) if dtype is torch.float16 else None
