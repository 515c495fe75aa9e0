"""Put one fault at a time into a copy of the program, and see whether the tests that should notice it do.

    python scripts/mutants.py                  # every fault of scripts/mutations
    python scripts/mutants.py fsync gate       # those whose words or function hold one of these
    python scripts/mutants.py --list

The faults are the silent ones: they lose data, record what was not so, or promote a worse model. Exit code 1:
a fault survived, a test failed without one, or a row fits the program no more. Not part of CI, because each
fault starts its tests anew; that every row still fits the program is, in `Testing/meta/test_mutants.py`.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from queue import SimpleQueue

from _environment import REPOSITORY, prepare
from mutations import Mutant
from mutations.learning import LEARNING
from mutations.people import PEOPLE
from mutations.probation import PROBATION
from mutations.promotion import PROMOTION
from mutations.records import RECORDS
from mutations.storage import STORAGE

MUTANTS: tuple[Mutant, ...] = (*STORAGE, *RECORDS, *PROMOTION, *PROBATION, *LEARNING, *PEOPLE)
COPIED = ("CLoPAAnnotator", "Testing", "benchmarks", "scripts", "pyproject.toml", "README.md")
PATIENCE_S = 300.0
KILLED = 1
"""Exit code of pytest when tests have failed; any other means that they were not run as they should."""
HANGS = "still running after"
"""Said of a killed fault too: on a busy machine the tests may only have been slow."""
NO_FAULT = re.compile(r"^E +(NameError|UnboundLocalError|ImportError|IndentationError)\b", re.MULTILINE)
"""A test that fails so has not seen the fault, but a mistake in the table."""


class Stale(Exception):
    """A row of the table fits the program no more."""


def functions(
    node: ast.AST, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function below a node with its qualified name, for instance "Class.method"."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            yield from functions(child, f"{name}.")


@dataclass(frozen=True)
class Place:
    """A function: its qualified name, its file, the file's text, and where in it the function lies."""

    name: str
    path: Path
    text: str
    begin: int
    end: int


@cache
def program(root: Path) -> tuple[Place, ...]:
    """Every function of the program; read once."""
    found: list[Place] = []
    for path in sorted((root / "CLoPAAnnotator").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        starts = [0, *accumulate(len(line) + 1 for line in text.split("\n"))]
        for name, node in functions(ast.parse(text)):
            found.append(
                Place(name, path, text, starts[node.lineno - 1], starts[node.end_lineno or node.lineno])
            )
    return tuple(found)


def places(root: Path, mutant: Mutant) -> list[Place]:
    """The functions that a mutant fits.

    A class may have another name by now: it counts only where several functions of this name fit.
    """
    last = mutant.where.rpartition(".")[2]
    named = [p for p in program(root) if p.name.rpartition(".")[2] == last]
    found = [p for p in named if p.text.count(mutant.anchor, p.begin, p.end) == 1]
    return [p for p in found if p.name == mutant.where] if len(found) > 1 else found


def mutated(root: Path, mutant: Mutant) -> tuple[Path, str]:
    """The file that a mutant changes, and its text with the fault.

    Raises:
        Stale: not exactly one function fits, or the result is no Python.
    """
    found = places(root, mutant)
    if len(found) != 1:
        raise Stale(f"{len(found)} places fit {mutant.where} with {mutant.anchor!r}")
    text = found[0].text
    at = text.index(mutant.anchor, found[0].begin)
    result = text[:at] + mutant.instead + text[at + len(mutant.anchor) :]
    try:
        changed = ast.dump(ast.parse(result)) != ast.dump(ast.parse(text))
    except SyntaxError as error:
        raise Stale(f"{mutant.where} with {mutant.instead!r} is no Python: {error}") from error
    if not changed:
        raise Stale(f"{mutant.where} with {mutant.instead!r} is the same program")
    return found[0].path, result


@cache
def tests_of(root: Path) -> dict[str, list[str]]:
    """What to tell pytest to run a test function, by the function's name; read once."""
    ids: dict[str, list[str]] = {}
    for path in sorted((root / "Testing").rglob("test_*.py")):
        for qualified, _ in functions(ast.parse(path.read_text(encoding="utf-8"))):
            name = qualified.rpartition(".")[2]
            if name.startswith("test_"):
                ids.setdefault(name, []).append(
                    "::".join([str(path.relative_to(root)), *qualified.split(".")])
                )
    return ids


def test_ids(root: Path, names: Sequence[str]) -> list[str]:
    """What to tell pytest to run these test functions, wherever they are.

    Raises:
        Stale: there is no such test.
    """
    known = tests_of(root)
    missing = [name for name in names if name not in known]
    if missing:
        raise Stale(f"there is no test {missing[0]}")
    return [test for name in names for test in known[name]]


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


def judge(interpreter: str, root: Path, mutant: Mutant) -> tuple[str, str]:
    """ "killed", "SURVIVED" or "STALE", and what there is to say about it."""
    try:
        path, text = mutated(root, mutant)
        tests = test_ids(root, mutant.tests)
    except Stale as error:
        return "STALE", str(error)
    sound = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    try:
        code, words = run_tests(interpreter, root, tests)
    finally:
        path.write_text(sound, encoding="utf-8")
    if code == KILLED and NO_FAULT.search(words):
        return "STALE", f"the fault itself does not run:\n{words}"
    if code == KILLED:
        return "killed", words if words.startswith(HANGS) else ""
    return "SURVIVED", "its tests pass" if code == 0 else f"its tests could not be run:\n{words}"


def report(interpreter: str, wanted: Sequence[Mutant], workers: int, folder: Path) -> int:
    """Try every mutant, each worker in a copy of its own; how many were not killed."""
    copies: SimpleQueue[Path] = SimpleQueue()
    for number in range(workers):
        copies.put(copy_of_the_program(folder / str(number)))

    def tried(mutant: Mutant) -> tuple[Mutant, str, str]:
        root = copies.get()
        try:
            return (mutant, *judge(interpreter, root, mutant))
        finally:
            copies.put(root)

    alive = 0
    with ThreadPoolExecutor(workers) as pool:
        for mutant, verdict, words in pool.map(tried, wanted):
            alive += verdict != "killed"
            print(
                f"{verdict:9} {mutant.where}: {mutant.fault}" + (f" ({words})" if words else ""), flush=True
            )
    return alive


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("words", nargs="*", help="only faults whose words or function hold one of these")
    parser.add_argument("--list", action="store_true", help="only name the faults")
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--python", help="an interpreter that has everything; by default one is set up")
    return parser.parse_args()


def main() -> int:
    """Prepare the environment, run the tests as they are, then with each fault."""
    given = arguments()
    wanted = [m for m in MUTANTS if not given.words or any(w in f"{m.where} {m.fault}" for w in given.words)]
    if given.list:
        print("\n".join(f"{m.where}: {m.fault}" for m in wanted))
        return 0
    interpreter = given.python or str(prepare("test", "slicer-test"))
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        sound = copy_of_the_program(Path(name) / "sound")
        try:
            tests = test_ids(sound, sorted({test for mutant in wanted for test in mutant.tests}))
        except Stale as error:
            print(f"STALE     {error}")
            return 1
        code, words = run_tests(interpreter, sound, tests, stop=False)
        if code != 0:
            print(f"The tests fail without a fault; mend that first.\n{words}")
            return 1
        alive = report(interpreter, wanted, given.workers, Path(name))
    print(f"\n{len(wanted) - alive} of {len(wanted)} killed in {time.monotonic() - started:.0f} s")
    return 1 if alive or not wanted else 0


if __name__ == "__main__":
    raise SystemExit(main())
