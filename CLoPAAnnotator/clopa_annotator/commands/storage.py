"""``clopa cache``, ``clopa weights`` and ``clopa export``: looking at a campaign folder and mending it."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.options import TargetName
from clopa_annotator.commands.output import Steps, console, print_json, print_table
from clopa_annotator.types import CaseState
from clopa_annotator.types.exports import CASE_FORMATS

if TYPE_CHECKING:
    from clopa_annotator.cache.campaign_store import CaseSummary, SlotSummary
    from clopa_annotator.exporters import ExportReport, ExportTargets
    from clopa_annotator.registry.weights_registry import WeightsRegistry
    from clopa_annotator.types import Targets

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
        cases, targets = store.cases(), store.targets
    if json:
        print_json([{**asdict(case), "decided": case.decided} for case in cases])
        return
    columns = ("", "case", "state", "done", "versions", "draft", "note")
    print_table(f"{len(cases)} cases", columns, [_case_row(case) for case in cases])
    if len(targets) > 1 or targets[0].instances:
        rows = [_slot_row(case.case_id, targets, slot) for case in cases for slot in case.slots]
        print_table("Targets", ("case", "target", "state", "versions", "draft", "note"), rows)


def _case_row(case: CaseSummary) -> tuple[object, ...]:
    done = f"{case.decided}/{len(case.slots)}"
    draft = "yes" if case.has_draft else ""
    return (case.number, case.case_id, case.state.value, done, case.versions, draft, case.note)


def _slot_row(case_id: str, targets: Targets, slot: SlotSummary) -> tuple[object, ...]:
    state = "not present" if slot.is_absent and slot.state is CaseState.CONFIRMED else slot.state.value
    draft = "suggestion" if slot.is_suggestion else ("yes" if slot.has_draft else "")
    return (case_id, targets.name_of(slot.slot), state, slot.versions, draft, slot.note)


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


def _registry(folder: Path, target: str | None) -> WeightsRegistry:
    """The versions of a target, by its name; raises `ConfigError` if the campaign has none of it."""
    from clopa_annotator.campaign.composition import registry_of

    return registry_of(folder, target)


def list_versions(folder: Folder, target: TargetName = None, json: Json = False) -> None:
    """List the weights versions with the gate's numbers."""
    registry = _registry(folder, target)
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
            v.standing,
        )
        for v in versions
    ]
    columns = ("version", "", "parent", "tuned", "episode", "before", "after", "worst change", "standing")
    print_table(f"Weights versions ({versions[0].licence})", columns, rows)


def show(folder: Folder, version: Number, target: TargetName = None, json: Json = False) -> None:
    """Show one weights version with its lineage and the gate's decision."""
    found = asdict(_registry(folder, target).version(version))
    if json:
        print_json(found)
        return
    for name, value in found.items():
        console.print(f"{name:16} {value}", markup=False)


def rollback(folder: Folder, version: Number, target: TargetName = None) -> None:
    """Make an earlier version the one in use; nothing is deleted."""
    from clopa_annotator.cache.campaign_store import CampaignStore

    # Holding the writer's lock keeps a running engine from having its weights changed under it.
    with CampaignStore.open(folder, writer=True):
        restored = _registry(folder, target).rollback(version, by=getpass.getuser())
    of_target = f" of {target}" if target else ""
    console.print(f"Version {restored.number}{of_target} is in use.", markup=False)


def save(
    folder: Folder,
    out: Annotated[
        Path, typer.Option("--out", help="Model folder to make; a name in .safetensors takes only the delta.")
    ],
    version: Annotated[
        int | None, typer.Option("--version", help="Number of the weights version; default: the one in use.")
    ] = None,
    target: TargetName = None,
) -> None:
    """Write a version as a model folder that nnInteractive loads, with a model card; or only its delta."""
    registry = _registry(folder, target)
    number = registry.current().number if version is None else version
    if out.suffix == ".safetensors":
        _save_delta(registry, number, out)
        return
    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.campaign.exporting import export_model

    with Campaign.open(folder, device="cpu", writer=False) as campaign:
        export_model(campaign, out, number, campaign.targets.by_name(target).key if target else "")
    what = ", the untouched base," if number == 0 else ""
    console.print(f"Version {number}{what} is in {out}.", markup=False)


def _save_delta(registry: WeightsRegistry, number: int, out: Path) -> None:
    from clopa_annotator.cache.format.disk import explained
    from clopa_annotator.errors import ConfigError

    path = registry.delta_path(number)
    if path is None:
        console.print("Version 0 is the untouched base model; it has no delta.")
        return
    if out.exists():
        raise ConfigError(f"{out} is there already and stays as it is. Name a file that is not there yet.")
    with explained(f"write {out}"):
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("xb") as file:
            file.write(path.read_bytes())
    console.print(f"Version {number} is in {out}.", markup=False)


def export(
    folder: Folder,
    format: Annotated[str, typer.Option("--format", help=f"One of {', '.join(CASE_FORMATS)}.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    cases: Annotated[
        str, typer.Option("--cases", help='"all" that are confirmed, or "accepted": none that was reopened.')
    ] = "all",
    case: Annotated[
        list[str] | None, typer.Option("--case", help="Only this case; may be given several times.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="Only this target; may be given several times.")
    ] = None,
    priority: Annotated[
        str,
        typer.Option(
            "--priority", help="Targets, with commas: in label volumes the first has what masks share."
        ),
    ] = "",
    instances: Annotated[
        bool, typer.Option("--instances", help="In nifti, a value of its own for each of several of a kind.")
    ] = False,
    json: Json = False,
) -> None:
    """Write the confirmed cases in another program's format."""
    from clopa_annotator.errors import ConfigError
    from clopa_annotator.exporters import ExportTargets

    named = tuple(name.strip() for name in priority.split(",") if name.strip())
    asked = ExportTargets(tuple(target or ()), named, instances)
    if cases not in ("all", "accepted"):
        raise ConfigError(f"--cases is all or accepted, not {cases!r}.")
    report = _exported(folder, format, out, case, cases == "accepted", asked, json)
    if json:
        print_json(asdict(report))
        return
    console.print(f"{len(report.written)} cases are in {out}.", markup=False)
    for case_id, reason in report.left_out:
        console.print(f"left out: {case_id}: {reason}", markup=False)


def _exported(
    folder: Path,
    format: str,
    out: Path,
    cases: list[str] | None,
    accepted: bool,
    asked: ExportTargets,
    quiet: bool,
) -> ExportReport:
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.exporters import chosen_cases
    from clopa_annotator.exporters import export as run_export

    with CampaignStore.open(folder) as store, Steps(quiet=quiet) as steps:
        chosen = cases or chosen_cases(store, "accepted" if accepted else "all", asked)
        steps.begin("Cases", len(store.cases()) if chosen is None else len(chosen))
        return run_export(store, format, out, chosen, lambda *_: steps.advance(), targets=asked)
