"""How an episode fits beside an engine on one device: decided from sizes before anything is taken.

Of what is free the engine keeps its share: its context, weights and image always, the memory of one
prediction while a click is answered. Into the rest have to go the trainer's own context, the weights,
gradients and Adam's moments of what is trained, and the peak of a forward and backward pass from `footprint`,
with a margin for the workspace of the library that convolves and for memory that is free in pieces.

Tried in this order: all samples at once beside a click, fewer at once, activations made again on the way
back; then the same with the memory of a click lent to the trainer, which gives it back and repeats its pass
when a click comes; and only then a smaller patch. Free of torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.hardware.footprint import (
    Architecture,
    click_bytes,
    footprint,
    forward_operations,
    parameter_count,
)
from clopa_annotator.errors import OutOfMemory
from clopa_annotator.geometry import Kji

GIB = 1 << 30
CONTEXT_BYTES = int(0.6 * GIB)
"""Of each process on a CUDA device: the context and the libraries' kernels. Assumed; not measured yet."""
MARGIN = 1.15
"""On the peak of a pass. Assumed; not measured yet."""
IMAGE_BYTES = GIB
"""Room for the engine's open image and its prompts: 14 bytes for each of 77 million voxels."""
SMALLEST_SHARE = 1 / 3
"""Of the patch's side: below this, training would see too little of what the session sees."""


@dataclass(frozen=True)
class Room:
    """Memory of a device, in bytes.

    Attributes:
        free: what engine and trainer may take from now on.
        resting: what the engine has still to take, and keeps while nobody clicks.
        click: what it takes beyond that while it answers a click.
    """

    free: int
    resting: int
    click: int


def room_on_card(total: int, design: Architecture, patch_kji: Kji, value_bytes: int = 2) -> Room:
    """The room on a card of ``total`` bytes with nothing on it; a twelfth is left to screen and driver."""
    resting = CONTEXT_BYTES + 4 * parameter_count(design) + IMAGE_BYTES
    return Room(total * 11 // 12, resting, _click(design, patch_kji, value_bytes))


def room_beside_engine(free: int, design: Architecture, patch_kji: Kji, value_bytes: int = 2) -> Room:
    """The room where the engine has its weights on the device already, and perhaps an image."""
    return Room(free * 11 // 12, 0, _click(design, patch_kji, value_bytes))


def _click(design: Architecture, patch_kji: Kji, value_bytes: int) -> int:
    return int(MARGIN * click_bytes(design, patch_kji, value_bytes))


@dataclass(frozen=True)
class MemoryPlan:
    """How an episode uses its device.

    Attributes:
        patch_kji: patch to train on.
        full_patch_kji: the session's patch.
        micro_batch: samples in a forward pass.
        checkpointing: whether activations are made again on the way back.
        resident: whether everything stays on the device while a click is answered. Otherwise the trainer
            drops its pass, moves its weights out, and loads them again afterwards.
        trainer_bytes: most that the trainer is expected to take, its context included.
        limit_bytes: most that it may take.
        engine_bytes: what is kept for the engine meanwhile.
    """

    patch_kji: Kji
    full_patch_kji: Kji
    micro_batch: int
    checkpointing: bool
    resident: bool
    trainer_bytes: int
    limit_bytes: int
    engine_bytes: int

    @property
    def full_patch(self) -> bool:
        """Whether training sees patches of the size that the session sees."""
        return self.patch_kji == self.full_patch_kji

    def sentence(self) -> str:
        """The plan in words."""
        patch = " x ".join(str(n) for n in self.patch_kji)
        ways = [f"patches of {patch} voxels", f"{self.micro_batch} sample(s) at a time"]
        if self.checkpointing:
            ways.append("activations computed twice")
        if not self.resident:
            ways.append("a click interrupts the pass and takes its memory")
        smaller = (
            ""
            if self.full_patch
            else " For want of memory the patch is smaller than the session's, so that what is learned"
            " may fit less well."
        )
        return (
            f"{', '.join(ways)}; {self.trainer_bytes / GIB:.1f} GiB for training and "
            f"{self.engine_bytes / GIB:.1f} GiB for the engine.{smaller}"
        )


def plan_memory(
    design: Architecture,
    patch_kji: Kji,
    settings: EpisodeSettings,
    trained: int,
    room: Room,
    value_bytes: int = 2,
) -> MemoryPlan:
    """The best way to train that fits.

    Args:
        design: the network.
        patch_kji: the session's patch.
        settings: of the episode; what it asks for is never made less thrifty.
        trained: number of values that are trained.
        room: on the device.
        value_bytes: of an activation: 2 under autocast, 4 in float32.

    Raises:
        OutOfMemory: not even the smallest way fits.
    """
    weights = parameter_count(design) * (6 if value_bytes == 2 else 4)
    # The gradient, Adam's two moments, the best epoch's copy and the mean: one float32 per value each.
    fixed = CONTEXT_BYTES + weights + 5 * 4 * trained
    for patch, resident, micro_batch, checkpointing in _ways(design, patch_kji, settings):
        peak = footprint(
            design, patch, batch=micro_batch, value_bytes=value_bytes, checkpointing=checkpointing
        ).peak
        needed = fixed + int(MARGIN * peak)
        engine = room.resting + (room.click if resident else 0)
        if needed <= room.free - engine:
            limit = room.free - engine
            return MemoryPlan(patch, patch_kji, micro_batch, checkpointing, resident, needed, limit, engine)
    raise OutOfMemory(
        f"Of {room.free / GIB:.1f} GiB, {room.resting / GIB:.1f} are the engine's; the rest is too little to "
        "train this network, even on small patches. Train on another device, or with a smaller model."
    )


def _ways(
    design: Architecture, patch_kji: Kji, settings: EpisodeSettings
) -> Iterator[tuple[Kji, bool, int, bool]]:
    """Patch, residence, micro-batch and checkpointing, the best first."""
    batches = [min(settings.micro_batch or settings.batch, settings.batch)]
    while batches[-1] > 1:
        batches.append(batches[-1] // 2)
    again = (True,) if settings.gradient_checkpointing else (False, True)
    for patch in patches(design, patch_kji):
        for checkpointing in again:
            yield from ((patch, True, n, checkpointing) for n in batches)
        yield from ((patch, False, 1, checkpointing) for checkpointing in again)


def patches(design: Architecture, patch_kji: Kji) -> Iterator[Kji]:
    """The patch, and smaller ones that the network can take, with every side shrunk alike."""
    steps = design.step_kji
    side, step = max(zip(patch_kji, steps, strict=True))
    before: Kji | None = None
    for n in range(side // step, 0, -1):
        share = n * step / side
        if share < SMALLEST_SHARE:
            return
        (k, j, i) = (max(s, s * math.floor(share * m / s)) for m, s in zip(patch_kji, steps, strict=True))
        if (k, j, i) != before:
            before = (k, j, i)
            yield before


@dataclass(frozen=True)
class Work:
    """How much an episode computes.

    Attributes:
        passes: forward and backward passes of one sample.
        looks: forward passes of one sample alone, for validation.
        operations: floating-point operations of the convolutions in all.
    """

    passes: int
    looks: int
    operations: float

    def minutes(self, operations_per_s: float) -> float:
        """How long it takes at a rate."""
        return self.operations / operations_per_s / 60


def work_of(
    design: Architecture, patch_kji: Kji, settings: EpisodeSettings, checkpointing: bool = False
) -> Work:
    """The computing of one episode with held-out cases, all its epochs.

    A backward pass costs one forward pass for the gradients that run through, and one more for those of the
    convolutions' weights where most of them are trained.
    """
    passes = settings.epochs * settings.updates * settings.batch * settings.steps
    looks = (settings.epochs + 1) * settings.val_samples * settings.steps
    weights = bool({"all", "decoder"} & set(settings.group.split("+")))
    forward = forward_operations(design, patch_kji)
    return Work(passes, looks, float(forward * ((2 + weights + checkpointing) * passes + looks)))
