"""What a window trains on: an image with its target, and how much of a whole image it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clopa_annotator.episode.tour import Shown
from clopa_annotator.errors import GeometryError
from clopa_annotator.geometry import BoundsKji
from clopa_annotator.session.patches import crop_padded


@dataclass(frozen=True, eq=False)
class WindowSample:
    """One image with its target.

    Attributes:
        image: (k, j, i) float32, normalised as the session does, on the device that trains; any shape.
        target: (k, j, i) bool or uint8 on the same grid.
        shown: how much of an image this is, where looks from further away are to train, see `tour`.
        others: (k, j, i) bool on the same grid: voxels of other targets, which the network is given as what
            it is not, see `session.background`; None for none.
    """

    image: Tensor
    target: Tensor
    shown: Shown | None = None
    others: Tensor | None = None

    def __post_init__(self) -> None:
        if self.image.shape != self.target.shape:
            raise GeometryError(
                f"Image {tuple(self.image.shape)} and target {tuple(self.target.shape)} are not on one grid."
            )

    @property
    def masks(self) -> Tensor:
        """What is augmented with the image: the target, or (2, k, j, i) bool with the others behind it."""
        return self.target if self.others is None else torch.stack((self.target.bool(), self.others))

    def cut(self, bounds: BoundsKji) -> WindowSample:
        """The part inside a box, zero outside the sample."""
        return self.each(lambda volume: crop_padded(volume, bounds))

    def each(self, change: Callable[[Tensor], Tensor]) -> WindowSample:
        """With every volume changed alike."""
        others = None if self.others is None else change(self.others)
        return WindowSample(change(self.image), change(self.target), self.shown, others)


def sample_of(image: Tensor, masks: Tensor, shown: Shown | None = None) -> WindowSample:
    """A sample from an image and its `WindowSample.masks`."""
    if masks.ndim == 3:
        return WindowSample(image, masks, shown)
    return WindowSample(image, masks[0].contiguous(), shown, masks[1].contiguous())
