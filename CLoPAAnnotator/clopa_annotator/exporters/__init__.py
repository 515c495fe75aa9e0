"""Confirmed cases in other programs' formats.

Every exporter writes copies into an empty folder and a ``cases.json`` that says which file is which case, and
leaves the campaign as it is. A case that a format cannot hold is left out with a sentence.
"""

from __future__ import annotations

from pathlib import Path

from clopa_annotator.cache.campaign_store import CampaignReader
from clopa_annotator.errors import ConfigError
from clopa_annotator.exporters.dicomseg import export_dicomseg
from clopa_annotator.exporters.export_report import Exporting, ExportReport
from clopa_annotator.exporters.folders import export_msd, export_nifti, export_nnunet, export_segnrrd

__all__ = ["FORMATS", "ExportReport", "export"]

_EXPORTERS = {
    "segnrrd": export_segnrrd,
    "nifti": export_nifti,
    "nnunet": export_nnunet,
    "msd": export_msd,
    "dicomseg": export_dicomseg,
}
FORMATS = tuple(_EXPORTERS)


def export(store: CampaignReader, format: str, out: Path) -> ExportReport:
    """Write every confirmed case that is not withdrawn.

    Args:
        store: the campaign, open for reading or writing.
        format: one of `FORMATS`.
        out: an empty folder, or one to be made.

    Returns:
        Which cases were written, and why others were not.

    Raises:
        ConfigError: an unknown format, or a folder that is not empty.
        CacheError: the folder cannot be written, or the disk is full.
    """
    if format not in _EXPORTERS:
        raise ConfigError(f"There is no export format {format!r}; there are {', '.join(FORMATS)}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out} is not an empty folder. Choose another, so that no earlier export is mixed in."
        )
    exporting = Exporting(store, format, out)
    with exporting.to_disk():
        out.mkdir(parents=True, exist_ok=True)
        _EXPORTERS[format](exporting)
        return exporting.finish()
