"""Watches over the training process: starts it, listens to it, stops it, restarts it, adopts it.

The process itself is `clopa_annotator.training.trainer_process`; everything that both need to know lies in
the job folder (see `signals`), so that a restarted engine can take over a running job.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from clopa_annotator.errors import EpisodeError
from clopa_annotator.training.memory_room import wait_for
from clopa_annotator.training.processes import (
    TRAINER_LOG,
    ProgressTail,
    end_process,
    lower_priority,
    make_room,
)
from clopa_annotator.training.signals import (
    CANCEL,
    HEARTBEAT,
    OWNER,
    PROGRESS,
    RELEASED,
    RESULT,
    STALE_S,
    TRAINER,
    ProcessId,
    YieldFlag,
    read_process,
    write_process,
)

logger = logging.getLogger(__name__)

Outcome = Literal["finished", "cancelled", "failed"]
OnProgress = Callable[[Path, dict[str, Any]], None]
OnEnd = Callable[[Path, Outcome, str], None]
_LAST_WAIT_S = 5.0


def has_result(job: Path) -> bool:
    """Whether a job folder holds a result."""
    return (job / RESULT).exists()


def trainer_command(job: Path) -> list[str]:
    """How a training process is started."""
    return [sys.executable, "-m", "clopa_annotator.training.trainer_process", str(job)]


@dataclass(frozen=True)
class SupervisorSettings:
    """How patient the supervisor is.

    Attributes:
        command: job folder -> command line of the training process.
        has_ended: whether nothing is left to do in a job folder.
        poll_s: seconds between two looks.
        silence_s: without a heartbeat for this long the process counts as hung.
        ask_s: after a request to stop, the process has this long before it is killed.
        memory_bytes: resident size at which it is killed; None for 80 % of the machine's memory.
        restarts: how often a crashed process is started again; the job resumes at its last epoch.
        backoff_s: pause before the first restart; each later one is four times as long.
        release_s: the process has this long to give its memory back to a click before it is ended.
        niceness: how far it steps back (POSIX; "below normal" on Windows): not so far that it never gets on.
        logs: folder of the trainer's log; None for the one beside the job's folder of jobs.
    """

    command: Callable[[Path], Sequence[str]] = trainer_command
    has_ended: Callable[[Path], bool] = has_result
    poll_s: float = 0.2
    silence_s: float = 900.0
    ask_s: float = 20.0
    memory_bytes: int | None = None
    restarts: int = 3
    backoff_s: float = 1.0
    release_s: float = 10.0
    niceness: int = 5
    logs: Path | None = None

    def memory_limit(self) -> int:
        """The limit in bytes."""
        return self.memory_bytes or int(0.8 * psutil.virtual_memory().total)


class Supervisor:
    """One training process at a time, watched from a thread of the engine."""

    def __init__(self, settings: SupervisorSettings, on_progress: OnProgress, on_end: OnEnd) -> None:
        """The callbacks run in the watching thread; ``on_end`` runs once per started or adopted job."""
        self._settings, self._on_progress, self._on_end = settings, on_progress, on_end
        self._mutex = threading.Lock()
        self._job: Path | None = None
        self._flag: YieldFlag | None = None
        self._busy, self._short = 0, False
        self._evicted = threading.Event()
        self._process: psutil.Process | None = None
        self._cancelled_at: float | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def job(self) -> Path | None:
        """The job under way."""
        return self._job

    def run(self, job: Path) -> None:
        """Start a job, or adopt its process if one is already at work on it.

        Raises:
            EpisodeError: another job is under way.
        """
        with self._mutex:
            if self._job is not None:
                raise EpisodeError("An episode is already running; wait for it, or cancel it.")
            self._job, self._cancelled_at = job, None
            write_process(job / OWNER, ProcessId.of())
            self._flag = YieldFlag(job)
            self._flag.set(self._busy > 0)
        self._thread = threading.Thread(target=self._work, args=(job,), name="supervisor", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Ask the running episode to stop; it is killed if it does not.

        Raises:
            EpisodeError: none runs.
        """
        with self._mutex:
            if self._job is None:
                raise EpisodeError("No episode is running.")
            (self._job / CANCEL).touch()
            self._cancelled_at = time.monotonic()

    def click_begins(self) -> None:
        """A click is about to be answered: training pauses at its next micro-step."""
        with self._mutex:
            self._busy += 1
            if self._flag is not None:
                self._flag.set(True)

    def click_ends(self) -> None:
        """The click was answered; training goes on unless another one waits."""
        with self._mutex:
            self._busy -= 1
            self._short = self._short and self._busy > 0
            if self._flag is not None:
                self._flag.set(self._busy > 0, self._short)

    def make_room(self, measure: int) -> bool:
        """Take the trainer's memory for a click: ask for it, or (from measure 1 on) end the process.

        A process that was ended is started again once no click is being answered; its job resumes.

        Returns:
            Whether a trainer was there to give something.
        """
        with self._mutex:
            job = self._job
            if job is None or self._flag is None:
                return False
            self._short = True
            (job / RELEASED).unlink(missing_ok=True)
            self._flag.set(True, memory=True)
        if measure == 0 and wait_for((job / RELEASED).exists, self._settings.release_s):
            return True
        self._evicted.set()
        return wait_for(lambda: self._process is None, _LAST_WAIT_S + self._settings.poll_s)

    def _keep_flag_fresh(self) -> None:
        """A click may take a CPU minutes; only the flag of a dead engine is to look old."""
        with self._mutex:
            if self._busy > 0 and self._flag is not None:
                self._flag.set(True, self._short)

    def let_go(self) -> None:
        """Begin to end the process, at the engine's end; the job stays to be resumed. Does not wait."""
        self._closing.set()

    def close(self) -> None:
        """`let_go`, and wait until the process is gone."""
        self.let_go()
        if self._thread is not None:
            self._thread.join(_LAST_WAIT_S)

    def _work(self, job: Path) -> None:
        try:
            outcome, reason = self._see_through(job)
        except Exception as error:
            logger.exception("Supervising %s failed", job.name)
            outcome, reason = "failed", f"The supervisor stopped: {error}. The log has the details."
        with self._mutex:
            if self._flag is not None:
                self._flag.close()
            self._job, self._flag = None, None
        if not self._closing.is_set():
            self._on_end(job, outcome, reason)

    def _see_through(self, job: Path) -> tuple[Outcome, str]:
        tail, reason = ProgressTail(job / PROGRESS), ""
        attempt = 0
        while attempt <= self._settings.restarts:
            if attempt and self._closing.wait(self._settings.backoff_s * 4 ** (attempt - 1)):
                return "cancelled", "The engine is stopping."
            if not self._settings.has_ended(job):
                reason = self._watch(job, self._start_or_adopt(job), tail)
            self._report(job, tail)
            if self._settings.has_ended(job):
                return "finished", ""
            if self._closing.is_set() or self._cancelled_at is not None or (job / CANCEL).exists():
                return "cancelled", "The episode was cancelled."
            if self._evicted.is_set():
                wait_for(lambda: self._busy == 0 or self._closing.is_set(), STALE_S, self._settings.poll_s)
                self._evicted.clear()
                continue
            attempt += 1
            logger.warning("Training process of %s ended early (%s); attempt %d", job.name, reason, attempt)
        return "failed", f"{reason} It was started {self._settings.restarts + 1} times; see logs/trainer.log."

    def _start_or_adopt(self, job: Path) -> psutil.Process | None:
        known = read_process(job / TRAINER)
        running = known.process() if known else None
        self._child = None
        if running is not None:
            logger.info("Adopted the training process %d of %s", running.pid, job.name)
            return running
        log = (self._settings.logs or job.parent.parent / "logs") / TRAINER_LOG
        log.parent.mkdir(exist_ok=True)
        make_room(log)
        (job / HEARTBEAT).touch()
        # No new session: Linux schedules each session as one group, and niceness counts only inside it.
        with log.open("ab") as file:
            self._child = subprocess.Popen(
                list(self._settings.command(job)),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        return lower_priority(self._child.pid, self._settings.niceness)

    def _watch(self, job: Path, process: psutil.Process | None, tail: ProgressTail) -> str:
        """Watch until the process has ended; returns why it ended, for a job without a result."""
        reason, self._process = "The training process ended without a result.", process
        while process is not None and self._running(process):
            self._report(job, tail)
            self._keep_flag_fresh()
            verdict = self._verdict(job, process)
            if verdict is not None:
                reason = verdict
                # At the engine's end nobody waits: a job folder is made to be left at any moment.
                end_process(process, 0.5 if self._closing.is_set() or self._evicted.is_set() else 3.0)
                break
            self._closing.wait(self._settings.poll_s)
        self._process = None
        if self._child is not None:
            status = self._child.wait()
            if status and reason.startswith("The training process ended"):
                reason = f"The training process ended with status {status}."
        return reason

    def _running(self, process: psutil.Process) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)

    def _verdict(self, job: Path, process: psutil.Process) -> str | None:
        if self._closing.is_set():
            return "The engine is stopping."
        if self._evicted.is_set():
            return "It made room for a click."
        if self._cancelled_at is not None and time.monotonic() - self._cancelled_at > self._settings.ask_s:
            return "It did not stop when asked and was killed."
        try:
            silent_s = time.time() - (job / HEARTBEAT).stat().st_mtime
            used = process.memory_info().rss
        except (OSError, psutil.Error):
            return None
        if silent_s > self._settings.silence_s:
            return f"No sign of life for {silent_s:.0f} s."
        if used > self._settings.memory_limit():
            return f"It took {used / 2**30:.1f} GiB, more than the limit allows."
        return None

    def _report(self, job: Path, tail: ProgressTail) -> None:
        for row in tail.rows():
            self._on_progress(job, row)
