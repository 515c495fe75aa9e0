"""Downloading a model: its licence first, every file checked, and only a complete one ever appears.

The transfer is Hugging Face's own (``snapshot_download``, as in nnInteractive's model management): it goes on
by itself after a cut, and a new try keeps the files that are whole. nnInteractive takes any folder that holds
something for a model. Here files arrive in ``<folder>.partial``, each is compared with the hash that the
server lists (SHA-256 for large files, git's blob hash for small ones), then the folder is sealed and renamed.
"""

from __future__ import annotations

import itertools
import logging
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from clopa_annotator import __version__
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
    from huggingface_hub import HfApi  # not at run time: Slicer's Python lacks it, and lists models

logger = logging.getLogger(__name__)

LARGEST = 4 * 2**30
_PLAIN_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*", re.ASCII)


def download(
    name: str, *, accepted_licence: str | None, root: Path | None = None, shows_bar: bool = False
) -> Path:
    """Get a named model, keeping the whole files of an earlier try.

    Args:
        name: of a remote entry of the list.
        accepted_licence: the entry's ``licence``, after a person has seen and accepted it.
        root: folder for downloads; None for the default.
        shows_bar: whether the library may draw its progress on a terminal.

    Returns:
        The complete folder.

    Raises:
        LicenceNotAccepted: ``accepted_licence`` is not the model's.
        ModelNotPresent: unknown name, no connection, or broken off; whole files are kept.
        ModelError: a file is not what the server's list says.
    """
    entry = _remote_entry(name)
    folder = folder_of(entry, root)
    if is_complete(folder):
        return folder
    if accepted_licence != entry.licence:
        raise LicenceNotAccepted(
            f"{entry.title} comes under {entry.licence} ({entry.licence_url}); accept it before downloading."
        )
    partial = folder.with_name(folder.name + ".partial")
    arrived = partial / entry.folder
    hashes = _transfer(entry, partial, shows_bar)
    seal(arrived, {name: _checked(arrived / name, listed) for name, listed in hashes.items()})
    licence = arrived / "LICENSE"
    if not licence.exists():
        licence.write_text(f"{entry.licence}\n{entry.licence_url}\n", encoding="utf-8")
    _make_room(folder)
    arrived.replace(folder)
    shutil.rmtree(partial)
    return folder


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


def _transfer(entry: ModelEntry, partial: Path, shows_bar: bool) -> dict[str, str]:
    """Bring the model's files into ``partial / entry.folder``; the hash that the server lists for each."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read when the library is loaded first
    from huggingface_hub import HfApi, errors
    from huggingface_hub.utils import tqdm

    class Silent(tqdm):  # type: ignore[misc]
        def __init__(self, *given: object, **options: object) -> None:
            super().__init__(*given, **{**options, "disable": True})

    api = HfApi(
        endpoint=os.environ.get("HF_ENDPOINT"),
        token=False,
        library_name="clopa-annotator",
        library_version=__version__,
    )
    try:
        commit, hashes = _listed(api, entry)
        api.snapshot_download(
            entry.repository,
            revision=commit,
            allow_patterns=[f"{entry.folder}/{name}" for name in hashes],
            local_dir=partial,
            tqdm_class=None if shows_bar else Silent,
        )
        for name in hashes:  # without a connection the library may return a folder that is not whole
            (partial / entry.folder / name).stat()
    except (OSError, errors.HTTPError) as error:
        about = (str(error).splitlines() or [""])[0]
        raise ModelNotPresent(
            f"The download broke off ({type(error).__name__}: {about}). Files that arrived whole are kept; "
            "check the connection and start it again."
        ) from error
    return hashes


def _listed(api: HfApi, entry: ModelEntry) -> tuple[str, dict[str, str]]:
    """The commit that the server has, and each file of the model with its SHA-256 or git's blob hash.

    Raises:
        ModelError: the list is empty, too large, or names places outside the model's folder.
    """
    info = api.model_info(entry.repository, revision=entry.revision, files_metadata=True)
    hashes, size = {}, 0
    for file in info.siblings or ():
        if not file.rfilename.startswith(f"{entry.folder}/"):
            continue
        name = file.rfilename.removeprefix(f"{entry.folder}/")
        known = file.lfs.sha256 if file.lfs else file.blob_id
        if not _PLAIN_NAME.fullmatch(name) or not known:
            raise ModelError(f"The server's list of the files of {entry.title} cannot be read: {name!r}.")
        hashes[name], size = str(known), size + (file.size or 0)
    if not hashes or not info.sha or size > LARGEST:
        raise ModelError(f"The server's list of the files of {entry.title} is empty or absurdly large.")
    return info.sha, hashes


def _checked(path: Path, listed: str) -> FileRecord:
    sha256 = sha256_of(path)
    if listed != (sha256 if len(listed) == len(sha256) else git_blob_sha1_of(path)):
        path.unlink()
        raise ModelError(
            f"{path.name} is not what the server announced and was deleted. Start the download again; if it "
            "keeps happening, something between here and the server changes files."
        )
    return FileRecord(path.stat().st_size, sha256)


def _make_room(folder: Path) -> None:
    """Remove an earlier, damaged download; what somebody else has put there is moved aside instead."""
    if not folder.exists():
        return
    mine = {SEAL, "LICENSE", *(read_seal(folder) or {})}
    if {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()} <= mine:
        shutil.rmtree(folder)
        return
    aside = (folder.with_name(f"{folder.name}.kept-{number}") for number in itertools.count(1))
    free = next(place for place in aside if not place.exists())
    logger.warning("%s was no download; it is kept as %s", folder, free.name)
    folder.rename(free)
