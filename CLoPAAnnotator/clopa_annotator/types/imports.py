"""What an import is asked to do, and what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Became = Literal["imported", "already there", "left out"]


@dataclass(frozen=True)
class ImportOrder:
    """What to import, and how.

    Attributes:
        path: file or folder with the labels.
        confirmed: as confirmed masks, which train; otherwise as suggestions, which do not until confirmed.
        target: which part of them, as NAME=VALUE (several: semicolons); empty leaves the choice to the files.
        format: name of the format; found out if empty.
        images: image files by case, for cases that the campaign does not have yet.
        resample: whether labels on another grid are taken.
        dry_run: only say what would happen.
        targets: the same as ``target``, one in each.
    """

    path: Path
    confirmed: bool = True
    target: str = ""
    format: str = ""
    images: Mapping[str, Path] = field(default_factory=dict)
    resample: bool = False
    dry_run: bool = False
    targets: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        """Everything that was asked for, as NAME=VALUE each."""
        return (*(part.strip() for part in self.target.split(";") if part.strip()), *self.targets)


@dataclass(frozen=True)
class Outcome:
    """What became of one label.

    Attributes:
        case_id: the case; the label's own name if none fits.
        source: the label's file.
        became: "imported" (in a dry run: would be), "already there", or "left out".
        reason: why it was left out.
        voxels: number of voxels of the mask.
        resampled: whether it lay on another grid.
        is_new: whether the case was added with it.
        target: name of the target, with its number where there may be several; empty if the campaign has one.
    """

    case_id: str
    source: str
    became: Became
    reason: str = ""
    voxels: int = 0
    resampled: bool = False
    is_new: bool = False
    target: str = ""


@dataclass(frozen=True)
class ImportReport:
    """What an import did, or would do.

    Attributes:
        format: the format that was read.
        confirmed: see `ImportOrder`.
        dry_run: see `ImportOrder`.
        outcomes: one for each label.
        remarks: what was passed over, in sentences.
        stopped: whether it was stopped before the end.
    """

    format: str
    confirmed: bool
    dry_run: bool
    outcomes: tuple[Outcome, ...] = ()
    remarks: tuple[str, ...] = ()
    stopped: bool = False

    def of(self, became: Became) -> tuple[Outcome, ...]:
        """The outcomes of one kind."""
        return tuple(o for o in self.outcomes if o.became == became)

    @property
    def in_words(self) -> str:
        """The whole in one or two sentences."""
        count = len(self.of("imported"))
        what = "confirmed masks" if self.confirmed else "suggestions"
        verb = "would be imported" if self.dry_run else "imported"
        said = f"{count} of {len(self.outcomes)} labels {verb} as {what}."
        if self.of("already there"):
            said += f" {len(self.of('already there'))} were there already."
        if self.of("left out"):
            said += f" {len(self.of('left out'))} left out."
        return said + (" Stopped before the end." if self.stopped else "")
