"""``clopa pretrain``, ``clopa engine`` and ``clopa doctor``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.output import Steps, console, print_json

if TYPE_CHECKING:
    from clopa_annotator.pretrain.pretrain_settings import PretrainSettings


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    for command in (pretrain, engine, doctor):
        app.command()(command)


def pretrain(
    out: Annotated[Path, typer.Option("--out", help="Folder of the training run; an old one is resumed.")],
    minutes: Annotated[float, typer.Option("--minutes", help="Wall time to train for.")] = 60.0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", help="Seed of volumes, prompts and weights.")] = 0,
    start: Annotated[
        str, typer.Option("--start", help="Model folder to train further; left out, weights are drawn fresh.")
    ] = "",
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--settings",
            help="settings.json of another run, to repeat it; only --start, if given, counts beside it.",
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option("--batch", help="Volumes at a time; 0 leaves it to the settings.")
    ] = 0,
    session_minutes: Annotated[
        float,
        typer.Option(
            "--session-minutes",
            help="Stop after so many minutes, to go on later, here or elsewhere; 0 trains to the end.",
        ),
    ] = 0.0,
) -> None:
    """Train a base model on generated volumes only, from scratch or further."""
    from clopa_annotator.pretrain.pretrain_settings import PretrainSettings, read_settings

    settings = PretrainSettings(minutes=minutes, seed=seed, start=start)
    if settings_file is not None:
        known = read_settings(settings_file)
        settings = replace(known, start=start or known.start)
    settings = replace(settings, batch=batch or settings.batch)
    ends = time.monotonic() + 60 * session_minutes if session_minutes else math.inf

    folder = _pretrained(settings, out, device, lambda: time.monotonic() > ends)
    console.print(f"The model is in {folder}.", markup=False)


def _pretrained(settings: PretrainSettings, out: Path, device: str, over: Callable[[], bool]) -> Path:
    from clopa_annotator.pretrain.train import PretrainProgress, run

    with Steps() as steps:
        done = 0
        steps.begin("Pretraining", 1000)

        def tell(progress: PretrainProgress) -> None:
            nonlocal done
            while done < int(1000 * progress.fraction):
                done += 1
                steps.advance(f"loss {progress.loss:.3f}, Dice {progress.dice_first:.2f}")

        return run(settings, out, device, on_progress=tell, should_stop=over)


def engine(
    campaign: Annotated[Path, typer.Option("--campaign", help="Campaign folder.")],
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0 takes a free one and says which.")] = 0,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with the token; made if it is not there.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    parent_stdin: Annotated[
        bool, typer.Option("--parent-stdin", help="End when standard input closes.")
    ] = False,
    certificate: Annotated[
        Path | None, typer.Option("--tls-certificate", help="PEM file with the certificate; needs --tls-key.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--tls-key", help="PEM file with the private key.")] = None,
) -> None:
    """Serve one campaign: clicks, confirmations, learning in the background."""
    from clopa_annotator.server.serve import run_engine, tls_from

    tls = tls_from(certificate, key)
    run_engine(campaign, host, port, token_file, device=device, parent_stdin=parent_stdin, tls=tls)


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say in words what this machine can do."""
    from clopa_annotator.server.doctor import examine

    findings = examine()
    if json:
        print_json([{"subject": f.subject, "ok": f.ok, "sentence": f.sentence} for f in findings])
    else:
        for finding in findings:
            console.print(
                f"{'ok  ' if finding.ok else 'no  '} {finding.subject}: {finding.sentence}", markup=False
            )
    if not all(f.ok for f in findings):
        raise typer.Exit(1)
