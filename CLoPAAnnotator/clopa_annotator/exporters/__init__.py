"""Confirmed cases in other programs' formats.

Every exporter writes copies into an empty folder and a ``cases.json`` that says which file is which case, and
leaves the campaign as it is. A case that a format cannot hold is left out with a sentence.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from clopa_annotator.cache.campaign_store import CampaignReader
from clopa_annotator.errors import ConfigError, InputError, UnknownCase
from clopa_annotator.exporters.chosen_targets import ExportTargets
from clopa_annotator.exporters.dicomseg import export_dicomseg
from clopa_annotator.exporters.export_report import Exporting, ExportReport, ExportStopped, OnCase
from clopa_annotator.exporters.folders import export_msd, export_nifti, export_nnunet, export_segnrrd
from clopa_annotator.types import CaseState, sum_of_states
from clopa_annotator.types.exports import CASE_FORMATS, ExportChoice

__all__ = ["FORMATS", "ExportReport", "ExportStopped", "ExportTargets", "OnCase", "chosen_cases", "export"]

_EXPORTERS = {
    "segnrrd": export_segnrrd,
    "nifti": export_nifti,
    "nnunet": export_nnunet,
    "msd": export_msd,
    "dicomseg": export_dicomseg,
}
FORMATS = CASE_FORMATS


def chosen_cases(
    store: CampaignReader, choice: ExportChoice, targets: ExportTargets | None = None
) -> tuple[str, ...] | None:
    """Case ids for `export`: None for all that have a confirmed version.

    Args:
        store: the campaign.
        choice: "all", or "accepted": without those that were reopened or need another look.
        targets: which targets count; all if left out.
    """
    if choice == "all":
        return None
    keys = {target.key for target in (targets or ExportTargets()).of(store.targets)}
    accepted = []
    for case in store.cases():
        states = [slot.state for slot in case.slots if slot.slot.target in keys]
        if sum_of_states(states) is CaseState.CONFIRMED:
            accepted.append(case.case_id)
    return tuple(accepted)


def export(
    store: CampaignReader,
    format: str,
    out: Path,
    cases: Sequence[str] | None = None,
    on_case: OnCase | None = None,
    stop: Callable[[], bool] | None = None,
    targets: ExportTargets | None = None,
) -> ExportReport:
    """Write confirmed cases that are not withdrawn.

    Args:
        store: the campaign, open for reading or writing.
        format: one of `FORMATS`.
        out: an empty folder, or one to be made.
        cases: which cases; None for all. One that has no confirmed version is left out.
        on_case: told (done, total) after each case.
        stop: asked before each case whether to stop.
        targets: which targets, and whose shared voxels are; all of the campaign if left out.

    Returns:
        Which cases were written, and why others were not.

    Raises:
        ConfigError: an unknown format or target, or a folder that is not empty.
        InputError: masks share voxels that a volume of labels cannot; nothing is left of the export.
        UnknownCase: a case that the campaign does not have.
        CacheError: the folder cannot be written, or the disk is full.
        ExportStopped: it was stopped; what had been written is gone again.
    """
    if format not in _EXPORTERS:
        raise ConfigError(f"There is no export format {format!r}; there are {', '.join(FORMATS)}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out} is not an empty folder. Choose another, so that no earlier export is mixed in."
        )
    unknown = sorted(set(cases or ()) - {case.case_id for case in store.cases()})
    if unknown:
        raise UnknownCase(f"The campaign has no case {unknown[0]!r}.")
    exporting = Exporting(store, format, out, cases, on_case, stop, targets)
    with exporting.to_disk():
        existed = out.exists()
        out.mkdir(parents=True, exist_ok=True)
        try:
            _EXPORTERS[format](exporting)
        except (ExportStopped, InputError, ConfigError):
            shutil.rmtree(out, ignore_errors=True)
            if existed:
                out.mkdir()
            raise
        return exporting.finish()
