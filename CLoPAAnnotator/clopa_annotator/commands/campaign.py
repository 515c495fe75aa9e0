"""``clopa demo``, ``campaign create``, ``simulate``, ``evaluate``, ``compare``: run and measure campaigns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.output import Steps, console, print_json, print_table, talk
from clopa_annotator.config import DEFAULT_STRATEGY, SCHEDULES, STRATEGIES

if TYPE_CHECKING:
    from clopa_annotator.datasets import LabelledCase

Out = Annotated[Path, typer.Option("--out", help="Folder for the results; made if it is not there.")]
Dataset = Annotated[
    Path, typer.Option("--dataset", help="Folder with dataset.json, imagesTr and labelsTr (MSD layout).")
]
Model = Annotated[str, typer.Option("--model", help='"bundled", "official", or a checkpoint folder.')]
Strategy = Annotated[str, typer.Option("--strategy", help=f"One of {', '.join(STRATEGIES)}.")]
Schedule = Annotated[str, typer.Option("--schedule", help=f"One of {', '.join(SCHEDULES)}.")]
Label = Annotated[
    int | None, typer.Option("--label", help="The target's label; default: every label above 0.")
]
Tolerance = Annotated[float, typer.Option("--tolerance-mm", help="Tolerance of the surface Dice in mm.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of every random choice.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in the same folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of tables.")]


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
    strategy: Strategy = DEFAULT_STRATEGY,
    schedule: Schedule = "quick",
    seed: Seed = 0,
) -> None:
    """Make an empty campaign folder."""
    from clopa_annotator.config import CampaignConfig
    from clopa_annotator.pipeline import Campaign

    config = CampaignConfig(name, size, model=model, strategy=strategy, schedule=schedule, seed=seed)
    with Campaign.create(folder, config):
        console.print(f"Campaign {name!r} for {size} cases is ready in {folder}.", markup=False)


def demo(
    out: Out = Path("clopa-demo"),
    strategy: Strategy = DEFAULT_STRATEGY,
    cases: Annotated[int, typer.Option("--cases", help="Length of the campaign.")] = 12,
    test_cases: Annotated[int, typer.Option("--test-cases", help="Unseen cases for the comparison.")] = 8,
    clicks: Annotated[int, typer.Option("--clicks", help="Corrections per case.")] = 6,
    model: Model = "bundled",
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Run a whole campaign on generated volumes, minutes on two CPU cores; replaces an earlier demo."""
    from clopa_annotator.datasets import PhantomSpec, write_phantom_dataset

    talk.print(f"Generating {cases + test_cases} volumes with a target that the base model does not know ...")
    dataset = write_phantom_dataset(out / "dataset", cases + test_cases, PhantomSpec(), seed)
    simulate(
        dataset.folder,
        out=out,
        model=model,
        strategy=strategy,
        clicks=clicks,
        limit=cases,
        test_limit=test_cases,
        seed=seed,
        overwrite=True,
        json=json,
    )


def simulate(
    dataset: Dataset,
    out: Out,
    test: Annotated[
        Path | None, typer.Option("--test", help="Dataset to test on; default: the rest of --dataset.")
    ] = None,
    model: Model = "bundled",
    strategy: Strategy = DEFAULT_STRATEGY,
    schedule: Schedule = "quick",
    clicks: Annotated[int, typer.Option("--clicks", help="Corrections per case.")] = 10,
    limit: Annotated[int | None, typer.Option("--limit", help="Length of the stream.")] = None,
    test_limit: Annotated[int | None, typer.Option("--test-limit", help="Number of test cases.")] = None,
    label: Label = None,
    tolerance_mm: Tolerance = 1.0,
    device: Device = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Run a campaign with a simulated annotator, test every weights version, write tables and a report."""
    from clopa_annotator.simulation import SimulationSettings, run_simulation

    stream, held_out = _draw(dataset, test, label, limit, test_limit, seed)
    settings = SimulationSettings(
        model=model,
        strategy=strategy,
        schedule=schedule,
        clicks=clicks,
        seed=seed,
        tolerance_mm=tolerance_mm,
        device=device,
        overwrite=overwrite,
    )
    with Steps(quiet=json) as steps:
        summary = run_simulation(stream, held_out, settings, out, steps)
    _show(summary, out, json)


def _draw(
    dataset: Path, test: Path | None, label: int | None, limit: int | None, test_limit: int | None, seed: int
) -> tuple[list[LabelledCase], list[LabelledCase]]:
    """The stream, and test cases outside it: from a dataset of their own or from the rest."""
    from clopa_annotator.datasets.msd import MsdDataset, split_stream

    cases = MsdDataset(dataset, label)
    if test is None:
        return split_stream(cases, limit, test_limit, seed)
    stream, _ = split_stream(cases, limit, 0, seed)
    return stream, split_stream(MsdDataset(test, label), test_limit, 0, seed)[0]


def evaluate(
    dataset: Dataset,
    out: Out,
    model: Model = "bundled",
    campaign: Annotated[
        str | None, typer.Option("--campaign", help="DIR or DIR@VERSION: weights of a campaign.")
    ] = None,
    clicks: Annotated[int, typer.Option("--clicks", help="Corrections per case.")] = 100,
    runs: Annotated[int, typer.Option("--runs", help="Inference runs with different prompts.")] = 3,
    limit: Annotated[int | None, typer.Option("--limit", help="Number of cases.")] = None,
    label: Label = None,
    tolerance_mm: Tolerance = 1.0,
    device: Device = "auto",
    seed: Seed = 0,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Measure one weights version with the paper's protocol."""
    from clopa_annotator.datasets.msd import MsdDataset
    from clopa_annotator.measurement import EvaluationSettings, run_evaluation

    cases = list(MsdDataset(dataset, label))[:limit]
    settings = EvaluationSettings(
        model=model,
        campaign=campaign,
        clicks=clicks,
        runs=runs,
        seed=seed,
        tolerance_mm=tolerance_mm,
        device=device,
        overwrite=overwrite,
    )
    with Steps(quiet=json) as steps:
        summary = run_evaluation(cases, settings, out, steps)
    _show(summary, out, json)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Results of simulate or evaluate.")],
    out: Out,
    json: Json = False,
) -> None:
    """Rank runs by significance; write tables and the trajectory figure."""
    from clopa_annotator.evaluation.compare import compare_runs

    comparison = compare_runs(runs, out)
    if json:
        print_json(comparison.to_dict())
        return
    console.print(comparison.markdown, markup=False)
    console.print(f"Tables and figures: {out}", markup=False)


def _show(summary: dict[str, object], out: Path, json: bool) -> None:
    if json:
        print_json(summary)
        return
    for title, key, columns in SHOWN:
        rows = summary.get(key)
        if isinstance(rows, list) and rows:
            print_table(title, list(columns.values()), ([row[name] for name in columns] for row in rows))
    console.print(f"Report: {out / 'report.html'}", markup=False)
