"""Downloading a model: resumable, every file checked, and only a complete one ever appears.

Files arrive in ``<folder>.partial``; each is compared with the hash that the server lists (SHA-256 for large
files, git's blob hash for small ones). When all are there the folder is sealed and renamed into place.
"""

from __future__ import annotations

import itertools
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from clopa_annotator.errors import LicenceNotAccepted, ModelError, ModelNotPresent
from clopa_annotator.models.catalogue import ENTRIES, ModelEntry, folder_of
from clopa_annotator.models.presence import (
    SEAL,
    FileRecord,
    damaged_files,
    git_blob_sha1_of,
    is_complete,
    read_seal,
    seal,
    sha256_of,
)

if TYPE_CHECKING:
    import httpx  # not at run time: Slicer's Python may lack it, and asks this package what can be removed

logger = logging.getLogger(__name__)

SERVER = "https://huggingface.co"
LARGEST = 4 * 2**30
_TIMEOUT_S = 30.0
_PARTIAL_CONTENT = 206


@dataclass(frozen=True)
class RemoteFile:
    """One file of a model on the server.

    Attributes:
        name: path inside the model's folder, with forward slashes.
        size: bytes.
        sha256: hexadecimal; empty for small files.
        git_sha1: git's blob hash; empty for large files.
    """

    name: str
    size: int
    sha256: str = ""
    git_sha1: str = ""


@dataclass(frozen=True)
class DownloadProgress:
    """How far a download is: ``done`` of ``total`` bytes, now at ``file``."""

    done: int
    total: int
    file: str


def download(
    name: str,
    *,
    accepted_licence: str | None,
    root: Path | None = None,
    on_progress: Callable[[DownloadProgress], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    client: httpx.Client | None = None,
) -> Path:
    """Get a named model, going on where an earlier download stopped.

    Args:
        name: of a remote entry of the list.
        accepted_licence: the entry's ``licence``, after a person has seen and accepted it.
        root: folder for downloads; None for the default.
        on_progress: called about once per megabyte.
        should_stop: asked as often; True stops, and what has arrived is kept.
        client: for tests and proxies; None makes one.

    Returns:
        The complete folder.

    Raises:
        LicenceNotAccepted: ``accepted_licence`` is not the model's.
        ModelNotPresent: unknown name, no connection, or stopped.
        ModelError: a file is not what the server's list says.
    """
    import httpx

    entry = _remote_entry(name)
    folder = folder_of(entry, root)
    if is_complete(folder):
        return folder
    if accepted_licence != entry.licence:
        raise LicenceNotAccepted(
            f"{entry.title} comes under {entry.licence} ({entry.licence_url}); accept it before downloading."
        )
    if client is not None:
        return _transfer(_Transfer(client, entry, folder, on_progress, should_stop))
    with httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True) as own:
        return _transfer(_Transfer(own, entry, folder, on_progress, should_stop))


def verify(name: str, root: Path | None = None) -> None:
    """Read a downloaded model completely and compare it with what was downloaded.

    Raises:
        ModelNotPresent: it is not there, or not complete.
        ModelError: a file has changed.
    """
    entry = _remote_entry(name)
    folder = folder_of(entry, root)
    if not is_complete(folder):
        raise ModelNotPresent(f"{entry.title} is not completely on this machine; download it again.")
    damaged = damaged_files(folder)
    if damaged:
        raise ModelError(
            f"{', '.join(damaged)} of {entry.title} is damaged; delete {folder} and download it again."
        )


def _remote_entry(name: str) -> ModelEntry:
    entry = next((e for e in ENTRIES if e.name == name and e.is_remote), None)
    if entry is None:
        names = ", ".join(f'"{e.name}"' for e in ENTRIES if e.is_remote)
        raise ModelNotPresent(f'There is no model "{name}" to download; there is {names}.')
    return entry


def _transfer(transfer: _Transfer) -> Path:
    import httpx

    try:
        return transfer.run()
    except httpx.HTTPError as error:
        raise ModelNotPresent(
            f"The download broke off ({type(error).__name__}). What has arrived is kept; check the "
            "connection and start it again."
        ) from error


class _Transfer:
    def __init__(
        self,
        client: httpx.Client,
        entry: ModelEntry,
        folder: Path,
        on_progress: Callable[[DownloadProgress], None] | None,
        should_stop: Callable[[], bool],
    ) -> None:
        self._client, self._entry, self._folder = client, entry, folder
        self._partial = folder.with_name(folder.name + ".partial")
        self._on_progress, self._should_stop = on_progress, should_stop
        self._done = self._total = 0

    def run(self) -> Path:
        files = list_files(self._client, self._entry)
        self._total = sum(f.size for f in files)
        records = {}
        for file in files:
            records[file.name] = self._get(file)
        licence = self._partial / "LICENSE"
        if not licence.exists():
            licence.write_text(f"{self._entry.licence}\n{self._entry.licence_url}\n", encoding="utf-8")
        seal(self._partial, records)
        self._make_room()
        self._partial.replace(self._folder)
        return self._folder

    def _make_room(self) -> None:
        """Remove an earlier, damaged download; what somebody else has put there is moved aside instead."""
        if not self._folder.exists():
            return
        mine = {SEAL, "LICENSE", *(read_seal(self._folder) or {})}
        there = {p.relative_to(self._folder).as_posix() for p in self._folder.rglob("*") if not p.is_dir()}
        if there <= mine:
            shutil.rmtree(self._folder)
            return
        number = next(n for n in itertools.count(1) if not self._aside(n).exists())
        logger.warning("%s was no download; it is kept as %s", self._folder, self._aside(number).name)
        self._folder.rename(self._aside(number))

    def _aside(self, number: int) -> Path:
        return self._folder.with_name(f"{self._folder.name}.kept-{number}")

    def _get(self, file: RemoteFile) -> FileRecord:
        path = self._partial / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            arriving = path.with_name(path.name + ".part")
            self._receive(file, arriving)
            _check(file, arriving)
            arriving.replace(path)
        elif path.stat().st_size != file.size:
            path.unlink()
            return self._get(file)
        else:
            self._advance(file, file.size)
        return FileRecord(file.size, file.sha256 or sha256_of(path))

    def _receive(self, file: RemoteFile, arriving: Path) -> None:
        have = arriving.stat().st_size if arriving.exists() else 0
        if have > file.size:
            arriving.unlink()
            have = 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have == file.size and file.size:
            self._advance(file, have)
            return
        entry = self._entry
        url = f"{SERVER}/{entry.repository}/resolve/{entry.revision}/{entry.folder}/{file.name}"
        with self._client.stream("GET", url, headers=headers) as reply:
            reply.raise_for_status()
            resumed = reply.status_code == _PARTIAL_CONTENT
            if resumed:
                self._advance(file, have)
            self._write(reply, file, arriving, have if resumed else 0)

    def _write(self, reply: httpx.Response, file: RemoteFile, arriving: Path, start: int) -> None:
        written = start
        with arriving.open("ab" if start else "wb") as out:
            for chunk in reply.iter_bytes(1 << 20):
                written += len(chunk)
                if written > file.size:
                    break  # more than was announced: the check below says so
                out.write(chunk)
                self._advance(file, len(chunk))
                if self._should_stop():
                    raise ModelNotPresent(
                        f"The download of {self._entry.title} was stopped; what has arrived is kept."
                    )

    def _advance(self, file: RemoteFile, count: int) -> None:
        self._done += count
        if self._on_progress is not None:
            self._on_progress(DownloadProgress(self._done, self._total, file.name))


def list_files(client: httpx.Client, entry: ModelEntry) -> tuple[RemoteFile, ...]:
    """Ask the server which files a model has.

    Raises:
        ModelError: the list is empty, too large, or names places outside the model's folder.
    """
    url = f"{SERVER}/api/models/{entry.repository}/tree/{entry.revision}/{entry.folder}"
    reply = client.get(url, params={"recursive": "true"})
    reply.raise_for_status()
    try:
        files = tuple(_remote_file(row, entry) for row in reply.json() if row["type"] == "file")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The server's list of the files of {entry.title} cannot be read.") from error
    if not files or sum(f.size for f in files) > LARGEST:
        raise ModelError(f"The server's list of the files of {entry.title} is empty or absurdly large.")
    return files


def _remote_file(row: dict[str, object], entry: ModelEntry) -> RemoteFile:
    path = PurePosixPath(str(row["path"]))
    name = path.relative_to(entry.folder)
    if ".." in name.parts or "\\" in str(name) or ":" in str(name):
        raise ValueError("a file outside the model's folder")
    large = row.get("lfs")
    if isinstance(large, dict):
        return RemoteFile(str(name), int(large["size"]), sha256=str(large["oid"]))
    return RemoteFile(str(name), int(str(row["size"])), git_sha1=str(row["oid"]))


def _check(file: RemoteFile, path: Path) -> None:
    size = path.stat().st_size
    if size < file.size:
        raise ModelNotPresent(f"{file.name} arrived only in part ({size} of {file.size} bytes); start again.")
    same = sha256_of(path) == file.sha256 if file.sha256 else git_blob_sha1_of(path) == file.git_sha1
    if size != file.size or not same:
        path.unlink()
        raise ModelError(
            f"{file.name} is not what the server announced and was deleted. Start the download again; if it "
            "keeps happening, something between here and the server changes files."
        )
