"""What a window trains on: an image with its target, and how much of a whole image it is."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from clopa_annotator.episode.tour import Shown
from clopa_annotator.errors import GeometryError


@dataclass(frozen=True, eq=False)
class WindowSample:
    """One image with its target.

    Attributes:
        image: (k, j, i) float32, normalised as the session does, on the device that trains; any shape.
        target: (k, j, i) bool or uint8 on the same grid.
        shown: how much of an image this is, where looks from further away are to train, see `tour`.
    """

    image: Tensor
    target: Tensor
    shown: Shown | None = None

    def __post_init__(self) -> None:
        if self.image.shape != self.target.shape:
            raise GeometryError(
                f"Image {tuple(self.image.shape)} and target {tuple(self.target.shape)} are not on one grid."
            )
