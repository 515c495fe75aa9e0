"""``clopa experts``: what a campaign has learned, kept in a library, found again for a new image."""

from __future__ import annotations

import getpass
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.options import TargetName
from clopa_annotator.commands.output import console, print_json, print_table

if TYPE_CHECKING:
    from clopa_annotator.experts.library import ExpertLibrary

Library = Annotated[Path, typer.Argument(metavar="LIBRARY", help="Folder of the expert library.")]
CampaignFolder = Annotated[Path, typer.Option("--campaign", help="Campaign folder.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="A library of weights that campaigns have learned.")
    group.command()(add)
    group.command("list")(list_experts)
    group.command()(ask)
    group.command("apply")(apply_expert)
    app.add_typer(group, name="experts")


def _library_for(folder: Path, model_hash: str) -> ExpertLibrary:
    """The library in a folder, made if there is none yet."""
    from clopa_annotator.experts.library import ExpertLibrary

    if (folder / "library.json").exists():
        return ExpertLibrary.open(folder)
    return ExpertLibrary.create(folder, model_hash)


def add(
    library: Library,
    campaign: CampaignFolder,
    name: Annotated[str, typer.Option("--name", help="The expert's name.")],
    description: Annotated[
        str, typer.Option("--description", help="What it segments, on which images.")
    ] = "",
    version: Annotated[
        int | None, typer.Option("--version", help="Weights version; default: the one in use.")
    ] = None,
    target: TargetName = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Add a campaign's weights; the router learns its confirmed images. Makes the library if need be."""
    from clopa_annotator.campaign.composition import Campaign
    from clopa_annotator.experts.advisor import ExpertAdvisor

    with Campaign.open(campaign, device=device, writer=False) as source:
        line = source.line(source.targets.by_name(target).key if target else "")
        number = line.registry.current().number if version is None else version
        delta = line.registry.delta_tensors(number)
        experts = _library_for(library, line.registry.base.model_hash)
        images = dict.fromkeys(ref.image_hash for ref in line.cases.confirmed())
        expert = ExpertAdvisor(experts, source.model).add(
            name,
            delta,
            (source.store.read_image(image_hash) for image_hash in images),
            licence=line.registry.base.licence,
            description=description,
            origin=", ".join(filter(None, (source.config.name, target, f"version {number}"))),
        )
    if json:
        print_json({**asdict(expert), "images": len(images)})
        return
    console.print(
        f'"{expert.name}" is in {library} as {expert.expert_id}; the router knows it by '
        f"{len(images)} images.",
        markup=False,
    )


def list_experts(library: Library, json: Json = False) -> None:
    """List the experts."""
    from clopa_annotator.experts.library import ExpertLibrary

    experts = ExpertLibrary.open(library).experts()
    if json:
        print_json([asdict(expert) for expert in experts])
        return
    rows = [(e.expert_id, e.name, e.description, e.origin, e.licence) for e in experts]
    print_table(f"{len(experts)} experts", ("expert", "name", "for", "from", "licence"), rows)


def ask(
    library: Library,
    image: Annotated[Path, typer.Option("--image", help="A scalar volume that SimpleITK reads.")],
    model: Annotated[str, typer.Option("--model", help='"bundled", "official", or a folder.')] = "bundled",
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Ask which expert fits an image; a stranger gets the answer that none fits."""
    from clopa_annotator import models
    from clopa_annotator.datasets.volumes import read_image
    from clopa_annotator.experts.advisor import ExpertAdvisor
    from clopa_annotator.experts.library import ExpertLibrary
    from clopa_annotator.session.model import load_model

    experts = ExpertLibrary.open(library)
    loaded = load_model(models.resolve(model), device)
    route = ExpertAdvisor(experts, loaded).propose(read_image(image))
    if json:
        print_json(asdict(route))
        return
    console.print(route.reason, markup=False)
    if route.expert is not None:
        console.print(f"Confidence among the experts: {100 * route.confidence:.0f} %.", markup=False)
    rows = [(c.expert, c.score, c.typicality) for c in route.candidates]
    if rows:
        print_table("All experts", ("expert", "score", "typicality"), rows)


def apply_expert(
    library: Library,
    expert: Annotated[str, typer.Option("--expert", help='Its id, as "clopa experts list" shows it.')],
    campaign: CampaignFolder,
    target: TargetName = None,
    json: Json = False,
) -> None:
    """Put an expert's weights into use in a campaign, for instance a new one; nothing is deleted."""
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.campaign.composition import registry_of
    from clopa_annotator.errors import DeltaMismatch
    from clopa_annotator.experts.library import ExpertLibrary

    experts = ExpertLibrary.open(library)
    delta = experts.delta(expert)
    # Holding the writer's lock keeps a running engine from having its weights changed under it.
    with CampaignStore.open(campaign, writer=True):
        registry = registry_of(campaign, target)
        if registry.base.model_hash != experts.model_hash:
            raise DeltaMismatch("The expert was made for another base model than this campaign's.")
        group = f"expert {expert}"
        added = registry.add_tensors(delta, parent=registry.current().number, parameter_group=group)
        # No held-out case decides this: a person does, so it is recorded as their choice, not as the gate's.
        used = registry.rollback(added.number, by=getpass.getuser())
    if json:
        print_json({"version": used.number, "expert": expert})
        return
    console.print(
        f"The expert {expert} is in use as version {used.number}. To go back: "
        f"clopa weights rollback {campaign} --version {used.parent}{_option(target)}",
        markup=False,
    )


def _option(target: str | None) -> str:
    return f" --target {shlex.quote(target)}" if target else ""
