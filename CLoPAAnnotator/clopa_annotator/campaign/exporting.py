"""Export on the engine's side: one format, one folder, nothing overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from clopa_annotator import exporters
from clopa_annotator.errors import ConfigError

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign

WEIGHTS = "weights"


def export(campaign: Campaign, format: str, target: Path) -> Path:
    """Write confirmed cases (or the weights) into a new folder.

    Args:
        campaign: whose.
        format: one of `exporters.FORMATS`, or "weights".
        target: made; must not exist yet, or be empty.

    Returns:
        The folder.

    Raises:
        ConfigError: an unknown format, or the folder holds something.
        CacheError: the folder cannot be written, or the disk is full.
    """
    if format == WEIGHTS:
        _weights(campaign, target)
    else:
        exporters.export(campaign.store, format, target)
    return target


def _weights(campaign: Campaign, target: Path) -> None:
    """Every version's delta; licence and lineage are in the files."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"The folder {target} holds something already; name a new one.")
    target.mkdir(parents=True, exist_ok=True)
    for version in campaign.registry.versions():
        source = campaign.registry.delta_path(version.number)
        if source is not None:
            shutil.copyfile(source, target / f"version-{version.number:04d}{source.suffix}")
