"""Removing what was downloaded, a file at a time: whoever shows it decides how much is done at once.

Only whole folders that this project made are named to it: a model with the download's seal, what is left of a
download, the engine's environment. A folder that holds a campaign is never touched.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.errors import ConfigError
from clopa_annotator.models.catalogue import ENTRIES, folder_of
from clopa_annotator.models.presence import read_seal

CAMPAIGN_FILE = "campaign.json"


@dataclass(frozen=True)
class Step:
    """One file or folder that was looked at or removed.

    Attributes:
        path: which.
        size: bytes that are free without it; 0 while another name of the same file remains.
        problem: why it could not be removed; empty if it was.
    """

    path: Path
    size: int = 0
    problem: str = ""


def downloaded_models(root: Path | None = None) -> tuple[Path, ...]:
    """Folders of downloads, complete or not; a model that was put there by hand has no seal and stays."""
    found = []
    for entry in ENTRIES:
        if entry.is_remote:
            folder = folder_of(entry, root)
            partial = folder.with_name(folder.name + ".partial")
            found += [f for f, ours in ((folder, read_seal(folder) is not None), (partial, True)) if ours]
    return tuple(folder for folder in found if folder.is_dir())


def measure(folders: Iterable[Path]) -> Iterator[Step]:
    """What `remove` would free, file by file; nothing is changed.

    Raises:
        ConfigError: a campaign lies in one of the folders.
    """
    names_seen: dict[tuple[int, int], int] = {}
    for folder in folders:
        for path in _files_of(folder):
            if path.name == CAMPAIGN_FILE:
                raise ConfigError(
                    f"There is a campaign in {path.parent}. Move it to another place first; nothing was "
                    "removed."
                )
            about = path.lstat()
            key = (about.st_dev, about.st_ino)
            names_seen[key] = names_seen.get(key, 0) + 1
            is_last = names_seen[key] >= about.st_nlink
            yield Step(path, about.st_size if is_last and not path.is_symlink() else 0)


def remove(folders: Iterable[Path]) -> Iterator[Step]:
    """Remove folders, file by file. Links are removed, never followed; what resists is told and left."""
    for folder in folders:
        for path in _files_of(folder):
            yield _removed(path)
        yield from _empty_folders_removed(folder)


def _files_of(folder: Path) -> Iterator[Path]:
    if folder.is_symlink() or folder.is_file():
        yield folder
        return
    for place, folders, files in os.walk(folder, followlinks=False):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in (*files, *links):
            yield here / name


def _empty_folders_removed(folder: Path) -> Iterator[Step]:
    if not folder.is_dir() or folder.is_symlink():
        return
    for place, _folders, _files in os.walk(folder, topdown=False, followlinks=False):
        try:
            Path(place).rmdir()
        except OSError:
            continue  # the file in it that resisted was told
        yield Step(Path(place))


def _removed(path: Path) -> Step:
    try:
        about = path.lstat()
        if os.name == "nt" and not about.st_mode & stat.S_IWRITE:
            path.chmod(stat.S_IWRITE)  # Windows deletes nothing that is read-only
        path.unlink()
    except OSError as error:
        return Step(path, 0, error.strerror or str(error))
    is_last = about.st_nlink <= 1 and not stat.S_ISLNK(about.st_mode)
    return Step(path, about.st_size if is_last else 0)
