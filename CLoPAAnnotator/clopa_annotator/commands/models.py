"""``clopa models``: which base models are on this computer, getting the official one, removing it again."""

from __future__ import annotations

from typing import Annotated

import typer

from clopa_annotator.commands.output import console, print_json, print_table, remark
from clopa_annotator.errors import ModelNotPresent
from clopa_annotator.models.catalogue import ENTRIES, folder_of, list_models

Name = Annotated[
    str, typer.Argument(metavar="NAME", help='Name of a model from the list, such as "official".')
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    models = typer.Typer(no_args_is_help=True, help="Base models on this computer.")
    models.command("list")(list_known)
    models.command()(download)
    models.command()(remove)
    app.add_typer(models, name="models")


def list_known(
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the models that have a name, and whether they are here."""
    found = list_models()
    if json:
        keys = ("name", "licence", "present", "folder")
        rows = [(s.entry.name, s.entry.licence, s.present, str(s.folder)) for s in found]
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    here = {True: "here", False: "not here"}
    lines = [(s.entry.name, s.entry.title, s.entry.licence, here[s.present]) for s in found]
    print_table("Base models", ("name", "model", "licence", ""), lines)
    for status in found:
        console.print(f"{status.entry.name}: {status.entry.about} {status.folder}", markup=False)


def download(
    name: Name,
    accept_licence: Annotated[
        str,
        typer.Option("--accept-licence", help="Its licence, as the list writes it."),
    ] = "",
) -> None:
    """Download a model; every file is checked, and a new try keeps those that are whole."""
    from clopa_annotator.models.download import download as fetch

    if accept_licence:
        remark(f"Downloading {name}. If it is interrupted, start it again: files that are whole are kept.")
    folder = fetch(name, accepted_licence=accept_licence or None, shows_bar=True)
    console.print(f"The model is in {folder}.", markup=False)


def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a downloaded model; a model that was put there by hand stays."""
    from clopa_annotator.models.removal import downloaded_models, measure
    from clopa_annotator.models.removal import remove as remove_files

    places = [folder_of(entry) for entry in ENTRIES if entry.name == name]
    places += [place.with_name(place.name + ".partial") for place in places]
    folders = [folder for folder in downloaded_models() if folder in places]
    if not folders:
        raise ModelNotPresent(f'No download of "{name}" is on this computer. See: clopa models list')
    size = sum(step.size for step in measure(folders)) / 1e6
    if not yes:
        typer.confirm(f"Remove {', '.join(map(str, folders))} ({size:.1f} MB)?", abort=True)
    steps = list(remove_files(folders))
    console.print(f"{sum(step.size for step in steps) / 1e6:.1f} MB are free again.")
    problems = [step for step in steps if step.problem]
    if problems:
        console.print(f"{len(problems)} files stay, {problems[0].path}: {problems[0].problem}.", markup=False)
        raise typer.Exit(1)
