"""What a program really asks of the operating system, and what a power cut would leave of it.

The cache announces its steps to a hook, so a test that watches the hook cannot tell a flush from the word
"flush". `SystemCalls` stands one floor below: `os.fsync` is wrapped, and renames and openings are told by the
interpreter's own audit events, whichever function they came from. SQLite's files are not seen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WRITING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC
Tree = dict[str, bytes]
_watching: list[SystemCalls] = []


class SystemCalls:
    """The calls of one folder, in order, and what of it is on the disk for certain.

    Attributes:
        order: "flush NAME", "rename FROM TO" and "open NAME" (for writing); names are relative to the folder,
            "." is the folder itself.
        careless: renames of something that was not on the disk yet, with what was missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.order: list[str] = []
        self.careless: list[str] = []
        self._contents: dict[int, bytes] = {}
        self._entries: dict[int, dict[str, tuple[int, bool]]] = {}
        for path in (root, *root.rglob("*")):
            self._kept(path)

    def _kept(self, path: Path) -> None:
        inode = path.stat().st_ino
        if path.is_dir():
            self._entries[inode] = {p.name: (p.stat().st_ino, p.is_dir()) for p in path.iterdir()}
        else:
            self._contents[inode] = path.read_bytes()

    def _name(self, path: Path) -> str | None:
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else None

    def flushed(self, descriptor: int) -> None:
        """A descriptor was flushed: its file or folder is on the disk as it is now."""
        asked = os.fstat(descriptor)
        for path in (self._root, *self._root.rglob("*")):
            if os.path.samestat(asked, path.stat()):
                self._kept(path)
                self.order.append(f"flush {self._name(path)}")

    def audited(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event of the interpreter, before it is carried out."""
        if event == "os.rename":
            source, target = Path(os.fsdecode(arguments[0])), Path(os.fsdecode(arguments[1]))
            if self._name(target) is not None:
                self.order.append(f"rename {self._name(source)} {self._name(target)}")
                self.careless += [f"{self._name(source)}: {name}" for name in self._unflushed(source)]
        elif event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            name = self._name(Path(os.fsdecode(arguments[0])))
            if name is not None and arguments[2] & WRITING:
                self.order.append(f"open {name}")

    def _unflushed(self, path: Path) -> list[str]:
        kept = (
            self._tree(path.stat().st_ino) if path.is_dir() else {"": self._contents.get(path.stat().st_ino)}
        )
        return sorted(n for n, data in tree_of(path).items() if kept.get(n) != data)

    def _tree(self, inode: int) -> Tree:
        found: Tree = {}
        for name, (child, is_folder) in self._entries.get(inode, {}).items():
            if is_folder:
                found |= {f"{name}/{below}": data for below, data in self._tree(child).items()}
            else:
                found[name] = self._contents.get(child, b"")
        return found

    def after_a_power_cut(self) -> Tree:
        """Every file that would surely be there if the power went now, and the content that it would have."""
        return self._tree(self._root.stat().st_ino)


def tree_of(path: Path) -> Tree:
    """Every file at or below a path and its content; a file itself has the name ""."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in ("os.rename", "open"):
        calls = _watching.pop()  # what it looks at itself is not recorded
        try:
            calls.audited(event, arguments)
        finally:
            _watching.append(calls)


sys.addaudithook(_audit)


@contextmanager
def watched(root: Path) -> Iterator[SystemCalls]:
    """Record what happens below a folder; what is there already counts as flushed. One at a time."""
    calls = SystemCalls(root)
    fsync = os.fsync

    def flush(descriptor: int) -> None:
        fsync(descriptor)
        _watching.clear()
        calls.flushed(descriptor)
        _watching.append(calls)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", flush)
        _watch_macos(patch, flush)
        _watching.append(calls)
        try:
            yield calls
        finally:
            _watching.clear()


def _watch_macos(patch: pytest.MonkeyPatch, flush: Any) -> None:
    if sys.platform == "darwin":
        import fcntl

        control = fcntl.fcntl

        def controlled(descriptor: int, command: int, *more: Any) -> Any:
            if command == fcntl.F_FULLFSYNC:
                return flush(descriptor)
            return control(descriptor, command, *more)

        patch.setattr(fcntl, "fcntl", controlled)
