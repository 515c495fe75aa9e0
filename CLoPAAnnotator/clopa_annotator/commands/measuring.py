"""``clopa evaluate`` and ``clopa compare``: measure and rank; and how a run's summary is printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.options import (
    Clicks,
    Cluster,
    Corrected,
    Dataset,
    Device,
    ExpertDice,
    ExpertDiceOf,
    Json,
    Label,
    Limit,
    Model,
    Out,
    Overwrite,
    Runs,
    Seed,
    Several,
    TargetLabels,
    Tolerance,
    Workers,
)
from clopa_annotator.commands.output import Steps, console, print_json, print_table, remark
from clopa_annotator.errors import InputError

if TYPE_CHECKING:
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
            "dice_zero": "no click",
            "dice_init": "first Dice",
            "dice_final": "last Dice",
            "dice_nauc": "Dice area",
            "nsd_init": "NSD first",
            "nsd_final": "NSD last",
            "noi": "NoI",
        },
    ),
    (
        "Several of a kind: detection on unseen cases",
        "detection",
        {"version": "version", "references": "there", "f1_init": "F1 first", "f1_final": "F1 last"},
    ),
)
"""What the tables show of ``summary.json``: title, key, columns with headings; fits 80 characters."""


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (evaluate, compare):
        app.command()(command)


def target_labels(
    target: list[str] | None, label: int | None, several: list[str] | None
) -> tuple[TargetLabel, ...]:
    """What ``--target`` and ``--several`` say; raises `ConfigError` beside ``--label``."""
    from clopa_annotator.errors import ConfigError
    from clopa_annotator.experiments.target_labels import parse_targets

    if target and label is not None:
        raise ConfigError("--label chooses one target without a name; leave it out beside --target.")
    return parse_targets(target or (), several or ())


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
    several: Several = None,
    tolerance_mm: Tolerance = 1.0,
    expert_dice: ExpertDice = 0.9,
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
        model, campaign, clicks, runs, seed, tolerance_mm, expert_dice, device, overwrite,
        targets=target_labels(target, label, several),
    )  # fmt: skip
    with Steps(quiet=json) as steps:
        summary = run_evaluation(cases, settings, out, steps, workers=workers, cluster=cluster)
    show(summary, out, json)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Results of simulate or evaluate.")],
    out: Out,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="NAME", help="Only this target of runs with several."),
    ] = None,
    json: Json = False,
    expert_dice: ExpertDiceOf = None,
    corrected: Corrected = False,
) -> None:
    """Rank runs by significance; write tables and the trajectory figure."""
    from clopa_annotator.evaluation.compare import compare_runs, result_files
    from clopa_annotator.experiments.run_folder import RunFolder

    thresholds = read_thresholds(expert_dice or ())
    with RunFolder(out, "compare").making(*result_files(runs)):
        comparison = compare_runs(runs, out, target, thresholds, corrected)
    if json:
        print_json(comparison.to_dict())
        return
    console.print(comparison.markdown, markup=False)
    console.print(f"Tables and figures: {out}", markup=False)


def read_thresholds(texts: Sequence[str]) -> dict[str, float]:
    """Thresholds by dataset from ``NAME=DICE``.

    Raises:
        InputError: a text is no such pair, or the Dice lies outside 0 to 1.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            sign = ""
        if not sign or not name or not 0 <= found[name] <= 1:
            raise InputError(f"{text!r} is no threshold: give NAME=DICE, for instance Hippocampus=0.903.")
    return found


def show(summary: dict[str, object], out: Path, json: bool) -> None:
    """Print a run's summary: its tables, once per target, or as JSON."""
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
