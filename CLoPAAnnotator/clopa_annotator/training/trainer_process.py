"""The training process's side: works through one job folder, yields to clicks, never outlives its owner.

``python -m clopa_annotator.training.trainer_process JOB`` is what the supervisor starts. ``clopa episode
run`` does the same without an owner (`run_by_hand`): nobody has to be alive, and a job that was cancelled or
failed is taken up again, which an engine never does by itself.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from clopa_annotator.episode.folder import read_job
from clopa_annotator.episode.progress import Progress
from clopa_annotator.errors import DeviceWanted, EpisodeError
from clopa_annotator.training.signals import (
    CANCEL,
    HEARTBEAT,
    OWNER,
    RELEASED,
    TRAINER,
    ProcessId,
    YieldFlag,
    read_process,
    write_process,
)
from clopa_annotator.training.time_share import TrainingTimeShare
from clopa_annotator.types import EpisodeResult, GateDecision

logger = logging.getLogger(__name__)

_LOOK_S = 0.002
_STANDARD_ERROR = 2
"""The descriptor: whoever runs an episode in a process of its own may have put anything into `sys.stderr`."""
ORPHANED = 70
"""Exit status of a trainer whose owner went away; the job can be resumed."""


class Leash:
    """Ties a job to its owner: stop when asked, pause for clicks, end when the owner is gone.

    An engine that was killed and restarted within ``grace_s`` finds its trainer still at work and adopts it;
    after that the trainer ends itself, which costs at most the running epoch, since jobs resume.
    """

    def __init__(
        self,
        job: Path,
        grace_s: float = 20.0,
        stuck_s: float = 900.0,
        share: TrainingTimeShare | None = None,
    ) -> None:
        """Write ``trainer.json`` and map the yield flag.

        Args:
            job: the job folder.
            grace_s: how long the owner may be gone.
            stuck_s: a process whose Python threads all stand still for this long is ended by a timer that
                does not need the interpreter lock.
            share: what the trainer may claim where clicks never pause.
        """
        self._job, self._grace_s, self._stuck_s = job, grace_s, stuck_s
        self._flag, self._share = YieldFlag(job), share or TrainingTimeShare()
        self._beat, self._may_interrupt = 0.0, False
        (job / RELEASED).unlink(missing_ok=True)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="leash", daemon=True)
        write_process(job / TRAINER, ProcessId.of())

    def __enter__(self) -> Leash:
        """Start watching the owner."""
        (self._job / HEARTBEAT).touch()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; the process note goes, so that nobody adopts a finished process."""
        self._ended.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()
        (self._job / TRAINER).unlink(missing_ok=True)
        self._flag.close()

    def should_stop(self) -> bool:
        """Whether somebody asked the episode to stop; also counts as a sign of life."""
        self._alive()
        return (self._job / CANCEL).exists()

    def yield_to(self) -> None:
        """Wait while a click is being answered; to be called often, for instance between layers.

        Not without end: see `TrainingTimeShare`.

        Raises:
            DeviceWanted: the click needs the memory of the pass that is under way; only in `interruptible`.
        """
        self._alive()
        self._share.worked()
        self._make_way()
        while self._flag.raised and not self._share.waited():
            time.sleep(_LOOK_S)
            self._alive()
            self._make_way()  # a click asks for time first, and for memory when it has run out

    def _make_way(self) -> None:
        """Give memory back if a click asks for it."""
        if not self._flag.memory_wanted:
            return
        if self._may_interrupt:
            raise DeviceWanted("A click needs the memory of the device; training goes on after it.")
        self.stand_aside()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let `yield_to` drop the pass that is under way; the body has to be able to repeat it."""
        self._may_interrupt = True
        try:
            yield
        finally:
            self._may_interrupt = False

    def stand_aside(self) -> None:
        """Give back what the allocators keep, say so, and wait until no click needs the memory any more."""
        from clopa_annotator.training.freed_memory import give_back_freed_memory

        if "torch" in sys.modules:  # importing it now would keep the click waiting
            from clopa_annotator.episode.hardware.aside import free_cached_memory

            free_cached_memory()
        give_back_freed_memory()
        (self._job / RELEASED).touch()
        while self._flag.memory_wanted:
            time.sleep(_LOOK_S)
            self._alive()
        (self._job / RELEASED).unlink(missing_ok=True)
        self._share.waited()

    def _alive(self) -> None:
        now = time.monotonic()
        if now - self._beat >= 1.0:
            self._beat = now
            (self._job / HEARTBEAT).touch()

    def _watch(self) -> None:
        last_seen = time.monotonic()
        while not self._ended.wait(0.5):
            faulthandler.dump_traceback_later(self._stuck_s, exit=True, file=_STANDARD_ERROR)
            owner = read_process(self._job / OWNER)
            if owner is None or owner.alive:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > self._grace_s:
                logger.error("The engine is gone; this training process ends and can be resumed.")
                # Not sys.exit: the main thread may be deep inside a library call. The job folder is made to
                # be left at any moment.
                os._exit(ORPHANED)


def run_leashed(job: Path, grace_s: float = 20.0) -> int:
    """Run an episode, or a replay of newly confirmed cases, on a leash.

    Returns:
        0 when the job has a result, whatever the result says.
    """
    from clopa_annotator.training.job_runner import run_episode_job
    from clopa_annotator.training.replay import is_replay, run_replay
    from clopa_annotator.training.yielding import between_layers

    with Leash(job, grace_s) as leash, between_layers(leash.yield_to):
        if is_replay(job):
            run_replay(job, should_stop=leash.should_stop, yield_to=leash.yield_to)
        else:
            run_episode_job(job, should_stop=leash.should_stop, yield_to=leash.yield_to, aside=leash)
    return 0


def run_by_hand(
    job: Path, device: str = "auto", on_progress: Callable[[Progress], None] | None = None
) -> tuple[EpisodeResult, GateDecision]:
    """Run an episode because a person wants it, also one that was cancelled or failed before.

    It goes on from its last complete epoch. An engine that starts meanwhile takes this process over.

    Returns:
        How training ended, and the gate's decision.

    Raises:
        EpisodeError: the folder holds no order, or another process is working on it.
    """
    from clopa_annotator.training.job_runner import run_episode_job
    from clopa_annotator.training.yielding import between_layers

    read_job(job)
    working = read_process(job / TRAINER)
    if working is not None and working.alive:
        raise EpisodeError(
            f"Process {working.pid} is working on this episode already; wait for it, or cancel it first."
        )
    for note in (OWNER, CANCEL):
        (job / note).unlink(missing_ok=True)
    with Leash(job) as leash, between_layers(leash.yield_to):
        return run_episode_job(
            job,
            device=device,
            should_stop=leash.should_stop,
            yield_to=leash.yield_to,
            on_progress=on_progress,
            again=True,
            aside=leash,
        )


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the training process: ``JOB [GRACE_SECONDS]``."""
    arguments = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    grace_s = float(arguments[1]) if len(arguments) > 1 else 20.0
    return run_leashed(Path(arguments[0]), grace_s)


if __name__ == "__main__":
    raise SystemExit(main())
