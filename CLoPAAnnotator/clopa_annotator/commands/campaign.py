"""``clopa demo``, ``campaign create`` and ``simulate``: make and run campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.measuring import compare, show, target_labels
from clopa_annotator.commands.options import (
    CampaignStrategy,
    Clicks,
    Cluster,
    Dataset,
    Device,
    ExpertDice,
    FirstEpisode,
    Json,
    Label,
    Limit,
    Model,
    NewOrder,
    NewWithoutSuggestion,
    Order,
    Orders,
    OthersAsBackground,
    Out,
    Overwrite,
    Permutations,
    Runs,
    Schedule,
    Seed,
    Several,
    Strategy,
    StreamClicks,
    Suggestions,
    TargetLabels,
    Test,
    TestLimit,
    Tolerance,
    Unprompted,
    WithoutSuggestion,
    Workers,
)
from clopa_annotator.commands.output import Steps, console, remark
from clopa_annotator.config import CAMPAIGN_SCHEDULE, DEFAULT_STRATEGY

if TYPE_CHECKING:
    from clopa_annotator.experiments.permutations import StreamPlan
    from clopa_annotator.experiments.run_folder import RunFolder
    from clopa_annotator.experiments.simulation_settings import SimulationSettings


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="Campaign folders.")
    group.command("create")(create)
    group.command("settings")(settings)
    app.add_typer(group, name="campaign")
    for command in (demo, simulate):
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
    several: Several = None,
    order: Order = "added",
    without_suggestion: WithoutSuggestion = 0.0,
    others_as_background: OthersAsBackground = False,
    first_episode: FirstEpisode = None,
) -> None:
    """Make an empty campaign folder."""
    from clopa_annotator.campaign.composition import ONE_TARGET, Campaign
    from clopa_annotator.config import CampaignConfig, default_strategy
    from clopa_annotator.types import Targets

    targets = Targets.named(target) if target else ONE_TARGET
    kinds = {targets.by_name(name).key for name in several or ()}
    targets = Targets(replace(t, instances=t.key in kinds) for t in targets)
    strategy = strategy or default_strategy(model)
    config = CampaignConfig(
        name, size, model=model, strategy=strategy, schedule=schedule, seed=seed, first_episode=first_episode,
        others_as_background=others_as_background,
        order=order, without_suggestion=without_suggestion,  # type: ignore[arg-type]  # its check names them
    )  # fmt: skip
    with Campaign.create(folder, config, targets):
        console.print(f"Campaign {name!r} for {size} cases is ready in {folder}.", markup=False)
        if target:
            console.print(f"Targets: {targets.in_words}.", markup=False)


def settings(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The campaign's folder.")],
    order: NewOrder = None,
    without_suggestion: NewWithoutSuggestion = None,
) -> None:
    """Show or change how cases come; while an engine runs on the campaign, change it in the panel."""
    import getpass

    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.campaign.idle.case_queue import change_settings
    from clopa_annotator.campaign.journal import Journal
    from clopa_annotator.case_order import IN_WORDS, CaseSettings

    changes = {"order": order, "without_suggestion": without_suggestion}
    asked = {name: value for name, value in changes.items() if value is not None}
    with Campaign.open(folder, writer=bool(asked)) as campaign:
        if asked:
            journal = Journal(folder / "logs" / "events.jsonl")
            try:
                wanted = replace(CaseSettings.of(campaign.config), **asked)  # type: ignore[arg-type]
                change_settings(campaign, journal.log, wanted, getpass.getuser())
            finally:
                journal.close()
        now = CaseSettings.of(campaign.config)
        share = f"{100 * now.without_suggestion:g} % of the cases"
        console.print(f"Cases come {IN_WORDS[now.order]}; {share} without a suggestion.", markup=False)


def demo(
    out: Out = Path("clopa-demo"),
    strategy: Strategy = DEFAULT_STRATEGY,
    cases: Annotated[int, typer.Option("--cases", help="Length of the campaign.")] = 6,
    test_cases: Annotated[int, typer.Option("--test-cases", help="Unseen cases for the comparison.")] = 4,
    clicks: Clicks = 4,
    schedule: Schedule = "brief",
    model: Model = "bundled",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Run a campaign with two targets on generated volumes, minutes on two cores; replaces a demo only."""
    from clopa_annotator.datasets.three_structures import (
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
    settings = SimulationSettings(model, strategy, schedule, clicks, seed=seed)
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
    several: Several = None,
    tolerance_mm: Tolerance = 1.0,
    expert_dice: ExpertDice = 0.9,
    device: Device = "auto",
    seed: Seed = 0,
    suggestions: Suggestions = True,
    order: Orders = None,
    unprompted: Unprompted = None,
    others_as_background: OthersAsBackground = False,
    first_episode: FirstEpisode = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Run a campaign with a simulated annotator, test every weights version, write tables and a report."""
    from clopa_annotator.experiments.permutations import StreamPlan
    from clopa_annotator.experiments.simulation_settings import SimulationSettings

    drawn = (str(test) if test else None, label, limit, test_limit, str(out / "volumes"), seed)
    plan = StreamPlan(str(dataset), *drawn, targets=target_labels(target, label, several))
    settings = SimulationSettings(
        model, strategy, schedule, clicks, stream_clicks, seed, runs, tolerance_mm=tolerance_mm,
        suggestions=suggestions, unprompted=unprompted, others_as_background=others_as_background,
        first_episode=first_episode, threshold=expert_dice, device=device, overwrite=overwrite)  # fmt: skip
    _permute(plan, settings, order or ["added"], out, permutations, workers, cluster, json)


def _alone(plan: StreamPlan, settings: SimulationSettings, out: Path, json: bool) -> None:
    """One campaign, in one folder."""
    from clopa_annotator.experiments.run_folder import RunFolder

    for sentence in plan.remarks():
        remark(sentence)
    folder = RunFolder(out, "simulate")
    folder.begin(settings.overwrite)
    _simulate(plan, settings, folder, json)


def _simulate(plan: StreamPlan, settings: SimulationSettings, folder: RunFolder, json: bool) -> None:
    """One campaign in a folder that is free for it."""
    from clopa_annotator.experiments.simulation import run_simulation

    stream, held_out = plan.draw()
    with Steps(quiet=json) as steps:
        summary = run_simulation(stream, held_out, settings, folder, steps, targets=plan.targets)
    show(summary, folder.out, json)


def _permute(
    plan: StreamPlan,
    settings: SimulationSettings,
    names: Sequence[str],
    out: Path,
    permutations: int,
    workers: int,
    cluster: bool,
    json: bool,
) -> None:
    """One campaign; or one for each order of cases and permutation of the stream, in folders, compared."""
    asked = dict.fromkeys(names)
    orders = [replace(settings, order=name) for name in asked]  # type: ignore[arg-type]  # it checks itself
    if permutations == workers == len(orders) == 1 and not cluster:
        _alone(plan, orders[0], out, json)
        return
    from clopa_annotator.evaluation.campaigns import orders as ordering
    from clopa_annotator.experiments.permutations import Unit, run_units
    from clopa_annotator.experiments.run_folder import RunFolder

    for sentence in plan.remarks():
        remark(sentence)
    recall = str(out / "recall")
    units = [
        Unit(plan, settings, number, str(out / _place(settings, number, len(orders))), recall)
        for settings in orders
        for number in range(permutations)
    ]
    plan.draw()  # generated volumes are written once, before the processes start
    with Steps(quiet=json) as steps:
        steps.begin("Campaigns", sum(not unit.finished for unit in units))
        folders = run_units(
            units, workers=workers, cluster=cluster, on_done=lambda unit, _: steps.advance(unit.out)
        )
    with RunFolder(out, "compare").making(*ordering.result_files(folders)):
        ordering.compare_orders(folders, out)
    compare(folders, out, json=json)


def _place(settings: SimulationSettings, permutation: int, orders: int) -> str:
    """Name of a campaign's folder; the order of cases is in it where there are several."""
    return f"{settings.order}-" * (orders > 1) + f"permutation-{permutation}"
