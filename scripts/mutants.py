"""Put one fault at a time into a copy of the program, and see whether the tests that should notice it do.

    python scripts/mutants.py                  # every fault of scripts/mutations
    python scripts/mutants.py fsync gate       # those whose words or function hold one of these
    python scripts/mutants.py --list
    python scripts/mutants.py --fresh          # also those that were seen killed before

The rows are compared with the program first: if one fits no more, all such rows are named and no test runs.
What was seen killed is kept in `.mutants.jsonl`, so that a stopped run goes on; quick ones come first.

The faults are the silent ones: they lose data, record what was not so, or promote a worse model. Exit code 1:
a fault survived, a test failed without one, or a row fits the program no more. Not part of CI, because each
fault starts its tests anew; that every row still fits the program is, in `Testing/meta/test_mutants.py`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from _environment import REPOSITORY, prepare
from mutations import Mutant
from mutations.fitting import Trial, trials
from mutations.journal import Journal, name_of, tree_fingerprint
from mutations.learning import LEARNING
from mutations.people import PEOPLE
from mutations.probation import PROBATION
from mutations.promotion import PROMOTION
from mutations.records import RECORDS
from mutations.storage import STORAGE
from mutations.suggestions import SUGGESTIONS

MUTANTS: tuple[Mutant, ...] = (
    *STORAGE,
    *RECORDS,
    *PROMOTION,
    *PROBATION,
    *LEARNING,
    *PEOPLE,
    *SUGGESTIONS,
)
COPIED = ("CLoPAAnnotator", "Testing", "benchmarks", "scripts", "pyproject.toml", "README.md")
FILES_TOGETHER = 10
PATIENCE_S = 300.0
KILLED = 1
"""Exit code of pytest when tests have failed; any other means that they were not run as they should."""
HANGS = "still running after"
"""Said of a killed fault too: on a busy machine the tests may only have been slow."""
NO_FAULT = re.compile(r"^E +(NameError|UnboundLocalError|ImportError|IndentationError)\b", re.MULTILINE)
"""A test that fails so has not seen the fault, but a mistake in the table."""


def run_tests(interpreter: str, root: Path, tests: Sequence[str], stop: bool = True) -> tuple[int, str]:
    """Exit code and words of pytest; tests that hang count as failed."""
    settings = {
        "PYTHONPATH": str(root / "CLoPAAnnotator"),
        "OMP_NUM_THREADS": "1",
        "QT_QPA_PLATFORM": "offscreen",
    }
    if sys.platform.startswith("linux"):
        settings["VTK_DEFAULT_OPENGL_WINDOW"] = "vtkEGLRenderWindow"
    command = [interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(["-x"] if stop else []), *tests]
    try:
        ended = subprocess.run(
            command,
            cwd=root,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S if stop else None,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return KILLED, f"{HANGS} {PATIENCE_S:.0f} s"
    return ended.returncode, ended.stdout[-3000:] + ended.stderr[-1000:]


def copy_of_the_program(target: Path) -> Path:
    """What the tests need, without pictures and history."""
    skip = shutil.ignore_patterns("__pycache__", ".*_cache", "*.png", "results", "build")
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=skip)
        else:
            shutil.copy(source, target / name)
    return target


def judge(interpreter: str, root: Path, trial: Trial) -> tuple[str, str]:
    """ "killed", "SURVIVED" or "STALE", and what there is to say about it."""
    path = root / trial.path
    sound = path.read_text(encoding="utf-8")
    path.write_text(trial.text, encoding="utf-8")
    try:
        code, words = run_tests(interpreter, root, trial.tests)
    finally:
        path.write_text(sound, encoding="utf-8")
    if code == KILLED and NO_FAULT.search(words):
        return "STALE", f"the fault itself does not run:\n{words}"
    if code == KILLED:
        return "killed", words if words.startswith(HANGS) else ""
    return "SURVIVED", "its tests pass" if code == 0 else f"its tests could not be run:\n{words}"


def report(interpreter: str, left: Sequence[Trial], workers: int, folder: Path, journal: Journal) -> int:
    """Try every fault, each worker in a copy of its own; how many were not killed."""
    copies: SimpleQueue[Path] = SimpleQueue()
    for number in range(workers):
        copies.put(copy_of_the_program(folder / str(number)))

    def tried(trial: Trial) -> bool:
        root, started = copies.get(), time.monotonic()
        try:
            verdict, words = judge(interpreter, root, trial)
        finally:
            copies.put(root)
        seconds = time.monotonic() - started
        if verdict == "killed" and not words:
            journal.note(trial.key, name_of(trial.mutant), seconds)
        print(
            f"{verdict:9} {seconds:4.0f} s {name_of(trial.mutant)}" + (f" ({words})" if words else ""),
            flush=True,
        )
        return verdict == "killed"

    with ThreadPoolExecutor(workers) as pool:
        return sum(not killed for killed in pool.map(tried, left))


def pass_without_a_fault(interpreter: str, root: Path, left: Sequence[Trial], journal: Journal) -> bool:
    """Whether the tests pass as they are; some files at a time, so that this too goes on where it stopped."""
    tests = sorted({test for trial in left for test in trial.tests})
    files = sorted({test.partition("::")[0] for test in tests})
    for begin in range(0, len(files), FILES_TOGETHER):
        group = [t for t in tests if t.partition("::")[0] in files[begin : begin + FILES_TOGETHER]]
        key = tree_fingerprint(root, COPIED[:4], group)
        if journal.knows(key):
            continue
        started = time.monotonic()
        code, words = run_tests(interpreter, root, group, stop=False)
        if code != 0:
            print(f"The tests fail without a fault; mend that first.\n{words}")
            return False
        journal.note(key, "no fault", time.monotonic() - started)
    return True


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("words", nargs="*", help="only faults whose words or function hold one of these")
    parser.add_argument("--list", action="store_true", help="only name the faults")
    parser.add_argument("--fresh", action="store_true", help="also what was seen killed before")
    parser.add_argument(
        "--journal", type=Path, default=REPOSITORY / ".mutants.jsonl", help="where that is kept (%(default)s)"
    )
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--python", help="an interpreter that has everything; by default one is set up")
    return parser.parse_args()


def main() -> int:
    """Compare the rows, prepare the environment, run the tests as they are, then with each fault."""
    given = arguments()
    wanted = [m for m in MUTANTS if not given.words or any(w in f"{m.where} {m.fault}" for w in given.words)]
    if given.list:
        print("\n".join(name_of(m) for m in wanted))
        return 0
    found, stale = trials(REPOSITORY, wanted)
    if stale:
        print("\n".join(f"STALE     {words}" for words in stale))
        return 1
    journal = Journal(given.journal)
    left = sorted(
        (t for t in found if given.fresh or not journal.knows(t.key)),
        key=lambda t: journal.seconds(t.mutant, t.tests),
    )
    print(
        f"{len(found) - len(left)} of {len(found)} were seen killed before; {len(left)} to try.", flush=True
    )
    started, alive = time.monotonic(), 0
    if left:
        interpreter = given.python or str(prepare("test", "slicer-test"))
        with tempfile.TemporaryDirectory() as name:
            sound = copy_of_the_program(Path(name) / "sound")
            if not pass_without_a_fault(interpreter, sound, left, journal):
                return 1
            alive = report(interpreter, left, given.workers, Path(name), journal)
    print(f"\n{len(found) - alive} of {len(found)} killed; this run took {time.monotonic() - started:.0f} s")
    return 1 if alive or not found else 0


if __name__ == "__main__":
    raise SystemExit(main())
