"""Kill a writer of the annotation cache, again and again, and look whether a promise was broken.

    python Testing/crash/harness.py --kills 1000
    python Testing/crash/harness.py --kills 1000 --targets 3

Three kinds of blow: SIGKILL at a random moment; SIGKILL, or a power cut that loses what was not flushed,
before every single step of a scenario; and ENOSPC, EIO or EROFS at every single step, the flushes included.
After each one the campaign is opened again and checked: every acknowledged confirmation is there and intact,
nothing torn was accepted, no sequence number came twice, a repeated delivery changes nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "CLoPAAnnotator")]

import blosc2  # noqa: E402
from checks import BrokenPromise, Tally, check, final_check, require  # noqa: E402
from faults import ERRORS, CountingDisk, FailingDisk, KillingDisk, PowerCutDisk  # noqa: E402
from scenario import SCENARIOS, AckLog, open_or_create, outcome, play, write_at_random  # noqa: E402

from clopa_annotator.cache.campaign_store import CampaignStore, Disk  # noqa: E402
from clopa_annotator.errors import CacheError  # noqa: E402

# Worker threads of the codec would not survive a fork.
blosc2.set_nthreads(1)
PROCESSES = multiprocessing.get_context("fork" if sys.platform not in ("win32", "darwin") else "spawn")
KILLS_PER_CAMPAIGN = 8


def in_process(target: Callable[..., None], *arguments: object) -> multiprocessing.process.BaseProcess:
    """Start a writer in a process of its own; cheap where processes can be forked."""
    process = PROCESSES.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def random_kills(base: Path, count: int, seed: int, tally: Tally, targets: int = 1) -> None:
    """SIGKILL at random moments while cases are being confirmed."""
    dice = random.Random(seed)
    for number in range(count):
        folder = base / f"random-{number // KILLS_PER_CAMPAIGN}"
        log = AckLog(folder.with_suffix(".log"))
        before = log.size()
        process = in_process(write_at_random, folder, log, Disk(), dice.randint(1, 3), f"k{number}", targets)
        # Mostly within some confirmations (about 100 bytes of log each); sometimes while it is being opened.
        wanted, deadline = dice.randint(0, 1000), time.monotonic() + 120
        while log.size() < before + wanted and time.monotonic() < deadline:
            time.sleep(0.003)
        time.sleep(dice.random() * 0.02)
        process.kill()
        process.join()
        require(process.exitcode not in (0, 1), f"the writer was killed, not {process.exitcode}")
        tally.kills += 1
        check(folder, log, tally)
        if number % KILLS_PER_CAMPAIGN == KILLS_PER_CAMPAIGN - 1 or number == count - 1:
            _finish(folder, log, tally)


def _finish(folder: Path, log: AckLog, tally: Tally) -> None:
    final_check(folder)
    tally.campaigns += 1
    tally.acknowledged += len(log.confirmed())
    shutil.rmtree(folder)


def golden(base: Path, targets: int) -> tuple[object, list[tuple[str, Path]]]:
    """The scenario without a blow: what it leads to, and its steps."""
    disk = CountingDisk()
    play(base / "golden", AckLog(base / "golden.log"), disk, 0, targets)
    with CampaignStore.open(base / "golden") as store:
        return outcome(store), disk.steps


def _resume_and_compare(folder: Path, log: AckLog, expected: object, tally: Tally, targets: int) -> None:
    """After a blow: check, go on with the first operation that was not finished, compare the outcome."""
    check(folder, log, tally)
    done = [int(str(x["number"])) for x in log.lines() if x["what"] == "done"]
    play(folder, log, Disk(), max(done, default=-1) + 1, targets)
    with CampaignStore.open(folder) as store:
        require(outcome(store) == expected, f"the interrupted scenario ends as the other: {outcome(store)}")
    _finish(folder, log, tally)


def kills_at_steps(base: Path, every: int, power: bool, tally: Tally, targets: int = 1) -> None:
    """SIGKILL, or a power cut, before every ``every``-th step of the scenario."""
    expected, steps = golden(base, targets)
    tally.steps = len(steps)
    for at in range(0, len(steps), every):
        name = f"{'power' if power else 'kill'}-{at}"
        folder, log = base / name, AckLog(base / f"{name}.log")
        disk = PowerCutDisk(at, seed=at) if power else KillingDisk(at)
        process = in_process(play, folder, log, disk, 0, targets)
        process.join(300)
        require(process.exitcode not in (0, 1), f"the writer dies at step {at}, not {process.exitcode}")
        tally.kills += 1
        tally.power_cuts += power
        try:
            _resume_and_compare(folder, log, expected, tally, targets)
        except (BrokenPromise, CacheError) as error:
            raise BrokenPromise(f"{name}, before {steps[at][0]!r} of {steps[at][1]}: {error}") from error
    shutil.rmtree(base / "golden")


def errors_at_steps(base: Path, every: int, tally: Tally, targets: int = 1) -> None:
    """ENOSPC, EIO and EROFS at every ``every``-th step, once or until somebody mends the disk."""
    expected, steps = golden(base, targets)
    for name, number in ERRORS.items():
        for stays in (False, True):
            for at in range(0, len(steps), every):
                folder = base / f"{name}-{stays}-{at}"
                log = AckLog(folder.with_suffix(".log"))
                try:
                    _fail_once(folder, log, FailingDisk(at, number, stays), targets)
                    _resume_and_compare(folder, log, expected, tally, targets)
                except (BrokenPromise, CacheError, OSError) as error:
                    where = f"{folder.name}, before {steps[at][0]!r} of {steps[at][1]}"
                    raise BrokenPromise(f"{where}: {error!r}") from error
                tally.errors += 1
                tally.by_error[name] = tally.by_error.get(name, 0) + 1
    shutil.rmtree(base / "golden")


def _fail_once(folder: Path, log: AckLog, disk: FailingDisk, targets: int) -> None:
    """Play until the error shows, which must be one of the cache's own; then go on with the same store."""
    try:
        store = open_or_create(folder, disk)
    except CacheError:
        return
    with store:
        for number, operation in enumerate(SCENARIOS[targets]):
            acknowledged = len(log.confirmed())
            try:
                operation(store, log)
            except CacheError:
                require(len(log.confirmed()) == acknowledged, "what failed was not acknowledged")
                disk.repair()
                operation(store, log)
            log.note(what="done", number=number)
    require(disk.raised, "the fault was met")


def run(kills: int, seed: int, folder: Path, every: int, targets: int = 1) -> Tally:
    """The whole harness.

    Args:
        kills: SIGKILLs in all; steps come first, random moments fill up.
        seed: seed of the random moments.
        folder: an empty folder on the disk to be tested.
        every: 1 for every step; a larger number takes every n-th.
        targets: number of targets of the campaign, 1 or 3.
    """
    tally, started = Tally(), time.monotonic()
    for name, phase in (
        ("SIGKILL before every step", lambda: kills_at_steps(folder, every, False, tally, targets)),
        ("power cut before every step", lambda: kills_at_steps(folder, every, True, tally, targets)),
        (
            "SIGKILL at random",
            lambda: random_kills(folder, max(0, kills - tally.kills), seed, tally, targets),
        ),
        ("errors at every step", lambda: errors_at_steps(folder, every, tally, targets)),
    ):
        phase()
        seconds = time.monotonic() - started
        print(f"{name}: done; {tally.kills} kills, {tally.errors} errors, {seconds:.0f} s", file=sys.stderr)
    tally.seconds = round(time.monotonic() - started, 1)
    return tally


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000, help="SIGKILLs in all")
    parser.add_argument("--every", type=int, default=1, help="take every n-th step of the scenario")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--targets", type=int, choices=sorted(SCENARIOS), default=1)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    given = parser.parse_args()
    # Every blow leaves a warning, as it should. Here and not at the top: tests import this module, and others
    # of the same process look at what is logged.
    logging.getLogger("clopa_annotator").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        try:
            tally = run(given.kills, given.seed, Path(folder), given.every, given.targets)
        except BrokenPromise as broken:
            print(f"BROKEN: {broken}", file=sys.stderr)
            return 1
    print(json.dumps(asdict(tally), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
