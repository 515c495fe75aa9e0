"""The house: which part of the core may import which. The table is the architecture; change it knowingly."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parents[2] / "CLoPAAnnotator" / "clopa_annotator"
PACKAGE = "clopa_annotator"

SHARED = {"types", "errors", "geometry", "events", "config", "durable", "delta"}
ALLOWED: dict[str, set[str]] = {
    "types": {"errors", "geometry"},
    "errors": set(),
    "geometry": {"errors"},
    "events": {"types"},
    "config": {"errors"},
    "durable": {"errors"},
    "delta": {"errors"},
    "session": SHARED,
    "cache": SHARED,
    "scheduler": SHARED,
    "episode": SHARED | {"session"},
    "swap": SHARED,
    "registry": SHARED,
    "models": SHARED | {"session"},
    "online": SHARED | {"session", "episode"},
    "experts": SHARED | {"session", "episode", "online"},
    "strategies": SHARED | {"episode", "online", "experts", "session"},
    "evaluation": SHARED | {"session"},
    "datasets": SHARED,
    "exporters": SHARED | {"cache"},
    "pretrain": SHARED | {"session", "episode", "datasets", "evaluation", "models"},
}
COMPOSITION = {
    "pipeline",
    "trainer",
    "checking",
    "jobs",
    "measurement",
    "evaluating",
    "simulation",
    "recall",
    "permutations",
    "engine",
    "training",
    "campaign",
    "cli",
    "commands",
    "__init__",
}
TORCH_FREE_FOR_CLIENTS = ("types", "errors", "geometry", "events", "config", "durable", "cache", "scheduler")
GUI = {"slicer", "qt", "ctk", "vtk", "PySide6", "PythonQt"}


def imported_modules(path: Path) -> set[str]:
    """Full names of everything that a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layers"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def part_of(path: Path) -> str:
    """The part of the house that a file belongs to: the first name below the package."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def core_imports(path: Path) -> set[str]:
    """The parts of the house that a module imports."""
    found = {n.split(".")[1] for n in imported_modules(path) if n.startswith(f"{PACKAGE}.")}
    return {n for n in found if (CORE / n).is_dir() or (CORE / f"{n}.py").is_file()}


FILES = sorted(CORE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CORE)))
def test_a_module_imports_only_what_its_place_in_the_flow_allows(path: Path) -> None:
    part = part_of(path)
    if part in COMPOSITION:
        return
    assert part in ALLOWED, (
        f"{part} has no place in the house yet: add it to the table and to docs/architecture.md"
    )
    strangers = core_imports(path) - ALLOWED[part] - {part}
    assert not strangers, f"{path.relative_to(CORE)} must not import {sorted(strangers)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CORE)))
def test_the_core_never_imports_the_gui(path: Path) -> None:
    assert not {n.split(".")[0] for n in imported_modules(path)} & GUI


@pytest.mark.parametrize("part", TORCH_FREE_FOR_CLIENTS)
def test_what_slicer_needs_does_not_import_torch(part: str) -> None:
    folder = CORE / part
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [CORE / f"{part}.py"]
    for path in files:
        assert "torch" not in {n.split(".")[0] for n in imported_modules(path)}, path


def test_the_table_can_fail() -> None:
    assert "cache" not in ALLOWED["session"], "a session must not know where confirmations are kept"
    assert core_imports(CORE / "types" / "annotation.py") == {"errors", "geometry"}
