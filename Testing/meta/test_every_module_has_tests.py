"""Every module of the core has a test file of its own, or a row that says who tests it and why there.

A file of its own is ``test_MODULE.py`` that imports the module, or ``test_ROOM_MODULE.py``. A row of
``tested_elsewhere.py`` names a test file that imports the module, by itself or with a helper beside it; where
it goes through another one, as a command goes through the command line, the row names the way.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from elsewhere import Elsewhere
from tested_elsewhere import ELSEWHERE

TESTING = Path(__file__).resolve().parents[1]
SOURCE = TESTING.parent / "CLoPAAnnotator"
CORE = SOURCE / "clopa_annotator"


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names of what a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update((node.module, *(f"{node.module}.{alias.name}" for alias in node.names)))
    return frozenset(names)


HELPERS = {p.stem: p for p in TESTING.rglob("*.py") if not p.stem.startswith(("test_", "conftest"))}
TESTS = {p.name: p for p in TESTING.rglob("test_*.py")}
MODULES = {
    ".".join(p.relative_to(SOURCE).with_suffix("").parts): p
    for p in sorted(CORE.rglob("*.py"))
    if p.stem != "__init__"
}


def reached_from(path: Path) -> set[str]:
    """What a test file imports, with the helpers that it imports."""
    found, waiting = set[str](), [path]
    while waiting:
        names = imports(waiting.pop())
        waiting += [HELPERS[n] for n in names & HELPERS.keys() - found]
        found |= names
    return found


def has_its_own(module: str) -> bool:
    """Whether a test file is named after the module."""
    *rooms, name = module.split(".")[1:]
    if any(f"test_{room}_{name}.py" in TESTS for room in rooms):
        return True
    return f"test_{name}.py" in TESTS and module in imports(TESTS[f"test_{name}.py"])


def file_of(module: str) -> Path:
    """A module's file, or a package's ``__init__.py``."""
    folder = SOURCE.joinpath(*module.split("."))
    return folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


def faults(row: Elsewhere) -> list[str]:
    """What is not so in a row any more."""
    if row.by not in TESTS:
        return [f"there is no {row.by}"]
    found = [f"there is no module {module}" for module in row.modules if module not in MODULES]
    known = reached_from(TESTS[row.by])
    for step in row.way.split():
        if step not in known:
            return [*found, f"{row.by} does not come to {step}"]
        known = set(imports(file_of(step)))
    return found + [f"{row.by} does not come to {module}" for module in row.modules if module not in known]


LISTED = {module for row in ELSEWHERE for module in row.modules}


def test_a_module_has_a_test_file_or_a_reason() -> None:
    alone = [module for module in MODULES if not has_its_own(module) and module not in LISTED]
    assert not alone, (
        f"nobody tests {alone}: write Testing/core/test_ROOM_MODULE.py for each, or say in "
        "Testing/meta/tested_elsewhere.py which file tests it and why there"
    )


def test_every_reason_holds() -> None:
    found = {f"{row.by}: {row.modules[0]}": faults(row) for row in ELSEWHERE}
    assert {row: fault for row, fault in found.items() if fault} == {}


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (Elsewhere("test_nothing.py", "", "clopa_annotator.swap"), "there is no test_nothing.py"),
        (Elsewhere("test_swap.py", "", "clopa_annotator.gone"), "there is no module"),
        (Elsewhere("test_swap.py", "", "clopa_annotator.cli"), "does not come to clopa_annotator.cli"),
        (
            Elsewhere("test_swap.py", "", "clopa_annotator.errors", "clopa_annotator.cli"),
            "does not come to clopa_annotator.cli",
        ),
        (
            Elsewhere("test_swap.py", "", "clopa_annotator.cli", "clopa_annotator.swap"),
            "does not come to clopa_annotator.cli",
        ),
    ],
)
def test_a_row_that_is_stale_is_seen(row: Elsewhere, fault: str) -> None:
    assert any(fault in found for found in faults(row))


def test_a_file_of_another_modules_name_is_not_a_modules_own() -> None:
    assert has_its_own("clopa_annotator.swap")
    assert not has_its_own("clopa_annotator.nowhere.swap")
