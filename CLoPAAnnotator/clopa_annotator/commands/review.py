"""``clopa review``: a second person's look at what was confirmed."""

from __future__ import annotations

import getpass
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.options import TargetName
from clopa_annotator.commands.output import console, print_json, print_table
from clopa_annotator.errors import ConfigError, InputError
from clopa_annotator.types.review import Lps, ReviewFilter, ReviewRow, Verdict

if TYPE_CHECKING:
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.types import Slot, Targets

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Campaign folder.")]
Case = Annotated[str, typer.Argument(metavar="CASE", help="Name of the case.")]
Reviewer = Annotated[
    str | None, typer.Option("--reviewer", metavar="NAME", help="Who reviews; default: your user name.")
]
Instance = Annotated[int, typer.Option("--instance", help="Which of several of a kind.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="A second person's look at what was confirmed.")
    group.command("list")(list_rows)
    group.command()(accept)
    group.command("return")(send_back)
    group.command()(agreement)
    group.command()(settings)
    app.add_typer(group, name="review")


def _bound(words: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(metavar="DICE", help=words)
    return option


def list_rows(
    folder: Folder,
    state: Annotated[
        str, typer.Option("--state", help="waiting (for a verdict), accepted, returned, or all.")
    ] = "all",
    annotator: Annotated[str, typer.Option("--annotator", metavar="NAME", help="Confirmed by whom.")] = "",
    target: Annotated[str | None, typer.Option("--target", metavar="NAME", help="Of which target.")] = None,
    expected_below: Annotated[float | None, _bound("Expected Dice lower than this.")] = None,
    expected_above: Annotated[float | None, _bound("Expected Dice of at least this.")] = None,
    measured_below: Annotated[float | None, _bound("First mask's Dice lower than this.")] = None,
    measured_above: Annotated[float | None, _bound("First mask's Dice of at least this.")] = None,
    json: Json = False,
) -> None:
    """List what is confirmed, who has judged it, and how good the first mask was."""
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.review.review_list import listed

    bounds = (expected_below, expected_above, measured_below, measured_above)
    with CampaignStore.open(folder) as store:
        key = None if target is None else store.targets.by_name(target).key
        rows = listed(folder, store, ReviewFilter(_verdict(state), annotator, key, *bounds))
        targets = store.targets
    if json:
        print_json([row.to_dict() for row in rows])
        return
    columns = (
        "case",
        "target",
        "state",
        "annotator",
        "version",
        "expected",
        "measured",
        "reviewer",
        "comment",
    )
    print_table(f"{len(rows)} to look at", columns, [_cells(row, targets) for row in rows])


def _verdict(state: str) -> Verdict | None:
    if state == "all":
        return None
    try:
        return Verdict(state)
    except ValueError as error:
        words = ", ".join(verdict.value for verdict in Verdict)
        raise ConfigError(f"There is no state {state!r} in a review; there are {words} and all.") from error


def _cells(row: ReviewRow, targets: Targets) -> tuple[object, ...]:
    quality = (_known(row.expected), _known(row.measured))
    what = (row.case_id, targets.name_of(row.slot), row.verdict.value, row.annotator, row.case_version)
    return (*what, *quality, row.reviewer, row.comment)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def accept(
    folder: Folder,
    case_id: Case,
    reviewer: Reviewer = None,
    comment: Annotated[str, typer.Option("--comment", help="Anything worth saying.")] = "",
    target: TargetName = None,
    instance: Instance = 1,
    version: Annotated[
        int | None,
        typer.Option("--version", help="Of a case that two people read: the reading that shall train."),
    ] = None,
    json: Json = False,
) -> None:
    """Accept a case's confirmed version; from then on nobody replaces it without saying so."""
    said = Saying(Verdict.ACCEPTED, reviewer, comment, None, version)
    _judge(folder, case_id, said, target, instance, json)


def send_back(
    folder: Folder,
    case_id: Case,
    comment: Annotated[str, typer.Option("--comment", help="What has to be mended.")],
    reviewer: Reviewer = None,
    place: Annotated[
        str | None,
        typer.Option(
            "--place", metavar="X,Y,Z", help="Where to look: a position in mm, in RAS as Slicer shows it."
        ),
    ] = None,
    lps: Annotated[bool, typer.Option("--lps", help="The place is in LPS, as in DICOM and ITK.")] = False,
    target: TargetName = None,
    instance: Instance = 1,
    json: Json = False,
) -> None:
    """Return a case's confirmed version to be mended; until it is confirmed anew it does not train."""
    where = None if place is None else _place(place, lps)
    _judge(folder, case_id, Saying(Verdict.RETURNED, reviewer, comment, where), target, instance, json)


def _place(text: str, lps: bool) -> Lps:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"A place is three numbers in mm with commas between, for instance 12.5,-30,7; not {text!r}."
        ) from error
    return (x, y, z) if lps else (-x, -y, z)


@dataclass(frozen=True)
class Saying:
    """What a verdict says, as it was typed."""

    verdict: Verdict
    reviewer: str | None
    comment: str
    place: Lps | None
    version: int | None = None


def _judge(folder: Path, case_id: str, said: Saying, target: str | None, instance: int, json: bool) -> None:
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.cache.reviewing import judge
    from clopa_annotator.types.review import Judgement

    with CampaignStore.open(folder, writer=True) as store:
        slot = _slot(store, target, instance)
        who = getpass.getuser() if said.reviewer is None else said.reviewer
        what = (who, None, said.comment, said.place, slot, said.version)
        row = judge(store, Judgement(case_id, said.verdict, *what))
    if json:
        print_json(row.to_dict())
        return
    returned = "returned; it trains again when it is confirmed anew"
    done = "accepted" if said.verdict is Verdict.ACCEPTED else returned
    console.print(f"Version {row.case_version} of {case_id}, by {row.annotator}, is {done}.", markup=False)


def _slot(store: CampaignStore, target: str | None, instance: int) -> Slot:
    from clopa_annotator.types import Slot

    return Slot("" if target is None else store.targets.by_name(target).key, instance)


def agreement(folder: Folder, json: Json = False) -> None:
    """Say how well people agree who annotated the same cases blind to each other."""
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.review.agreement import by_pair, double_readings

    with CampaignStore.open(folder) as store:
        readings, targets = double_readings(store), store.targets
    pairs = by_pair(readings)
    if json:
        print_json({"pairs": [asdict(p) for p in pairs], "readings": [asdict(r) for r in readings]})
        return
    columns = ("people", "target", "read", "Dice", "lowest", "NSD", "volume differs by")
    rows = [
        (f"{p.one}, {p.two}", targets.by_key(p.target).name, p.readings, p.dice, p.lowest_dice, p.nsd,
         p.volume_difference)
        for p in pairs
    ]  # fmt: skip
    print_table(f"{len(readings)} masks that two people drew", columns, rows)


def settings(
    folder: Folder,
    own_cases: Annotated[
        bool | None,
        typer.Option("--own-cases/--no-own-cases", help="Whether people may review what they confirmed."),
    ] = None,
    double_reading: Annotated[
        float | None,
        typer.Option(
            "--double-reading",
            metavar="SHARE",
            help="Share of the cases that two people annotate, blind to each other; 0 for none.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show how a campaign is reviewed, or change it; stop its engine first."""
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.cache.reviewing import may_review_own
    from clopa_annotator.types.review import DOUBLE_READING, OWN_CASES

    changes: dict[str, bool | float] = {} if own_cases is None else {OWN_CASES: own_cases}
    if double_reading is not None:
        if not 0 <= double_reading <= 1:
            raise ConfigError("The share of cases that two people read is a number between 0 and 1.")
        changes[DOUBLE_READING] = double_reading
    with CampaignStore.open(folder, writer=bool(changes)) as store:
        if changes:
            kept = {**store.manifest.settings, **changes}
            store.update_manifest(replace(store.manifest, settings=kept))
        own = may_review_own(store.manifest.settings)
        share = float(store.manifest.settings.get(DOUBLE_READING) or 0.0)
    if json:
        print_json({OWN_CASES: own, DOUBLE_READING: share})
    else:
        console.print(f"Two people read {100 * share:g} % of the cases, blind to each other.")
        console.print(f"People {'may' if own else 'may not'} review what they confirmed themselves.")
