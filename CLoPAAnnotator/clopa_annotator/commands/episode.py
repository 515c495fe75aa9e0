"""``clopa episode run``: the trainer. A job folder in, a finished job folder out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clopa_annotator.commands.output import console, print_json, remark


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="Training episodes.")
    group.command("run")(run)
    app.add_typer(group, name="episode")


def run(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Job folder with request.json.")],
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train one episode and check its candidate; goes on with one that was stopped or cancelled."""
    from clopa_annotator.training.trainer_process import run_by_hand

    result, decision = run_by_hand(folder, device)
    if json:
        print_json(
            {
                "status": result.status,
                "reason": result.reason or decision.reason,
                "promoted": decision.promoted,
            }
        )
    elif result.status == "finished":
        console.print(decision.reason, markup=False)
    else:
        remark(f"The episode ended early: {result.reason}")
    if result.status != "finished":
        raise typer.Exit(1)
