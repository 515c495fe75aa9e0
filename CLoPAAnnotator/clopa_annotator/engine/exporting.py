"""Export on the engine's side: one format, one folder, nothing overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from clopa_annotator.errors import ConfigError, InputError

if TYPE_CHECKING:
    from clopa_annotator.pipeline import Campaign


def export(campaign: Campaign, format: str, target: Path) -> Path:
    """Write confirmed cases (or the weights) into a new folder.

    Args:
        campaign: whose.
        format: "segnrrd", "nifti", "nnunet", "msd", "dicomseg" or "weights".
        target: made; must not exist yet, or be empty.

    Returns:
        The folder.

    Raises:
        InputError: the folder holds something.
        ConfigError: an unknown format.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"The folder {target} holds something already; name a new one.")
    writers = {"weights": _weights, "segnrrd": _seg_nrrd}
    if format not in writers:
        raise ConfigError(f"The engine exports {', '.join(writers)}; for {format!r} use: clopa export")
    target.mkdir(parents=True, exist_ok=True)
    writers[format](campaign, target)
    return target


def _weights(campaign: Campaign, target: Path) -> None:
    for version in campaign.registry.versions():
        source = campaign.registry.delta_path(version.number)
        if source is not None:
            shutil.copyfile(source, target / f"version-{version.number:04d}{source.suffix}")


def _seg_nrrd(campaign: Campaign, target: Path) -> None:
    for ref in campaign.store.confirmed():
        # The cache's own folder name of a case is safe on every file system; the case's name may not be.
        shutil.copyfile(campaign.store.mask_path(ref), target / f"{Path(ref.folder).parent.name}.seg.nrrd")
