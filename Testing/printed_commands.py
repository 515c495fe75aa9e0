"""The commands that the documents print, as somebody would type them.

A command is a line of an indented block, or a span in backticks, that starts with ``clopa`` or ``python``.
What follows two spaces is its description, a backslash at the end joins the next line. ``[--x Y]`` may be
left out: such a line stands for two commands. ``list|verify`` stands for one command each. Capitals stand for
something of one's own.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    [
        REPOSITORY / "README.md",
        REPOSITORY / "CONTRIBUTING.md",
        REPOSITORY / "benchmarks" / "README.md",
        *(REPOSITORY / "docs").rglob("*.md"),
    ]
)
PROGRAMS = ("clopa", "python")
_BLOCK = re.compile(r"^ {4,}(?:\$ )?((?:clopa|python) .*)$")
_SPAN = re.compile(r"`((?:clopa|python) [^`]+)`")
_DESCRIPTION = re.compile(r"\s{2,}(?![^\"]*\"(?:[^\"]*\"[^\"]*\")*[^\"]*$).*$")
_OPTIONAL = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True)
class Printed:
    """One printed command.

    Attributes:
        where: document and line.
        text: as printed, joined and without its description.
        is_block: whether it stands in a block of its own; a span may merely name a command.
    """

    where: str
    text: str
    is_block: bool

    def commands(self) -> list[list[str]]:
        """Every command that the line stands for, as words."""
        texts = [_OPTIONAL.sub("", self.text), _OPTIONAL.sub(r"\1", self.text)]
        return [words for text in dict.fromkeys(texts) for words in _alternatives(shlex.split(text))]


def _alternatives(words: list[str]) -> list[list[str]]:
    for number, word in enumerate(words):
        if re.fullmatch(r"[a-z]+(\|[a-z]+)+", word):
            tails = _alternatives(words[number + 1 :])
            return [[*words[:number], one, *tail] for one in word.split("|") for tail in tails]
    return [words]


def printed_in(document: Path) -> list[Printed]:
    """Every printed command of a document."""
    found, lines = [], document.read_text(encoding="utf-8").splitlines()
    name = document.relative_to(REPOSITORY).as_posix()
    for number, line in enumerate(lines):
        where = f"{name}:{number + 1}"
        block = _BLOCK.match(line)
        if block is None:
            found += [Printed(where, text, False) for text in _SPAN.findall(line)]
            continue
        text, following = block.group(1), number + 1
        while text.endswith("\\"):
            text = f"{text[:-1].rstrip()} {lines[following].strip()}"
            following += 1
        found.append(Printed(where, _DESCRIPTION.sub("", text), True))
    return found


def all_printed() -> list[Printed]:
    """Of all documents, each text once."""
    found = {printed.text: printed for document in DOCUMENTS for printed in printed_in(document)}
    return list(found.values())
