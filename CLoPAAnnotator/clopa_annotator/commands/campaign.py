"""``clopa demo``, ``campaign create``, ``simulate``, ``evaluate``, ``compare``: run and measure campaigns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.options import (
    CampaignStrategy,
    Clicks,
    Cluster,
    Dataset,
    Device,
    Json,
    Label,
    Limit,
    Model,
    Out,
    Overwrite,
    Permutations,
    Runs,
    Schedule,
    Seed,
    Strategy,
    StreamClicks,
    TargetLabels,
    Test,
    TestLimit,
    Tolerance,
    Workers,
)
from clopa_annotator.commands.output import Steps, console, print_json, print_table, remark
from clopa_annotator.config import CAMPAIGN_SCHEDULE, DEFAULT_STRATEGY

if TYPE_CHECKING:
    from clopa_annotator.experiments.permutations import StreamPlan
    from clopa_annotator.experiments.run_folder import RunFolder
    from clopa_annotator.experiments.simulation_settings import SimulationSettings
    from clopa_annotator.experiments.target_labels import TargetLabel

SHOWN: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "Episodes",
        "episodes",
        {
            "version": "version",
            "at_case": "at case",
            "train": "train",
            "val": "held out",
            "seconds": "seconds",
            "val_before": "before",
            "val_after": "after",
            "promoted": "promoted",
        },
    ),
    (
        "Unseen cases, per weights version",
        "test",
        {
            "version": "version",
            "n": "cases",
            "dice_init": "first Dice",
            "dice_final": "last Dice",
            "dice_nauc": "Dice area",
            "nsd_init": "NSD first",
            "nsd_final": "NSD last",
            "noi": "NoI",
        },
    ),
)
"""What the tables show of ``summary.json``: title, key, columns with headings; fits 80 characters."""


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="Campaign folders.")
    group.command("create")(create)
    app.add_typer(group, name="campaign")
    for command in (demo, simulate, evaluate, compare):
        app.command()(command)


def create(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The campaign's folder; made if need be.")],
    name: Annotated[str, typer.Option("--name", help="The campaign's name.")],
    size: Annotated[int, typer.Option("--size", help="How many cases are expected.")],
    model: Model = "bundled",
    strategy: CampaignStrategy = None,
    schedule: Schedule = CAMPAIGN_SCHEDULE,
    seed: Seed = 0,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="NAME", help="What is segmented; repeat it for each structure."),
    ] = None,
) -> None:
    """Make an empty campaign folder."""
    from clopa_annotator.campaign.composition import ONE_TARGET, Campaign
    from clopa_annotator.config import CampaignConfig, default_strategy
    from clopa_annotator.types import Targets

    targets = Targets.named(target) if target else ONE_TARGET
    strategy = strategy or default_strategy(model)
    config = CampaignConfig(name, size, model=model, strategy=strategy, schedule=schedule, seed=seed)
    with Campaign.create(folder, config, targets):
        console.print(f"Campaign {name!r} for {size} cases is ready in {folder}.", markup=False)
        if target:
            console.print(f"Targets: {targets.in_words}.", markup=False)


def demo(
    out: Out = Path("clopa-demo"),
    strategy: Strategy = DEFAULT_STRATEGY,
    cases: Annotated[int, typer.Option("--cases", help="Length of the campaign.")] = 6,
    test_cases: Annotated[int, typer.Option("--test-cases", help="Unseen cases for the comparison.")] = 6,
    clicks: Clicks = 6,
    model: Model = "bundled",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Run a campaign with two targets on generated volumes, minutes on two cores; replaces a demo only."""
    from clopa_annotator.datasets.structures import (
        StructureSpec,
        structure_files,
        structure_names,
        write_structure_dataset,
    )
    from clopa_annotator.experiments.permutations import StreamPlan
    from clopa_annotator.experiments.run_folder import RunFolder
    from clopa_annotator.experiments.simulation_settings import SimulationSettings
    from clopa_annotator.experiments.target_labels import TargetLabel

    folder = RunFolder(out, "demo")
    folder.refuse_unless_mine()
    folder.begin(True, "dataset")
    total = cases + test_cases
    remark(f"Generating {total} volumes with two targets that the base model does not know ...")
    with folder.making(*(f"dataset/{name}" for name in structure_files(total))):
        spec = StructureSpec(kinds=2)
        dataset = write_structure_dataset(out / "dataset", total, spec, seed)
    targets = tuple(TargetLabel(name, value) for value, name in structure_names(2).items())
    plan = StreamPlan(str(dataset.folder), limit=cases, test_limit=test_cases, seed=seed, targets=targets)
    settings = SimulationSettings(model, strategy, "quick", clicks, seed=seed)
    _simulate(plan, settings, folder, json)


def simulate(
    dataset: Dataset,
    out: Out,
    test: Test = None,
    model: Model = "bundled",
    strategy: Strategy = DEFAULT_STRATEGY,
    schedule: Schedule = "quick",
    clicks: Clicks = 10,
    stream_clicks: StreamClicks = None,
    runs: Runs = 1,
    permutations: Permutations = 1,
    workers: Workers = 1,
    cluster: Cluster = False,
    limit: Limit = None,
    test_limit: TestLimit = None,
    label: Label = None,
    target: TargetLabels = None,
    tolerance_mm: Tolerance = 1.0,
    device: Device = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Run a campaign with a simulated annotator, test every weights version, write tables and a report."""
    from clopa_annotator.experiments.permutations import StreamPlan
    from clopa_annotator.experiments.run_folder import RunFolder
    from clopa_annotator.experiments.simulation_settings import SimulationSettings

    volumes = str(out / "volumes")
    plan = StreamPlan(
        str(dataset), str(test) if test else None, label, limit, test_limit, volumes, seed,
        targets=_targets(target, label),
    )  # fmt: skip
    settings = SimulationSettings(
        model, strategy, schedule, clicks, stream_clicks, seed, runs,
        tolerance_mm=tolerance_mm, device=device, overwrite=overwrite,
    )  # fmt: skip
    for sentence in plan.remarks():
        remark(sentence)
    if permutations > 1 or cluster or workers > 1:
        _permute(plan, settings, out, permutations, workers, cluster, json)
    else:
        folder = RunFolder(out, "simulate")
        folder.begin(overwrite)
        _simulate(plan, settings, folder, json)


def _targets(target: list[str] | None, label: int | None) -> tuple[TargetLabel, ...]:
    """What ``--target`` says; raises `ConfigError` beside ``--label``."""
    from clopa_annotator.errors import ConfigError
    from clopa_annotator.experiments.target_labels import parse_targets

    if target and label is not None:
        raise ConfigError("--label chooses one target without a name; leave it out beside --target.")
    return parse_targets(target or ())


def _simulate(plan: StreamPlan, settings: SimulationSettings, folder: RunFolder, json: bool) -> None:
    """One campaign in a folder that is free for it."""
    from clopa_annotator.experiments.simulation import run_simulation

    stream, held_out = plan.draw()
    with Steps(quiet=json) as steps:
        summary = run_simulation(stream, held_out, settings, folder, steps, targets=plan.targets)
    _show(summary, folder.out, json)


def _permute(
    plan: StreamPlan,
    settings: SimulationSettings,
    out: Path,
    permutations: int,
    workers: int,
    cluster: bool,
    json: bool,
) -> None:
    """A campaign per order of the stream, each in a folder of its own, and the mean over them."""
    from clopa_annotator.experiments.permutations import Unit, run_units

    recall = str(out / "recall")
    units = [
        Unit(plan, settings, number, str(out / f"permutation-{number}"), recall)
        for number in range(permutations)
    ]
    plan.draw()  # generated volumes are written once, before the processes start
    with Steps(quiet=json) as steps:
        steps.begin("Campaigns", sum(not unit.finished for unit in units))
        folders = run_units(
            units, workers=workers, cluster=cluster, on_done=lambda unit, _: steps.advance(unit.out)
        )
    compare(folders, out, json=json)


def evaluate(
    dataset: Dataset,
    out: Out,
    model: Model = "bundled",
    campaign: Annotated[
        str | None, typer.Option("--campaign", help="DIR or DIR@VERSION: weights of a campaign.")
    ] = None,
    clicks: Clicks = 100,
    runs: Runs = 3,
    workers: Workers = 1,
    cluster: Cluster = False,
    limit: Limit = None,
    label: Label = None,
    target: TargetLabels = None,
    tolerance_mm: Tolerance = 1.0,
    device: Device = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Measure one weights version with the paper's protocol."""
    from clopa_annotator.datasets import open_dataset
    from clopa_annotator.experiments.evaluation_run import EvaluationSettings, run_evaluation

    opened = open_dataset(dataset, label, out / "volumes")
    for sentence in opened.remarks:
        remark(sentence)
    cases = list(opened)[:limit]
    settings = EvaluationSettings(
        model=model,
        campaign=campaign,
        clicks=clicks,
        runs=runs,
        seed=seed,
        tolerance_mm=tolerance_mm,
        device=device,
        overwrite=overwrite,
        targets=_targets(target, label),
    )
    with Steps(quiet=json) as steps:
        summary = run_evaluation(cases, settings, out, steps, workers=workers, cluster=cluster)
    _show(summary, out, json)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Results of simulate or evaluate.")],
    out: Out,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="NAME", help="Only this target of runs with several."),
    ] = None,
    json: Json = False,
) -> None:
    """Rank runs by significance; write tables and the trajectory figure."""
    from clopa_annotator.evaluation.compare import compare_runs, result_files
    from clopa_annotator.experiments.run_folder import RunFolder

    with RunFolder(out, "compare").making(*result_files(runs)):
        comparison = compare_runs(runs, out, target)
    if json:
        print_json(comparison.to_dict())
        return
    console.print(comparison.markdown, markup=False)
    console.print(f"Tables and figures: {out}", markup=False)


def _show(summary: dict[str, object], out: Path, json: bool) -> None:
    if json:
        print_json(summary)
        return
    targets = summary.get("targets")
    parts = targets if isinstance(targets, dict) else {"": summary}
    for target, part in parts.items():
        for title, key, columns in SHOWN:
            rows = part.get(key)
            if isinstance(rows, list) and rows:
                cells = ([row[name] for name in columns] for row in rows)
                print_table(f"{target}: {title}" if target else title, list(columns.values()), cells)
    console.print(f"Report: {out / 'report.html'}", markup=False)
