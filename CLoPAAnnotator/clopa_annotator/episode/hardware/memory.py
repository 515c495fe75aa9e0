"""When memory runs out: smaller micro-batches, then recomputing activations, then an honest end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from clopa_annotator.episode.parameters import unwrap
from clopa_annotator.errors import OutOfMemory

logger = logging.getLogger(__name__)

MOMENT_S = 0.5
_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "bad allocation", "cannot allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out; the CPU's allocator raises a plain RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in _WORDS)


class MemorySaver:
    """The two ways to use less memory, in the order in which they are tried.

    Attributes:
        micro_batch: most samples in a forward pass.
        checkpointing: whether activations of each stage are recomputed in the backward pass.
        forgive_once: take no measure the next time; set after a click, whose engine may need a moment to give
            the memory back.
    """

    def __init__(self, network: nn.Module, micro_batch: int, checkpointing: bool) -> None:
        self._network = network
        self._originals: dict[nn.Module, Callable[..., Any]] = {}
        self.micro_batch = micro_batch
        self.checkpointing = self.forgive_once = False
        if checkpointing:
            self._recompute()

    def save_more(self) -> str:
        """Take the next measure; what was done, as a sentence.

        Raises:
            OutOfMemory: there is no measure left.
        """
        if self.forgive_once:
            self.forgive_once = False
            time.sleep(MOMENT_S)
            return "Memory ran short just after a click: trying again as before."
        if self.micro_batch > 1:
            self.micro_batch //= 2
            note = f"Memory ran short: going on with {self.micro_batch} sample(s) at a time."
        elif not self.checkpointing and self._stages():
            self._recompute()
            note = "Memory ran short: going on with activations recomputed, which is slower."
        else:
            raise OutOfMemory(
                "This device has too little memory for training, even with one sample at a time. Close other "
                "programs that use it, or train on another device."
            )
        logger.warning(note)
        return note

    def undo(self) -> None:
        """Give the network its own forward passes back."""
        for module, forward in self._originals.items():
            module.forward = forward
        self._originals.clear()
        self.checkpointing = False

    def _stages(self) -> list[nn.Module]:
        inner = unwrap(self._network)
        parts = (getattr(getattr(inner, side, None), "stages", None) for side in ("encoder", "decoder"))
        return [stage for part in parts if part is not None for stage in part]

    def _recompute(self) -> None:
        for stage in self._stages():
            self._originals[stage] = stage.forward
            stage.forward = _checkpointed(stage.forward)
        self.checkpointing = True


def _checkpointed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def recomputing(*inputs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*inputs)
        # The networks draw no random numbers, so the generators' states need not be kept for the second pass.
        return checkpoint(forward, *inputs, use_reentrant=False, preserve_rng_state=False)

    return recomputing
