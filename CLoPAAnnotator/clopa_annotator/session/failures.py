"""What went wrong inside a prediction, for the person who clicked."""

from __future__ import annotations

import logging

import torch

from clopa_annotator.errors import PredictionFailed
from clopa_annotator.session.logits import NotFiniteError
from clopa_annotator.session.operators import missing_on_apple

logger = logging.getLogger(__name__)


def in_words(error: Exception) -> PredictionFailed:
    """The error to raise instead; what is not understood is logged with its traceback."""
    if isinstance(error, NotFiniteError):
        return PredictionFailed(
            "The network's answer was not finite, so the proposal was left as it was. The weights may be"
            " damaged: go back to an earlier version."
        )
    if (missing := missing_on_apple(error)) is not None:
        return PredictionFailed(f"{missing} The proposal was left as it was.")
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "memory" in text:
        return PredictionFailed(
            "The device ran out of memory during the prediction, so the proposal was left as it was."
            " Close other programs that use it, and click again."
        )
    logger.error("A prediction failed", exc_info=error)
    return PredictionFailed(
        f"The prediction failed ({type(error).__name__}: {text}), so the proposal was left as it was."
        " Click again; if it happens again, open the case anew."
    )
