"""A prompt together with what shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clopa_annotator.types import TimedPrompt


@dataclass(frozen=True, eq=False)
class GivenPrompt:
    """A prompt with what is drawn for it.

    Attributes:
        timed: the prompt and when it was given.
        lineRas: (n, 3) world points that show it; one point for a click.
    """

    timed: TimedPrompt
    lineRas: npt.NDArray[np.float64]
