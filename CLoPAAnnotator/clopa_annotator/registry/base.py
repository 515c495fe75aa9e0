"""``registry.json``: which base model the versions stand on, and under which licence."""

from __future__ import annotations

from pathlib import Path

from clopa_annotator import __version__
from clopa_annotator.durable import write_bytes
from clopa_annotator.errors import RegistryError
from clopa_annotator.registry.files import DELTA_FILE, FORMAT, READABLE, now, sealed, unsealed
from clopa_annotator.types import WeightsVersion


def write_base(path: Path, model_hash: str, licence: str) -> None:
    """Write the document; on return it is on the disk."""
    values = {
        "format": FORMAT,
        "model_hash": model_hash,
        "licence": licence,
        "created": now(),
        "code_version": __version__,
    }
    write_bytes(path, sealed(values))


def next_version(
    base: WeightsVersion, number: int, parent: int, group: str, episode: int | None
) -> WeightsVersion:
    """The lineage of a version to be added, still without its cases, seed and delta's hash."""
    return WeightsVersion(
        number=number,
        parent=parent,
        model_hash=base.model_hash,
        licence=base.licence,
        delta_file=DELTA_FILE,
        parameter_group=group,
        episode=episode,
        code_version=__version__,
        created=now(),
    )


def read_base(path: Path) -> WeightsVersion:
    """Version 0, from the document.

    Raises:
        RegistryError: there is no registry here, or one of another format.
        CorruptRecord: it is not what was written.
    """
    if not path.exists():
        raise RegistryError(f'There are no weights in "{path.parent}"; it is not a campaign\'s folder.')
    values = unsealed(path)
    if values["format"] not in READABLE:
        raise RegistryError(
            f"The weights have the format {values['format']}, this version reads {', '.join(READABLE)}."
        )
    return WeightsVersion(
        0,
        None,
        values["model_hash"],
        values["licence"],
        code_version=values["code_version"],
        created=values["created"],
    )
