"""Documents check themselves: what they name exists, and what exists is named."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from clopa_annotator.cli import app

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *REPOSITORY.glob("benchmarks/*.md")]
)
NAMED = re.compile(r"`((?:docs|scripts|benchmarks|Testing|Resources|CLoPAAnnotator)/[\w./-]*\w/?)`")
LINKED = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")
SCRIPT = re.compile(r"python (?:-m )?((?:scripts|benchmarks|Testing)/[\w./]+\.py)")
COMMAND = re.compile(r"(?:^    |`)clopa ((?:[a-z|]+ ?)+)", re.MULTILINE)


def commands(group: object, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Every command of the command line, subcommands included."""
    found = getattr(group, "commands", None)
    if not found:
        return {prefix}
    return {name for key, value in found.items() for name in commands(value, (*prefix, key))}


ALL_COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = {n for n in NAMED.findall(text) if not (REPOSITORY / n).exists()}
    missing |= {n for n in SCRIPT.findall(text) if not (REPOSITORY / n).is_file()}
    missing |= {n for n in LINKED.findall(text) if not (document.parent / n).exists()}
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_every_command_that_a_document_names_is_one(document: Path) -> None:
    known = {name[: n + 1] for name in ALL_COMMANDS for n in range(len(name))}
    for line in COMMAND.findall(document.read_text(encoding="utf-8")):
        words = line.split()
        for last in words[1].split("|") if len(words) > 1 and "|" in words[1] else [None]:
            group = any(len(name) > 1 and name[0] == words[0] for name in known)
            name = (words[0], last or words[1]) if group and len(words) > 1 else (words[0],)
            assert name in known, f"{document.name}: clopa {' '.join(name)}"


def test_the_readme_lists_every_command() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for name in ALL_COMMANDS:
        pattern = rf"clopa {name[0]}" + (rf" (?:\w+\|)*{name[1]}\b" if len(name) > 1 else r"\b")
        assert re.search(pattern, text), f"the README does not name clopa {' '.join(name)}"


@pytest.mark.parametrize("script", ["demo.py", "test.py", "check.py"])
def test_the_scripts_need_nothing_but_python(script: str) -> None:
    source = (REPOSITORY / "scripts" / script).read_text(encoding="utf-8")
    source += (REPOSITORY / "scripts" / "_environment.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)) - {"_environment"}
    assert imported <= set(sys.stdlib_module_names) | {"__future__"}


def test_ci_calls_the_readmes_test_command() -> None:
    text = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert "scripts/test.py" in text
    assert "python scripts/test.py" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_nothing_committed_carries_a_path_of_somebodys_machine() -> None:
    listed = subprocess.run(
        ["git", "grep", "-lE", r"/(work|root|home)/\w"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode not in (0, 1):
        pytest.skip("not a git checkout")
    assert [name for name in listed.stdout.split() if not name.startswith("Testing/meta/")] == []
