"""What is known of each fault already, so that a run that was stopped goes on, the quick ones first.

A row counts as killed only for the very file with the fault in it and the very tests: whoever changes one of
them has it tried again. Nothing else is remembered: a fault that survived is tried again, and so is one whose
tests hung, which on a busy machine says little.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from mutations import Mutant

START_S = 6.0
"""Guessed seconds until pytest and the libraries are up."""
SECONDS_IN = {"chaos": 60.0, "slicer": 6.0, "contract": 3.0, "crash": 10.0}
"""Guessed seconds of a test, by its folder; elsewhere one."""


def fingerprint(root: Path, path: Path, text: str, tests: Sequence[str]) -> str:
    """What a verdict holds for: the file with the fault in it, and the tests with their files.

    Args:
        root: the program's folder.
        path: the file that the fault changes.
        text: its content with the fault.
        tests: as pytest is told to run them.
    """
    digest = hashlib.sha256(f"{path.relative_to(root)}\n{text}\n".encode())
    for test in tests:
        digest.update(f"{test}\n".encode())
    for name in sorted({test.partition("::")[0] for test in tests}):
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def tree_fingerprint(root: Path, folders: Iterable[str], tests: Sequence[str]) -> str:
    """What a run without any fault holds for: every file of the program, and the tests."""
    digest = hashlib.sha256("\n".join(tests).encode())
    for path in sorted(p for name in folders for p in (root / name).rglob("*.py")):
        digest.update(f"\n{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def guessed_s(tests: Sequence[str]) -> float:
    """About how long some tests take."""
    return START_S + sum(SECONDS_IN.get(Path(test).parts[1], 1.0) for test in tests)


class Journal:
    """A file with a line for each fault that was seen killed, and for tests that passed without one.

    Args:
        path: the file; made with the first line. None remembers nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._lock = path, threading.Lock()
        self._known: set[str] = set()
        self._seconds: dict[str, float] = {}
        for row in self._rows():
            self._known.add(row["key"])
            self._seconds[row["what"]] = row["seconds"]

    def _rows(self) -> list[dict[str, str | float]]:
        if self._path is None or not self._path.exists():
            return []
        rows = []
        for line in self._path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the line that was being written when the run was stopped
            if isinstance(row, dict) and row.keys() >= {"key", "what", "seconds"}:
                rows.append(row)
        return rows

    def knows(self, key: str) -> bool:
        """Whether this was seen to be as it should."""
        return key in self._known

    def seconds(self, mutant: Mutant, tests: Sequence[str]) -> float:
        """How long a fault took the last time, or a guess."""
        return self._seconds.get(name_of(mutant), guessed_s(tests))

    def note(self, key: str, what: str, seconds: float) -> None:
        """Remember; from several threads."""
        with self._lock:
            self._known.add(key)
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"key": key, "what": what, "seconds": round(seconds, 1)}) + "\n")


def name_of(mutant: Mutant) -> str:
    """What a row is called: it stays when its texts change."""
    return f"{mutant.where}: {mutant.fault}"
