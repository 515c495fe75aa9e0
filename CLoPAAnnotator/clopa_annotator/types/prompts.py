"""The kinds of prompt, in one table.

A prompt is made of named *parts*: ``position_kji``, ``bounds_kji``, ``mask``, ``positive``. Whoever writes,
reads or checks prompts goes by their parts, so that a new kind made of these is one class and one line of
`PROMPT_TYPES`; what nnInteractive calls it stands in ``session/upstream.py``, its channel in
``episode/prompt_canvas.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from clopa_annotator.errors import PromptError
from clopa_annotator.geometry import BoundsKji, Kji, box_shape

Mask = npt.NDArray[np.uint8]
"""A binary (k, j, i) array of 0 and 1."""


class PromptKind(str, Enum):
    """The kinds of prompt that nnInteractive 2.6 takes."""

    POINT = "point"
    BOX = "box"
    SCRIBBLE = "scribble"
    LASSO = "lasso"
    MASK = "mask"


@dataclass(frozen=True)
class PointPrompt:
    """A click on one voxel: ``positive`` says that it belongs to the target."""

    position_kji: Kji
    positive: bool = True
    kind: Literal[PromptKind.POINT] = PromptKind.POINT
    starts_over: ClassVar[bool] = False

    @property
    def centre_kji(self) -> Kji | None:
        """The voxel that stands for the prompt: the click itself."""
        return self.position_kji


@dataclass(frozen=True)
class BoxPrompt:
    """A half-open box around (positive) or away from (negative) the target; flat along one axis when 2D."""

    bounds_kji: BoundsKji
    positive: bool = True
    kind: Literal[PromptKind.BOX] = PromptKind.BOX
    starts_over: ClassVar[bool] = False

    @property
    def centre_kji(self) -> Kji | None:
        """The voxel that stands for the prompt: the middle, which need not belong to the target."""
        (k, j, i) = ((low + high - 1) // 2 for low, high in self.bounds_kji)
        return (k, j, i)


@dataclass(frozen=True, eq=False)
class _Drawing:
    """Drawn voxels: ``mask`` covers just ``bounds_kji``."""

    mask: Mask
    bounds_kji: BoundsKji
    positive: bool = True
    starts_over: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.mask.shape != box_shape(self.bounds_kji):
            raise PromptError(
                f"The drawn region has shape {self.mask.shape}, but its box has "
                f"{box_shape(self.bounds_kji)} voxels."
            )

    @property
    def centre_kji(self) -> Kji | None:
        """The voxel that stands for the prompt: the drawn one nearest to the middle; None if none is."""
        drawn = np.argwhere(self.mask)
        if drawn.size == 0:
            return None
        nearest = drawn[np.argmin(((drawn - drawn.mean(axis=0)) ** 2).sum(axis=1))]
        (k, j, i) = (int(o) + low for o, (low, _) in zip(nearest, self.bounds_kji, strict=True))
        return (k, j, i)


@dataclass(frozen=True, eq=False)
class ScribblePrompt(_Drawing):
    """Drawn voxels: ``mask`` covers just ``bounds_kji``."""

    kind: Literal[PromptKind.SCRIBBLE] = PromptKind.SCRIBBLE


@dataclass(frozen=True, eq=False)
class LassoPrompt(_Drawing):
    """The filled inside of a closed line: ``mask`` covers just ``bounds_kji``."""

    kind: Literal[PromptKind.LASSO] = PromptKind.LASSO


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """A whole mask to start from, on the image's grid; it replaces all earlier prompts."""

    mask: Mask
    kind: Literal[PromptKind.MASK] = PromptKind.MASK
    starts_over: ClassVar[bool] = True

    @property
    def centre_kji(self) -> Kji | None:
        """No voxel stands for a whole mask."""
        return None


Prompt = PointPrompt | BoxPrompt | ScribblePrompt | LassoPrompt | MaskPrompt
PROMPT_TYPES: Mapping[PromptKind, type[Prompt]] = {
    PromptKind.POINT: PointPrompt,
    PromptKind.BOX: BoxPrompt,
    PromptKind.SCRIBBLE: ScribblePrompt,
    PromptKind.LASSO: LassoPrompt,
    PromptKind.MASK: MaskPrompt,
}


def part_names(kind: PromptKind) -> tuple[str, ...]:
    """The parts of a kind of prompt, in the order of its fields."""
    return tuple(f.name for f in fields(PROMPT_TYPES[kind]) if f.name != "kind")


def parts_of(prompt: Prompt) -> dict[str, Any]:
    """A prompt's parts by name."""
    return {name: getattr(prompt, name) for name in part_names(prompt.kind)}


def prompt_of(kind: PromptKind, parts: Mapping[str, Any]) -> Prompt:
    """The prompt of these parts.

    Raises:
        PromptError: a drawn region does not fill its box.
        TypeError: a part is missing or strange.
    """
    return PROMPT_TYPES[kind](**parts)


def counting_after(prompts: Sequence[Prompt], step: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """The prompts that count after a step: one that starts over replaces all that came before it."""
    given = (*prompts, *step)
    for index in range(len(given) - 1, -1, -1):
        if given[index].starts_over:
            return given[index:]
    return given


@dataclass(frozen=True)
class TimedPrompt:
    """A prompt with the seconds since the case was opened at which it was given."""

    prompt: Prompt
    at_s: float
