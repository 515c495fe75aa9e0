"""Every command that a document prints is taken by the real program with its options, as it is printed."""

from __future__ import annotations

import argparse
import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from printed_commands import DOCUMENTS, REPOSITORY, Printed, all_printed, printed_in

from clopa_annotator.cli import app

ALL = all_printed()
TAKES = re.compile(r"^(?:import argparse|import bench|from _environment import)", re.MULTILINE)
"""Scripts that take arguments, or hand them on to a program in the environment that they make."""
NUMBERS = {"N": "3", "M": "3", "MINUTES": "3"}


def of(program: str) -> list[Printed]:
    return [printed for printed in ALL if printed.text.startswith(f"{program} ")]


def leaves(command: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    subs = getattr(command, "commands", None)
    if not subs:
        return {path: command}
    return {key: leaf for name, sub in subs.items() for key, leaf in leaves(sub, (*path, name)).items()}


class CommandLine:
    """The real command line, of which each command only notes that its arguments were taken."""

    def __init__(self) -> None:
        self.root = typer.main.get_command(app)
        self.names = leaves(self.root)
        self.taken = 0
        for command in self.names.values():
            command.callback = self._note

    def _note(self, **_: object) -> None:
        self.taken += 1

    def takes(self, words: list[str]) -> bool:
        before = self.taken
        with pytest.raises(SystemExit):
            self.root.main(words)
        return self.taken == before + 1


@pytest.fixture(scope="module")
def line() -> CommandLine:
    return CommandLine()


@pytest.mark.parametrize("printed", of("clopa"), ids=lambda p: p.where)
def test_clopa_takes_the_command_as_it_is_printed(printed: Printed, line: CommandLine) -> None:
    for _, *words in printed.commands():
        is_name = any(tuple(words) == name[: len(words)] for name in line.names)
        if is_name and not printed.is_block:
            continue  # a span that names a command
        assert line.takes([NUMBERS.get(word, word) for word in words]), words


@pytest.mark.parametrize(
    "words",
    [["engine"], ["simulate", "...", "--cluster"], ["doctor", "--now"], ["cache", "list"], ["nothing"]],
)
def test_a_command_that_lacks_something_is_not_taken(words: list[str], line: CommandLine) -> None:
    assert not line.takes(words)


class Parsed(Exception):
    """A script has taken its arguments."""


def take_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts parse what they are given and do nothing with it."""
    real, real_known = argparse.ArgumentParser.parse_args, argparse.ArgumentParser.parse_known_args
    within: list[bool] = []

    def parse(parser: argparse.ArgumentParser, given: Any = None, namespace: Any = None) -> Any:
        within.append(True)
        real(parser, given, namespace)
        raise Parsed

    def parse_known(parser: argparse.ArgumentParser, given: Any = None, namespace: Any = None) -> Any:
        parsed = real_known(parser, given, namespace)
        if not within:  # a script that hands the rest on
            raise Parsed
        return parsed

    def run(command: list[str], **_: object) -> None:
        raise Parsed(command)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parse_known)
    monkeypatch.setattr(subprocess, "run", run)
    # Each script makes its own environment first; nothing is installed here.
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import _environment

    monkeypatch.setattr(_environment, "prepare", lambda *_: Path(sys.executable))


@pytest.mark.parametrize("printed", of("python"), ids=lambda p: p.where)
def test_a_script_takes_the_command_as_it_is_printed(
    printed: Printed, monkeypatch: pytest.MonkeyPatch, line: CommandLine
) -> None:
    for _, *words in printed.commands():
        if words[0] == "-c":
            exec(compile(words[1], printed.where, "exec"), {})
            continue
        if words[0] == "-m":
            assert importlib.util.find_spec(words[1]) is not None
            continue
        script = REPOSITORY / words[0]
        if not TAKES.search(script.read_text(encoding="utf-8")):
            assert len(words) == 1, f"{words[0]} takes no arguments"
            continue  # it would do its work
        take_arguments(monkeypatch)
        monkeypatch.syspath_prepend(str(script.parent))
        monkeypatch.setattr(sys, "argv", [str(script), *(NUMBERS.get(word, word) for word in words[1:])])
        with pytest.raises(Parsed) as parsed:
            runpy.run_path(str(script), run_name="__main__")
        if parsed.value.args and "clopa_annotator.cli" in parsed.value.args[0]:
            command = parsed.value.args[0]
            assert line.takes(command[command.index("clopa_annotator.cli") + 1 :])


def test_documents_print_commands_and_all_kinds_are_found() -> None:
    assert len(of("clopa")) > 25 and len(of("python")) > 15
    texts = {printed.text for printed in ALL}
    assert "clopa doctor" in texts and "python scripts/demo.py" in texts
    assert {"README.md", "engine.md", "lead-guide.md"} <= {d.name for d in DOCUMENTS if printed_in(d)}
    (engine,) = (
        p for p in ALL if p.where.startswith("docs/engine.md") and p.text.startswith("clopa engine --c")
    )
    short, long = engine.commands()
    assert short == ["clopa", "engine", "--campaign", "DIR"] and long[-2:] == ["--tls-key", "PEM"]
    quoted = next(p for p in ALL if "--description" in p.text).commands()[0]
    assert "head and body together" in quoted and "Hippocampus, T1" in quoted
