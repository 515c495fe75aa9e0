"""Many evaluations at once: over local processes, or over a Ray cluster, and resumable.

The full protocol is 8 tasks x 3 permutations x 3 runs x 101 prompts. A job is one case with one weights
version in one run; `function` computes its curve. Each finished job is one line of ``jobs.jsonl``, flushed to
disk before the next; starting again skips what is there. A line torn by a crash is left out and its job runs
again. A job seeds itself from its own name (`annotator.case_rng`), so neither the number of workers nor their
order changes a number.

`function` is called in another process: it must be importable (a module's function or a `functools.partial`
of one) and should keep what is expensive, such as the loaded model, in a cache of its module. Pictures it
writes itself (`pictures.record`): masks do not travel back.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TextIO, TypeVar

from clopa_annotator.errors import ClopaError, ConfigError
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.tables import to_json

logger = logging.getLogger(__name__)
JOURNAL = "jobs.jsonl"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, order=True)
class Job:
    """One case, in one run, with one weights version; of which target, where a run has several."""

    case_id: str
    run: int
    version: int
    target: str = ""


JobFunction = Callable[[Job], CaseCurve]
Item = TypeVar("Item")
Result = TypeVar("Result")


def run_jobs(
    jobs: Sequence[Job],
    function: JobFunction,
    out: Path,
    *,
    workers: int = 1,
    cluster: bool = False,
    on_done: Callable[[Job, CaseCurve], None] | None = None,
) -> tuple[CaseCurve, ...]:
    """Compute every job's curve that ``out/jobs.jsonl`` does not hold yet.

    Args:
        jobs: all of them, also those that an earlier, interrupted call has finished.
        function: computes one curve; importable from another process.
        out: folder of the journal. It belongs to one set of settings: another seed wants another folder.
        workers: local processes, each with one thread; 1 computes in this process.
        cluster: use Ray instead; it connects to the cluster that ``RAY_ADDRESS`` names, or starts its own.
        on_done: told of each newly finished job, in this process.

    Returns:
        One curve per job, in the order of ``jobs``, without prompts and proposals.

    Raises:
        ConfigError: a job twice, fewer than one worker, or Ray asked for and not installed.
        Exception: what ``function`` raised; finished jobs stay in the journal.
    """
    if len(set(jobs)) != len(jobs) or workers < 1:
        raise ConfigError("Every job may occur once, and at least one worker is needed.")
    out.mkdir(parents=True, exist_ok=True)
    finished = read_journal(out / JOURNAL)
    todo = [job for job in jobs if job not in finished]
    logger.info("%d of %d evaluations are to be done", len(todo), len(jobs))
    if todo:
        with _open_journal(out / JOURNAL) as journal:
            for job, curve in spread(todo, _Bare(function), workers, cluster):
                finished[job] = curve
                _append(journal, job, curve)
                if on_done:
                    on_done(job, curve)
    return tuple(finished[job] for job in jobs)


def read_journal(path: Path) -> dict[Job, CaseCurve]:
    """The finished jobs; lines that are not whole are left out."""
    if not path.exists():
        return {}
    found = {}
    for line in path.read_bytes().split(b"\n"):
        try:
            curve = _curve(json.loads(line))
        except (ValueError, TypeError, KeyError):
            if line.strip():
                logger.warning("A line of %s is not whole; its job will run again", path)
            continue
        found[Job(curve.case_id, curve.run, curve.version, curve.target)] = curve
    return found


def _curve(raw: Mapping[str, Any]) -> CaseCurve:
    nsd = tuple(math.nan if value is None else float(value) for value in raw["nsd"])
    dice, seconds = tuple(map(float, raw["dice"])), tuple(map(float, raw["seconds"]))
    if not len(dice) == len(nsd) == len(seconds) > 0:
        raise ValueError("the curves of a job differ in length")
    zero = [math.nan if raw.get(name) is None else float(raw[name]) for name in ("dice_zero", "nsd_zero")]
    return CaseCurve(
        str(raw["case"]), int(raw["run"]), int(raw["version"]), dice, nsd, seconds, int(raw["used"]),
        target=str(raw.get("target", "")), dice_zero=zero[0], nsd_zero=zero[1],
    )  # fmt: skip


def _open_journal(path: Path) -> TextIO:
    """The journal for appending; a torn last line is closed first, so that it spoils only itself."""
    torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    journal = path.open("a", encoding="utf-8", newline="\n")
    if torn:
        journal.write("\n")
    return journal


@dataclass(frozen=True)
class _Bare:
    """A job's function whose curve travels without prompts and masks."""

    function: JobFunction

    def __call__(self, job: Job) -> CaseCurve:
        return replace(self.function(job), prompts=(), proposals={})


def _append(journal: TextIO, job: Job, curve: CaseCurve) -> None:
    named = {"target": job.target} if job.target else {}
    row = {
        **named,
        "case": job.case_id,
        "run": job.run,
        "version": job.version,
        "dice": curve.dice,
        "nsd": curve.nsd,
        "seconds": curve.seconds,
        "used": curve.used,
        "dice_zero": curve.dice_zero,
        "nsd_zero": curve.nsd_zero,
    }
    journal.write(json.dumps({name: to_json(value) for name, value in row.items()}) + "\n")
    journal.flush()
    os.fsync(journal.fileno())


def spread(
    items: Sequence[Item], function: Callable[[Item], Result], workers: int, cluster: bool = False
) -> Iterator[tuple[Item, Result]]:
    """Call ``function`` on every item, here, over local processes or over Ray; results as they come.

    Args:
        items: what to compute, in the order in which it is begun.
        function: importable from another process.
        workers: local processes, each with one thread; 1 computes in this process.
        cluster: use Ray instead of ``workers``.
    """
    if cluster:
        return _on_cluster(items, function)
    if workers == 1 or len(items) < 2:
        return ((item, function(item)) for item in items)
    return _on_processes(items, function, min(workers, len(items)))


def _on_processes(
    items: Sequence[Item], function: Callable[[Item], Result], workers: int
) -> Iterator[tuple[Item, Result]]:
    """Fresh processes (spawn: the same on every system, and safe with threads and CUDA)."""
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        waiting: dict[Future[Result], Item] = {pool.submit(function, item): item for item in items}
        try:
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield waiting.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _one_thread() -> None:
    """One thread per worker: more would fight for the same cores. Set before torch is imported by the job."""
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def _on_cluster(items: Sequence[Item], function: Callable[[Item], Result]) -> Iterator[tuple[Item, Result]]:
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise ConfigError(
            "--cluster needs Ray, which is not installed: pip install clopa-annotator[cluster], or leave "
            "--cluster out to use this machine's processes."
        ) from error
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    try:
        remote = ray.remote(num_cpus=1)(lambda item: function(item))  # noqa: PLW0108  # Ray takes functions, not objects
        waiting = {remote.remote(item): item for item in items}
        while waiting:
            (reference,), _ = ray.wait(list(waiting), num_returns=1)
            yield waiting.pop(reference), ray.get(reference)
    except ray.exceptions.RayError as error:
        raise ClopaError(f"The cluster could not finish: {error}. Start again to go on.") from error
