"""Many levels of undo from the regions that a step overwrote.

A step is stored as the compressed content (blosc2, LZ4) of each region before it was written, in order, and
the few numbers beside them. Going back writes the regions in reverse and keeps what was there instead, which
is the way forward again. This costs what a step changes: a click inside one 192^3 patch of mostly zeros
takes some ten kB, where a snapshot of the eight channels of a 512x512x300 volume holds 1.3 GB before
compression. Replaying prompts instead would cost no memory, but one prediction per earlier prompt, and would
answer with today's weights where another version had answered then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clopa_annotator.geometry import BoundsKji, bounding_box, box_slices
from clopa_annotator.session.upstream import Core, Record
from clopa_annotator.types import Mask, Prompt


@dataclass(frozen=True)
class Situation:
    """What describes a state besides the channels and the mask.

    Attributes:
        prompts: behind the current proposal, oldest first.
        weights_version: that made the current proposal.
        intensity: at which the newest prompt was written; older ones decay relative to it.
        dirty_channels: that may be nonzero.
        queue: prompts that wait for a prediction.
    """

    prompts: tuple[Prompt, ...]
    weights_version: int
    intensity: float
    dirty_channels: frozenset[int]
    queue: tuple[tuple[object, ...], tuple[float, ...]]

    @classmethod
    def of(cls, core: Core, prompts: tuple[Prompt, ...], weights_version: int) -> Situation:
        """The situation of a session now."""
        return cls(
            prompts,
            weights_version,
            float(core.current_interaction_intensity),
            frozenset(core._dirty_channels),
            core.queue,
        )


@dataclass(frozen=True)
class Step:
    """The way to another state: regions to write in reverse, then the situation there."""

    records: tuple[Record, ...]
    situation: Situation


def go(core: Core, step: Step) -> Iterator[Record]:
    """Bring ``core`` to the other end of ``step``, yielding what leads back, one region at a time."""
    for record in reversed(step.records):
        content = core.content(record)
        yield content
        core.restore(record)
    _set_situation(core, step.situation)


def roll_back(core: Core, records: Sequence[Record], before: Situation) -> None:
    """Write the regions back that a failed step has overwritten so far."""
    for record in reversed(records):
        core.restore(record)
    _set_situation(core, before)


def _set_situation(core: Core, situation: Situation) -> None:
    core.current_interaction_intensity = situation.intensity
    core._dirty_channels = set(situation.dirty_channels)
    core.queue = situation.queue


@dataclass(frozen=True, eq=False)
class Aside:
    """One piece of work on an image, put aside while another is done on it.

    Attributes:
        step: brings its channels, its mask and its prompts back from an empty state; compressed.
        history: its steps back and forward.
    """

    step: Step
    history: History


class History:
    """Steps back and steps forward again; the oldest steps are dropped beyond ``levels``."""

    def __init__(self, levels: int) -> None:
        self.back: deque[Step] = deque(maxlen=levels)
        self.forward: list[Step] = []

    def add(self, step: Step) -> None:
        """A new step was made; what was undone before cannot come again."""
        self.back.append(step)
        self.forward.clear()

    def clear(self) -> None:
        """Forget every step."""
        self.back.clear()
        self.forward.clear()


def touched_box(records: list[Record], shape_kji: tuple[int, ...]) -> BoundsKji | None:
    """Smallest box around all recorded regions of the mask."""
    boxes = [
        [where[axis].indices(shape_kji[axis])[:2] for axis in range(3)]
        for kind, _, where, _ in records
        if kind == "target" and where is not None
    ]
    if not boxes:
        return None
    (a, b, c) = ((min(x[axis][0] for x in boxes), max(x[axis][1] for x in boxes)) for axis in range(3))
    return (a, b, c)


def changed_box(before: Mask, after: Mask, records: list[Record]) -> BoundsKji | None:
    """Tight box around the voxels that differ; only the overwritten regions are compared."""
    region = touched_box(records, after.shape)
    if region is None:
        return None
    where = box_slices(region)
    tight = bounding_box(before[where] != after[where])
    if tight is None:
        return None
    (a, b, c) = ((low + r[0], high + r[0]) for (low, high), r in zip(tight, region, strict=True))
    return (a, b, c)
