"""Where a fault's row fits the program, and which tests it names."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

from mutations import Mutant
from mutations.journal import fingerprint, name_of


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


@dataclass(frozen=True)
class Trial:
    """A fault that fits the program: the file that it changes, with the fault, and what must then fail."""

    mutant: Mutant
    path: str
    text: str
    tests: tuple[str, ...]
    key: str


def trials(root: Path, wanted: Sequence[Mutant]) -> tuple[list[Trial], list[str]]:
    """What there is to try, and what is wrong with the rows that fit the program no more."""
    found, stale = [], []
    for mutant in wanted:
        try:
            path, text = mutated(root, mutant)
            tests = test_ids(root, mutant.tests)
        except Stale as error:
            stale.append(f"{name_of(mutant)}: {error}")
            continue
        key = fingerprint(root, path, text, tests)
        found.append(Trial(mutant, str(path.relative_to(root)), text, tuple(tests), key))
    return found, stale
