"""When a downloaded model counts as present: a seal, written last, lists every file with size and hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.durable import write_bytes

SEAL = "downloaded.json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and SHA-256, hexadecimal, of one file."""

    size: int
    sha256: str


def seal(folder: Path, files: Mapping[str, FileRecord]) -> None:
    """Mark a folder as complete; ``files`` are relative paths with forward slashes."""
    content = {name: {"size": r.size, "sha256": r.sha256} for name, r in files.items()}
    write_bytes(folder / SEAL, (json.dumps(content, indent=2) + "\n").encode())


def read_seal(folder: Path) -> dict[str, FileRecord] | None:
    """What the seal says; None if there is none or it is damaged."""
    try:
        content = json.loads((folder / SEAL).read_text("utf-8"))
        return {name: FileRecord(int(r["size"]), str(r["sha256"])) for name, r in content.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def is_complete(folder: Path) -> bool:
    """Whether a folder is sealed and every file has its size; quick, reads no weights."""
    files = read_seal(folder)
    return bool(files) and all(_size(folder / name) == r.size for name, r in (files or {}).items())


def damaged_files(folder: Path) -> tuple[str, ...]:
    """Files whose content is not what was downloaded; all of them are read. "" stands for a missing seal."""
    files = read_seal(folder)
    if not files:
        return ("",)
    return tuple(
        name
        for name, r in files.items()
        if _size(folder / name) != r.size or sha256_of(folder / name) != r.sha256
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def git_blob_sha1_of(path: Path) -> str:
    """The name that git gives a file's content; small files on Hugging Face are listed by it."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    digest.update(path.read_bytes())
    return digest.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
