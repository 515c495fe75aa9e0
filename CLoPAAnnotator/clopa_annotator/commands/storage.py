"""``clopa cache``, ``clopa weights`` and ``clopa export``: looking at a campaign folder and mending it."""

from __future__ import annotations

import getpass
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.output import console, print_json, print_table

if TYPE_CHECKING:
    from clopa_annotator.registry.weights_registry import WeightsRegistry

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Campaign folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Number = Annotated[int, typer.Option("--version", help="Number of the weights version.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    cache = typer.Typer(no_args_is_help=True, help="The annotation cache of a campaign.")
    cache.command("list")(list_cases)
    cache.command()(verify)
    cache.command()(rebuild)
    app.add_typer(cache, name="cache")
    weights = typer.Typer(no_args_is_help=True, help="The weights versions of a campaign.")
    weights.command("list")(list_versions)
    weights.command()(show)
    weights.command()(rollback)
    weights.command("export")(save)
    app.add_typer(weights, name="weights")
    app.command("export")(export)


def list_cases(folder: Folder, json: Json = False) -> None:
    """List the cases and where they stand."""
    from clopa_annotator.cache.campaign_store import CampaignStore

    with CampaignStore.open(folder) as store:
        cases = store.cases()
    if json:
        print_json([asdict(case) for case in cases])
        return
    rows = [
        (c.number, c.case_id, c.state.value, c.versions, "yes" if c.has_draft else "", c.note) for c in cases
    ]
    print_table(f"{len(cases)} cases", ("", "case", "state", "versions", "draft", "note"), rows)


def verify(
    folder: Folder,
    repair: Annotated[
        bool, typer.Option("--repair/--look", help="Move what is damaged to quarantine/, or only look.")
    ] = True,
    json: Json = False,
) -> None:
    """Compare every file with its hashes; what is damaged is named and moved aside."""
    from clopa_annotator.cache.campaign_store import CampaignStore

    with CampaignStore.open(folder, writer=repair) as store:
        report = store.verify()
    if json:
        print_json(asdict(report))
    else:
        for finding in report.findings:
            where = f" (now {finding.moved_to})" if finding.moved_to else ""
            console.print(f"{finding.path}: {finding.problem}{where}", markup=False)
        console.print(
            f"Intact: {report.images} images, {report.versions} confirmed versions of {report.cases} cases. "
            f"Findings: {len(report.findings)}."
        )
    if not report.ok:
        raise typer.Exit(1)


def rebuild(folder: Folder, json: Json = False) -> None:
    """Make the index again from the files."""
    from clopa_annotator.cache.campaign_store import rebuild_index

    report = rebuild_index(folder)
    if json:
        print_json(asdict(report))
        return
    console.print(f"The index holds {report.cases} cases with {report.versions} confirmed versions.")
    for reason in report.skipped:
        console.print(f"left out: {reason}", markup=False)


def _registry(folder: Path) -> WeightsRegistry:
    from clopa_annotator.campaign.composition import WEIGHTS
    from clopa_annotator.registry.weights_registry import WeightsRegistry

    return WeightsRegistry(folder / WEIGHTS)


def list_versions(folder: Folder, json: Json = False) -> None:
    """List the weights versions with the gate's numbers."""
    registry = _registry(folder)
    current = registry.current().number
    versions = registry.versions()
    if json:
        print_json({"current": current, "versions": [asdict(v) for v in versions]})
        return
    rows = [
        (
            v.number,
            "in use" if v.number == current else "",
            v.parent,
            v.parameter_group or "base",
            v.episode,
            v.decision.mean_before if v.decision else None,
            v.decision.mean_after if v.decision else None,
            v.decision.worst_change if v.decision else None,
            {None: "", True: "promoted", False: "rejected"}[v.decision.promoted if v.decision else None],
        )
        for v in versions
    ]
    columns = ("version", "", "parent", "tuned", "episode", "before", "after", "worst change", "decision")
    print_table(f"Weights versions ({versions[0].licence})", columns, rows)


def show(folder: Folder, version: Number, json: Json = False) -> None:
    """Show one weights version with its lineage and the gate's decision."""
    found = asdict(_registry(folder).version(version))
    if json:
        print_json(found)
        return
    for name, value in found.items():
        console.print(f"{name:16} {value}", markup=False)


def rollback(folder: Folder, version: Number) -> None:
    """Make an earlier version the one in use; nothing is deleted."""
    from clopa_annotator.cache.campaign_store import CampaignStore

    # Holding the writer's lock keeps a running engine from having its weights changed under it.
    with CampaignStore.open(folder, writer=True):
        restored = _registry(folder).rollback(version, by=getpass.getuser())
    console.print(f"Version {restored.number} is in use.")


def save(
    folder: Folder,
    version: Number,
    out: Annotated[Path, typer.Option("--out", help="File to write (safetensors).")],
) -> None:
    """Write one version's delta to a file; its licence and lineage are in the file."""
    path = _registry(folder).delta_path(version)
    if path is None:
        console.print("Version 0 is the untouched base model; it has no delta.")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, out)
    console.print(f"Version {version} is in {out}.", markup=False)


def export(
    folder: Folder,
    format: Annotated[str, typer.Option("--format", help="segnrrd, nifti, nnunet, msd or dicomseg.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    json: Json = False,
) -> None:
    """Write the confirmed cases in another program's format."""
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.exporters import export as run_export

    with CampaignStore.open(folder) as store:
        report = run_export(store, format, out)
    if json:
        print_json(asdict(report))
        return
    console.print(f"{len(report.written)} cases are in {out}.", markup=False)
    for case_id, reason in report.left_out:
        console.print(f"left out: {case_id}: {reason}", markup=False)
