"""``clopa import``: labels that exist already, into a campaign."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.output import Steps, console, print_json, remark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.types.imports import ImportOrder, ImportReport, Outcome

CONFIRMED, SUGGESTION = "confirmed", "suggestion"


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("import")(import_labels)


def import_labels(
    campaign: Annotated[Path, typer.Option("--campaign", help="Campaign folder.")],
    labels: Annotated[Path, typer.Option("--labels", help="File or folder with the labels.")],
    as_: Annotated[
        str,
        typer.Option("--as", help='"confirmed" trains; a "suggestion" does not until somebody confirms it.'),
    ] = SUGGESTION,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="NAME=VALUE: which value or segment is the target; VALUE may be any; can be repeated.",
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder with the images of cases that are not there yet.")
    ] = None,
    format: Annotated[str, typer.Option("--format", help="The labels' format; found out if left out.")] = "",
    author: Annotated[str, typer.Option("--author", help="In whose name; default: the user's.")] = "",
    resample: Annotated[
        bool, typer.Option("--resample", help="Take labels on another voxel grid too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Take labels of other programs, or of another campaign, into a campaign; nothing is taken twice."""
    from clopa_annotator.errors import ConfigError
    from clopa_annotator.importers.import_run import images_in
    from clopa_annotator.types.imports import ImportOrder

    if as_ not in (CONFIRMED, SUGGESTION):
        raise ConfigError(f"Labels are imported as confirmed or as suggestion, not as {as_!r}.")
    known = images_in(images) if images is not None else {}
    asked = tuple(target or ())
    order = ImportOrder(labels, as_ == CONFIRMED, "", format, known, resample, dry_run, asked)
    report = _run(order, campaign, author or getpass.getuser(), quiet=json)
    _show(report, json)
    if not report.of("imported") and not report.of("already there"):
        raise typer.Exit(1)


def _run(order: ImportOrder, campaign: Path, author: str, quiet: bool) -> ImportReport:
    from clopa_annotator.importers.import_run import run_import
    from clopa_annotator.importers.receiver import StoreReceiver

    with _opened(campaign, writer=not order.dry_run) as store, Steps(quiet=quiet) as steps:
        told: set[int] = set()

        def tell(number: int, total: int, outcome: Outcome) -> None:
            if not told:
                steps.begin("Labels", total)
            if number not in told:
                steps.advance(outcome.case_id)
            told.add(number)

        return run_import(order, StoreReceiver(store, author), tell)


@contextmanager
def _opened(folder: Path, writer: bool) -> Iterator[CampaignStore]:
    """The campaign; a running engine is named as the way in."""
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.errors import CampaignLocked

    try:
        store = CampaignStore.open(folder, writer=writer)
    except CampaignLocked as error:
        raise CampaignLocked(
            f'{error} If it is an engine, import through it: "Import labels" in Slicer.'
        ) from error
    with store:
        yield store


def _show(report: ImportReport, json: bool) -> None:
    if json:
        print_json({**asdict(report), "summary": report.in_words})
        return
    console.print(report.in_words, markup=False)
    for sentence in report.remarks:
        remark(sentence)
    for outcome in report.outcomes:
        what = f"{outcome.case_id}, {outcome.target}" if outcome.target else outcome.case_id
        if outcome.became == "imported" and report.dry_run:
            new = ", a new case" if outcome.is_new else ""
            grid = ", resampled" if outcome.resampled else ""
            console.print(f"{what}: {outcome.voxels} voxels{new}{grid}", markup=False)
        elif outcome.became == "left out":
            console.print(f"left out: {what}: {outcome.reason}", markup=False)
