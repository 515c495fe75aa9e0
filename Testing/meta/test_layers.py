"""The house: which part may import which. The tables are the architecture; change them knowingly.

Every part of the core and every room of the shell stands in a table; there are no exempt ones. Beside the
arrows the tests hold what keeps rooms readable: no circles, no room over twenty modules, one name for one
module, and clients that load no torch.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "CLoPAAnnotator"
CORE, SHELL = ROOT / "clopa_annotator", ROOT / "CLoPAAnnotatorLib"
LARGEST_ROOM = 20

VALUES = {"types", "errors", "geometry", "config", "durable", "delta", "events", "case_order"}
ALLOWED: dict[str, set[str]] = {
    # values that everybody shares
    "errors": set(),
    "geometry": {"errors"},
    "config": {"errors"},
    "durable": {"errors"},
    "delta": {"errors"},
    "types": {"errors", "geometry"},
    "events": {"types"},
    "case_order": {"errors", "config", "types"},
    # the stages, in the order of the flow
    "session": VALUES,
    "cache": VALUES,
    "scheduler": VALUES,
    "episode": VALUES | {"session"},
    "online": VALUES | {"session", "episode"},
    "experts": VALUES | {"session", "episode", "online"},
    "registry": VALUES,
    "swap": VALUES,
    "strategies": VALUES | {"session", "episode", "online", "experts"},
    "suggestions": VALUES | {"session", "cache", "datasets"},
    # around them
    "review": VALUES | {"cache", "suggestions", "evaluation", "wire"},
    "models": VALUES | {"session"},
    "datasets": VALUES,
    "evaluation": VALUES | {"session"},
    "exporters": VALUES | {"cache", "datasets"},
    "importers": VALUES | {"cache", "datasets", "session"},
    "pretrain": VALUES | {"session", "episode", "datasets", "evaluation", "models"},
    # the processes: trainer, engine, client
    "training": VALUES
    | {"session", "cache", "scheduler", "episode", "online", "registry", "swap", "strategies", "evaluation"}
    | {"pretrain"},
    "wire": VALUES,
    "campaign": VALUES
    | {"session", "cache", "scheduler", "episode", "online", "registry", "swap", "strategies", "models"}
    | {"exporters", "importers", "suggestions", "review", "training", "wire"},
    "server": VALUES | {"session", "cache", "episode", "models", "training", "campaign", "importers", "wire"},
    "client": VALUES | {"session", "cache", "importers", "wire"},
    "testing": VALUES | {"session", "client", "importers", "wire"},
    # experiments, and the command line
    "experiments": VALUES
    | {"session", "cache", "campaign", "datasets", "episode", "evaluation", "models", "registry", "training"}
    | {"suggestions"},
    "commands": VALUES
    | {"session", "cache", "experts", "registry", "models", "datasets", "evaluation", "exporters", "pretrain"}
    | {"importers", "training", "campaign", "server", "experiments", "suggestions", "review"},
    "cli": {"commands", "errors"},
    "__init__": set(),
}
SHELL_ALLOWED: dict[str, set[str]] = {
    "Texts": set(),
    "engine": {"Texts"},
    "scene": {"Texts"},
    "annotation": {"Texts", "engine", "scene"},
    "panels": {"Texts", "engine", "scene", "annotation"},
    "review": {"Texts", "engine", "scene", "annotation", "panels"},
    "caselist": {"Texts", "engine", "scene", "annotation", "panels"},
    "SelfTest": {"engine", "scene", "annotation"},
    "__init__": set(),
}
CORE_OF_THE_SHELL = VALUES | {"client", "testing", "wire", "models", "datasets"}
"""What runs inside Slicer: the client side of the core, and values."""
TORCH_FREE = (
    "client",
    "testing",
    "wire",
    "cache",
    "types",
    "scheduler",
    "session.checks",
    "events",
    "config",
)
GUI = {"slicer", "qt", "ctk", "vtk", "PySide6", "PythonQt"}


@cache
def imported_modules(path: Path) -> frozenset[str]:
    """Full names of everything that a module imports, also inside functions and for type checking."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layers"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def part_of(path: Path, top: Path) -> str:
    """The first name below the package."""
    return path.relative_to(top).parts[0].removesuffix(".py")


def parts_imported(path: Path, top: Path) -> set[str]:
    """The parts of the package ``top`` that a module imports."""
    found = {n.split(".")[1] for n in imported_modules(path) if n.startswith(f"{top.name}.")}
    return {n for n in found if (top / n).is_dir() or (top / f"{n}.py").is_file()}


def module_of(path: Path) -> str:
    """A file's dotted name."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def arrows(files: list[Path]) -> dict[str, set[str]]:
    """Which of these modules import which."""
    known = {module_of(p) for p in files}
    return {module_of(p): (set(imported_modules(p)) & known) - {module_of(p)} for p in files}


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """One circle, or nothing."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for following in sorted(graph.get(name, ())):
            found = walk(following, [*way, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in graph if (found := walk(name, []))), [])


FILES = sorted(CORE.rglob("*.py"))
SHELL_FILES = sorted(SHELL.rglob("*.py"))


def strangers_of(top: Path, table: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """What each module imports although its place in the table does not allow it."""
    found = {}
    for path in sorted(top.rglob("*.py")):
        part = part_of(path, top)
        assert part in table, (
            f"{part} has no place in the house yet: add it to the table and to docs/architecture.md"
        )
        found[str(path.relative_to(top))] = sorted(parts_imported(path, top) - table[part] - {part})
    return {name: strangers for name, strangers in found.items() if strangers}


def test_a_module_imports_only_what_its_place_allows() -> None:
    assert strangers_of(CORE, ALLOWED) == {}


def test_a_module_of_the_shell_imports_only_what_its_room_allows() -> None:
    assert strangers_of(SHELL, SHELL_ALLOWED) == {}
    core = {str(p.relative_to(SHELL)): parts_imported(p, CORE) - CORE_OF_THE_SHELL for p in SHELL_FILES}
    outside = {name: sorted(parts) for name, parts in core.items() if parts}
    assert not outside, f"these run inside Slicer and must not import that: {outside}"


@pytest.mark.parametrize("table", [ALLOWED, SHELL_ALLOWED], ids=["core", "shell"])
def test_the_table_itself_has_no_circle_and_no_part_that_is_gone(table: dict[str, set[str]]) -> None:
    top = CORE if table is ALLOWED else SHELL
    assert not circle_in(table)
    for part in table:
        assert (top / part).is_dir() or (top / f"{part}.py").is_file(), f"{part} is gone from {top.name}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert not circle_in(arrows(FILES))
    assert not circle_in(arrows(SHELL_FILES))


def test_the_files_of_a_campaign_know_nothing_of_the_store_above_them() -> None:
    for path in (CORE / "cache" / "format").glob("*.py"):
        above = {n for n in imported_modules(path) if n.startswith("clopa_annotator.cache.")}
        assert all(n.startswith("clopa_annotator.cache.format") for n in above), path


def _rooms() -> list[tuple[Path, int]]:
    files = [p for p in (*FILES, *SHELL_FILES) if p.name != "__init__.py"]
    return sorted(Counter(p.parent for p in files).items())


def test_a_room_can_be_taken_in_at_a_glance() -> None:
    too_large = {str(folder.relative_to(ROOT)): n for folder, n in _rooms() if n > LARGEST_ROOM}
    assert not too_large, f"rooms with more than {LARGEST_ROOM} modules, divide them: {too_large}"


def test_a_name_stands_for_one_module() -> None:
    rooms = {p for p in CORE.iterdir() if p.is_dir()}
    files = [p for p in FILES if p.name != "__init__.py" and p.parent != CORE / "commands"]
    twice = [name for name, n in Counter(p.stem for p in files).items() if n > 1]
    assert not twice, f"several modules are called {twice}"
    assert not {p.stem for p in files if p.parent in rooms} & {p.stem for p in CORE.glob("*.py")} - {
        "__init__"
    }


def test_the_core_never_imports_the_gui() -> None:
    assert [p for p in FILES if {n.split(".")[0] for n in imported_modules(p)} & GUI] == []


@pytest.mark.parametrize("part", TORCH_FREE)
def test_what_slicer_needs_loads_neither_torch_nor_simpleitk_in_a_fresh_process(part: str) -> None:
    folder = CORE.joinpath(*part.split("."))
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]
    names = [module_of(p) for p in files if p.stem != "random_model"]
    program = (
        f"import sys, importlib; sys.path.insert(0, {str(ROOT)!r})\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "found = {'torch', 'SimpleITK'} & set(sys.modules)\n"
        "assert not found, f'{found} were loaded'"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_the_tests_of_this_file_can_fail() -> None:
    assert "cache" not in ALLOWED["session"], "a session must not know where confirmations are kept"
    assert parts_imported(CORE / "types" / "prompts.py", CORE) == {"errors", "geometry"}
    poorer = {**ALLOWED, "types": {"errors"}}
    assert "types/prompts.py" in strangers_of(CORE, poorer)
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
