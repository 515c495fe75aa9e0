"""``clopa predict``: a campaign's weights segment a folder of images, without a click."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.options import Device, Json, Out, TargetName
from clopa_annotator.commands.output import Steps, console, print_json, print_table, remark
from clopa_annotator.errors import DatasetError

if TYPE_CHECKING:
    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.campaign.lines import LearningLine
    from clopa_annotator.datasets.image_list import ListedImage
    from clopa_annotator.suggestions.batch import BatchAbout, BatchRow

SHOWN = 20
"""So many rows are printed; the table holds all."""


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command()(predict)


def predict(
    campaign: Annotated[str, typer.Option("--campaign", help="DIR or DIR@VERSION: weights of a campaign.")],
    images: Annotated[
        Path,
        typer.Option("--images", help="Folder of images, dataset folder, image, or CSV with a column image."),
    ],
    out: Out,
    format: Annotated[str, typer.Option("--format", help="Of the masks: nifti or segnrrd.")] = "nifti",
    target: TargetName = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Segment images without a click, with the Dice to expect of each mask; goes on where it was stopped."""
    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.datasets.image_list import list_images, no_images
    from clopa_annotator.experiments.evaluation_run import split_campaign

    listed = list_images(images)
    if not listed:
        raise no_images(images)
    folder, version = split_campaign(campaign)
    with Campaign.open(folder, device=device, writer=False) as opened, Steps(quiet=json) as steps:
        line = opened.line("" if target is None else opened.targets.by_name(target).key)
        rows = _predict(opened, line, version, listed, out, format, steps)
    left_out = [row for row in rows if row.reason]
    if json:
        print_json(
            {"out": str(out), "done": len(rows) - len(left_out), "left_out": [r.case for r in left_out]}
        )
    else:
        _show(rows, out)
    if len(left_out) == len(rows):
        raise DatasetError("No image could be segmented; the table says why.")


def _predict(
    opened: Campaign,
    line: LearningLine,
    version: int | None,
    listed: tuple[ListedImage, ...],
    out: Path,
    format: str,
    steps: Steps,
) -> tuple[BatchRow, ...]:
    """Segment with one version from start to end, whatever the campaign's engine does meanwhile."""
    from clopa_annotator.session.logits import best_cpu_precision
    from clopa_annotator.session.suggesting import LocalSuggester
    from clopa_annotator.suggestions.batch import BatchAbout, begun_with, predict_folder
    from clopa_annotator.suggestions.campaign_past import calibration_of

    version = _begun_version(begun_with(out), version, line, out, steps)
    line.bring_in()
    if version is not None:
        line.activate(version)
    model, store = line.model, opened.store.of_target(line.key)
    about = BatchAbout(
        opened.config.name, model.version, model.model_hash, model.licence,
        format,  # type: ignore[arg-type]  # its check names the choices
        line.key,
    )  # fmt: skip
    if model.version == 0:
        remark("Version 0 has not learned this campaign's target; its masks may be of anything.")
    steps.begin("Segmenting", len(listed))

    def told(row: BatchRow) -> None:
        if row.reason:
            steps.say(f"{row.case} is passed over: {row.reason}")
        steps.advance(row.case)

    suggester = LocalSuggester(model, best_cpu_precision())
    expecting = calibration_of(opened.folder, store, line.key)
    return predict_folder(listed, suggester, expecting, about, out, told)


def _begun_version(
    earlier: BatchAbout | None, version: int | None, line: LearningLine, out: Path, steps: Steps
) -> int | None:
    """The version that a folder's masks were begun with, unless another was asked for."""
    if version is not None or earlier is None:
        return version
    if earlier.version != line.registry.current().number:
        steps.say(
            f"The masks in {out} were begun with version {earlier.version}, which the others are made with."
        )
    return earlier.version


def _show(rows: tuple[BatchRow, ...], out: Path) -> None:
    done = sorted((row for row in rows if not row.reason), key=lambda row: (row.expected, row.score))
    title = f"Least certain of {len(done)}" if len(done) > SHOWN else "Masks, the least certain first"
    columns = ["image", "ml", "expected Dice", "from", "to", "score"]
    print_table(
        title, columns, ([r.case, r.volume_ml, r.expected, r.low, r.high, r.score] for r in done[:SHOWN])
    )
    for row in rows:
        if row.reason:
            console.print(f"passed over: {row.case}: {row.reason}", markup=False)
    if done and all(math.isnan(row.expected) for row in done):
        remark("How good they are is not known yet: too few confirmed cases have had a suggestion.")
    console.print(f"Masks and table: {out}", markup=False)
