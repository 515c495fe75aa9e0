"""Options that several commands share: their types, names and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clopa_annotator.config import CASE_ORDERS, SCHEDULES, STRATEGIES

Out = Annotated[Path, typer.Option("--out", help="Folder for the results; made if it is not there.")]
Dataset = Annotated[
    Path,
    typer.Option("--dataset", help="Folder with imagesTr and labelsTr (MSD layout), or generated:NAME."),
]
Model = Annotated[str, typer.Option("--model", help='"bundled", "official", or a checkpoint folder.')]
Strategy = Annotated[str, typer.Option("--strategy", help=f"One of {', '.join(STRATEGIES)}.")]
CampaignStrategy = Annotated[
    str | None,
    typer.Option(
        "--strategy",
        help=f"One of {', '.join(STRATEGIES)}; default: clopa-all, for the official model clopa-cn.",
    ),
]
Schedule = Annotated[str, typer.Option("--schedule", help=f"One of {', '.join(SCHEDULES)}.")]
Label = Annotated[
    int | None, typer.Option("--label", help="The target's label; default: every label above 0.")
]
TargetLabels = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="NAME=VALUE",
        help="A target and its value in the label maps; repeat it for each, in the order of annotating.",
    ),
]
OthersAsBackground = Annotated[
    bool,
    typer.Option(
        "--others-as-background", help="Tell the network which voxels other targets have. Not measured yet."
    ),
]
Several = Annotated[
    list[str] | None,
    typer.Option("--several", metavar="NAME", help="A target of which there may be several in an image."),
]
TargetName = Annotated[
    str | None, typer.Option("--target", metavar="NAME", help="Of which target; default: the first.")
]
Tolerance = Annotated[float, typer.Option("--tolerance-mm", help="Tolerance of the surface Dice in mm.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of every random choice.")]
Workers = Annotated[int, typer.Option("--workers", help="Local processes, each with one thread.")]
Cluster = Annotated[bool, typer.Option("--cluster", help="Use a Ray cluster instead of local processes.")]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace what an earlier run of this command made in the folder; nothing that a person made.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of tables.")]
Test = Annotated[
    Path | None, typer.Option("--test", help="Dataset to test on; default: what --dataset has left.")
]
Clicks = Annotated[int, typer.Option("--clicks", help="Corrections per case.")]
StreamClicks = Annotated[
    int | None, typer.Option("--stream-clicks", help="Most corrections per case of the stream.")
]
Runs = Annotated[int, typer.Option("--runs", help="Inference runs with different prompts.")]
Permutations = Annotated[
    int, typer.Option("--permutations", help="Orders of the stream; each is a campaign of its own.")
]
Suggestions = Annotated[
    bool,
    typer.Option(
        "--suggestions/--no-suggestions",
        help="Whether episodes also train without a prompt; what that gives is measured.",
    ),
]
Order = Annotated[str, typer.Option("--order", help=f"Which case comes next: {', '.join(CASE_ORDERS)}.")]
Orders = Annotated[
    list[str] | None,
    typer.Option(
        "--order",
        help=f"Which case comes next: {', '.join(CASE_ORDERS)}; repeat it to compare several.",
    ),
]
NewOrder = Annotated[
    str | None, typer.Option("--order", help=f"Which case comes next: {', '.join(CASE_ORDERS)}.")
]
_WITHHELD = "Share of the cases, drawn once, whose suggestion is not shown, to see what suggestions change."
WithoutSuggestion = Annotated[float, typer.Option("--without-suggestion-share", help=_WITHHELD)]
NewWithoutSuggestion = Annotated[float | None, typer.Option("--without-suggestion-share", help=_WITHHELD)]
Unprompted = Annotated[
    float | None,
    typer.Option("--unprompted", help="Share of training samples without a prompt; default: the schedule's."),
]
FirstEpisode = Annotated[
    int | None,
    typer.Option(
        "--first-episode",
        help="Cases until the first episode; then as often as the cases have doubled, until a quarter of the "
        "campaign lies between two. Default: a quarter from the start.",
    ),
]
ExpertDice = Annotated[
    float,
    typer.Option(
        "--expert-dice",
        help="Dice that NoI and NoF count to: the mean of a fully trained nnU-Net on the task.",
    ),
]
ExpertDiceOf = Annotated[
    list[str] | None,
    typer.Option("--expert-dice", help="NAME=DICE: the threshold on a dataset instead of its runs' own."),
]
Corrected = Annotated[
    bool, typer.Option("--corrected", help="Correct significance for the number of pairs of methods.")
]
Limit = Annotated[int | None, typer.Option("--limit", help="Number of cases to annotate.")]
TestLimit = Annotated[int | None, typer.Option("--test-limit", help="Number of test cases.")]
