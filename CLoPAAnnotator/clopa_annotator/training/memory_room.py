"""A click never fails for the trainer's sake: where memory ran out it is made, and the work done again.

The measures, in order: what this process keeps for later goes back to the device; the trainer drops its pass
and moves its weights out; the trainer ends, and its job is resumed after the click. Only then does the person
who clicked hear of it, because then the device is too small for the click alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)

T = TypeVar("T")
TRIES = 4


def with_room(work: Callable[[], T], make_room: Callable[[int], bool]) -> T:
    """Do work that leaves everything as it was when it fails for want of memory; again once there is more.

    Args:
        work: done up to four times.
        make_room: takes the trainer's memory, by a measure that grows with the number it is given (0, 1);
            False if there is no trainer.

    Returns:
        The work's result.

    Raises:
        Exception: what the work raised, if it was not for want of memory or nothing was left to be taken.
    """
    for measure in range(TRIES):
        try:
            answer = work()
        except Exception as error:
            if measure == TRIES - 1 or not ran_short(error) or not (measure == 0 or make_room(measure - 1)):
                raise
            logger.warning("Memory ran short for a click; measure %d is taken.", measure + 1)
        else:
            if measure > 1:
                _free()  # so that the trainer finds room again
            return answer
        # Outside the handler: the exception holds on to the tensors that filled the memory.
        _free()
    raise AssertionError("unreachable")


def ran_short(error: BaseException) -> bool:
    """Whether an error, or one that led to it, means that memory ran out."""
    from clopa_annotator.episode.hardware.memory import is_out_of_memory

    cause: BaseException | None = error
    while cause is not None:
        if is_out_of_memory(cause):
            return True
        cause = cause.__cause__
    return False


def wait_for(condition: Callable[[], bool], patience_s: float, step_s: float = 0.005) -> bool:
    """Whether a condition came true in time."""
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(step_s)
    return True


def _free() -> None:
    from clopa_annotator.episode.hardware.aside import free_cached_memory
    from clopa_annotator.training.freed_memory import give_back_freed_memory

    free_cached_memory()
    give_back_freed_memory()
