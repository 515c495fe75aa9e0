"""Several folders or files at once, by the steps of `disk.publish_folder` and `disk.publish_file`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from clopa_annotator.cache.format.disk import Disk, check_written, take_back
from clopa_annotator.errors import CacheError


def publish_folders(disk: Disk, folders: Sequence[tuple[Path, Path, Mapping[str, bytes]]]) -> None:
    """`publish_folder` for several: every step is taken for all of them before the next.

    Each folder appears at once; a kill in between leaves some of them, whole.

    Args:
        disk: takes the steps.
        folders: where to prepare each, where it has to appear, and its files.

    Raises:
        OSError, CorruptRecord: as there; then all of them were taken back.
    """
    moved: set[Path] = set()
    try:
        for staged, _, _ in folders:
            disk.make_folder(staged)
        disk.write_together({staged / n: data for staged, _, files in folders for n, data in files.items()})
        disk.sync_folders([staged for staged, _, _ in folders])
        for staged, target, _ in folders:
            disk.rename(staged, target)
            moved.add(target)
        disk.sync_folders(sorted({target.parent for _, target, _ in folders}))
        for _, target, files in folders:
            for name, data in files.items():
                check_written(disk, target / name, data)
    except (OSError, CacheError):
        for staged, target, _ in folders:
            take_back(disk, staged, target if target in moved else staged)
        raise


def replace_files(disk: Disk, files: Sequence[tuple[Path, Path, bytes]]) -> None:
    """`publish_file` over earlier files, for several at once.

    Args:
        disk: takes the steps.
        files: where to prepare each, where it has to appear, and its content.

    Raises:
        OSError: a step failed; each target is the old or the new one.
        CorruptRecord: the disk gave back something else than was written.
    """
    try:
        disk.write_together({staged: data for staged, _, data in files})
        for staged, target, _ in files:
            disk.replace(staged, target)
        disk.sync_folders(sorted({target.parent for _, target, _ in files}))
        for _, target, data in files:
            check_written(disk, target, data)
    except (OSError, CacheError):
        for staged, _, _ in files:
            take_back(disk, staged, staged)
        raise
