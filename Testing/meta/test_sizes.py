"""Modules stay small enough to read in one sitting, tests too; the longest are printed."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROOTS = ("CLoPAAnnotator", "Testing", "benchmarks", "scripts")
LONGEST_MODULE, LONGEST_FUNCTION = 300, 40
FILES = sorted(p for root in ROOTS for p in (REPOSITORY / root).rglob("*.py"))


def docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's docstring: documentation does not make a function long."""
    first = function.body[0]
    if ast.get_docstring(function) is None:
        return 0
    return (first.end_lineno or first.lineno) - first.lineno + 1


@cache
def functions(path: Path) -> list[tuple[int, str]]:
    """Length without docstring, and name, of every function of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        ((node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node), node.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_a_module_fits_in_one_sitting() -> None:
    lines = {str(p.relative_to(REPOSITORY)): p.read_text(encoding="utf-8").count("\n") for p in FILES}
    too_many = {name: n for name, n in lines.items() if n > LONGEST_MODULE}
    assert not too_many, f"modules over {LONGEST_MODULE} lines, split them by concept: {too_many}"


def test_a_function_fits_on_a_screen() -> None:
    too_long = [(str(p), n, name) for p in FILES for n, name in functions(p) if n > LONGEST_FUNCTION]
    assert not too_long, f"functions over {LONGEST_FUNCTION} lines: {too_long}"


def test_the_median_function_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    everything = sorted((n, f"{p.relative_to(REPOSITORY)}:{name}") for p in FILES for n, name in functions(p))
    with capsys.disabled():
        print("\nlongest functions: " + ", ".join(f"{name} ({n})" for n, name in everything[-5:]))
    assert everything[len(everything) // 2][0] <= 12


def test_no_two_files_of_the_tests_share_a_name() -> None:
    """pytest puts every folder on one path: of two modules of one name only the first would be found."""
    folders = ("Testing", "scripts", "benchmarks")
    names = [p.name for f in folders for p in (REPOSITORY / f).rglob("*.py") if p.name != "conftest.py"]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"several files are called {sorted(twice)}"
