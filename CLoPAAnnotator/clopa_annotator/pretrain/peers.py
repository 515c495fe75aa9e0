"""Training in several processes that average their gradients.

On two cores, one thread in each of two processes waits once per update; two threads in one process wait for
each other inside every operator, which hurts when something else runs on the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor


class Peers:
    """One of ``count`` processes that train together; alone, every method is the identity."""

    def __init__(self, rank: int, count: int, rendezvous: Path) -> None:
        """Meet the others.

        Args:
            rank: 0 leads: it decides, saves and reports.
            count: number of processes.
            rendezvous: a file that does not exist yet, on a local disk.
        """
        self.rank, self.count = rank, count
        if count > 1:
            dist.init_process_group(
                "gloo", init_method=rendezvous.resolve().as_uri(), rank=rank, world_size=count
            )

    @property
    def leads(self) -> bool:
        """Whether this process decides, saves and reports."""
        return self.rank == 0

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their mean over the processes, in one exchange."""
        if self.count == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        torch._foreach_copy_(list(tensors), _like(flat, tensors))

    def follow(self, *values: float) -> tuple[float, ...]:
        """The leader's values."""
        if self.count == 1:
            return values
        told = torch.tensor(values, dtype=torch.float64)
        dist.broadcast(told, 0)
        return tuple(told.tolist())

    def part(self) -> None:
        """End the meeting."""
        if self.count > 1:
            dist.destroy_process_group()


def _like(flat: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    parts = torch.split(flat, [t.numel() for t in tensors])
    return [p.view_as(t) for p, t in zip(parts, tensors, strict=True)]
