"""Small tensors from main memory to the device that trains, without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor


def hand_over(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; on CUDA the copy is queued behind what runs there.

    Without being asked otherwise PyTorch waits for the device after every copy to it, for a click's mark of
    729 values as for an image. The source may go at once: CUDA takes a copy of memory that is not pinned
    before it returns. For Apple's GPUs nobody promises that, so there the copy is waited for.
    """
    return tensor.to(device, non_blocking=device.type == "cuda")
