"""Export on the engine's side: one format, one folder, nothing overwritten."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clopa_annotator import exporters
from clopa_annotator.errors import ConfigError
from clopa_annotator.exporters import ExportReport, ExportTargets, OnCase
from clopa_annotator.models.packing import write_model_folder
from clopa_annotator.types.exports import CASE_FORMATS, EXPORT_FORMATS

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign

WEIGHTS, MODEL = "weights", "model"


def export(
    campaign: Campaign,
    format: str,
    target: Path,
    cases: Sequence[str] | None = None,
    on_case: OnCase | None = None,
    stop: Callable[[], bool] | None = None,
    targets: ExportTargets | None = None,
) -> ExportReport:
    """Write confirmed cases, the weights in use as a model, or every version's delta, into a new folder.

    Args:
        campaign: whose.
        format: one of `EXPORT_FORMATS`.
        target: made; must not exist yet, or be empty.
        cases: which cases; None for all that are confirmed.
        on_case: told (done, total) after each case.
        stop: asked before each case whether to stop.
        targets: which targets of the cases, all if left out; or the one whose model is written, the first if
            left out.

    Returns:
        Which cases were written, and why others were not.

    Raises:
        ConfigError: an unknown format or target, several targets for a model, or the folder holds something.
        CacheError: the folder cannot be written, or the disk is full.
        ExportStopped: it was stopped; nothing is left of it.
    """
    if format in CASE_FORMATS:
        return exporters.export(campaign.store, format, target, cases, on_case, stop, targets)
    if format == WEIGHTS:
        _weights(campaign, target)
    elif format == MODEL:
        of = _only_target(campaign, targets)
        export_model(campaign, target, campaign.line(of).registry.current().number, of)
    else:
        raise ConfigError(f"There is no export format {format!r}; there are {', '.join(EXPORT_FORMATS)}.")
    return ExportReport(format, ())


def _only_target(campaign: Campaign, targets: ExportTargets | None) -> str:
    """Key of the target whose weights a model folder gets. Raises `ConfigError` if several are named."""
    names = targets.names if targets is not None else ()
    if len(names) > 1:
        raise ConfigError(
            f"A model folder holds the weights of one target, and {', '.join(names)} were named. Name one."
        )
    return campaign.targets.by_name(names[0]).key if names else ""


def export_model(campaign: Campaign, target: Path, number: int, of: str = "") -> Path:
    """Write a weights version as a model folder; see `write_model_folder`. The live network is left alone.

    Args:
        campaign: whose.
        target: the folder.
        number: of the version.
        of: key of the campaign's target that it segments; "" for the first.

    Raises:
        UnknownVersion: there is none of this number.
    """
    line = campaign.line(of)
    version, delta = line.registry.version(number), line.registry.delta_tensors(number)
    confirmed = line.cases_in()
    return write_model_folder(campaign.model, delta, version, target, campaign.config.name, confirmed)


def _weights(campaign: Campaign, target: Path) -> None:
    """Every version's delta; licence and lineage are in the files."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"The folder {target} holds something already; name a new one.")
    target.mkdir(parents=True, exist_ok=True)
    for line in {line.key: line for line in campaign.lines.values()}.values():
        of_target = f"{line.key}-" if line.key else ""
        for version in line.registry.versions():
            source = line.registry.delta_path(version.number)
            if source is not None:
                name = f"{of_target}version-{version.number:04d}{source.suffix}"
                shutil.copyfile(source, target / name)
