"""What the model proposes for a whole image before anybody has clicked. Never a confirmation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clopa_annotator.types.prompts import Mask


@dataclass(frozen=True, eq=False)
class WholeImageAnswer:
    """A segmentation of a whole image without any prompt.

    Attributes:
        mask: (k, j, i) uint8 mask on the image's grid.
        foreground: (k, j, i) uint8: probability of the target in 255ths, where it was looked at closely.
        agreement: Dice between the answers to the image and to its mirror images, in [0, 1]; NaN if no mirror
            image was looked at.
        weights_version: number of the weights version that made it.
        passes: passes of the network that it took.
        seconds: time in these passes, without what came between them.
    """

    mask: Mask
    foreground: npt.NDArray[np.uint8]
    agreement: float
    weights_version: int
    passes: int
    seconds: float
