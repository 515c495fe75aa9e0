"""What confirmed cases and weights can be written as: the one list for command line, engine and panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

ExportFormat = Literal["segnrrd", "nifti", "nnunet", "msd", "dicomseg", "weights", "model"]
ExportChoice = Literal["all", "accepted"]


@dataclass(frozen=True)
class ExportKind:
    """One format.

    Attributes:
        name: as on the command line.
        title: for a list that a person chooses from.
        holds_cases: whether it writes cases, so that some can be chosen; otherwise it writes weights.
        holds_labels: whether a case becomes one volume of labels, in which a voxel has one of them.
    """

    name: ExportFormat
    title: str
    holds_cases: bool = True
    holds_labels: bool = False

    @property
    def takes_targets(self) -> bool:
        """Whether targets can be chosen."""
        return self.holds_cases or self.name == "model"


EXPORTS: tuple[ExportKind, ...] = (
    ExportKind("segnrrd", "3D Slicer segmentations (.seg.nrrd)"),
    ExportKind("nifti", "NIfTI images and masks", holds_labels=True),
    ExportKind("nnunet", "nnU-Net dataset", holds_labels=True),
    ExportKind("msd", "Medical Segmentation Decathlon dataset", holds_labels=True),
    ExportKind("dicomseg", "DICOM Segmentation (cases from DICOM)"),
    ExportKind("model", "Model folder for nnInteractive (the weights in use)", holds_cases=False),
    ExportKind("weights", "Every weights version's delta (safetensors)", holds_cases=False),
)
EXPORT_FORMATS: tuple[str, ...] = get_args(ExportFormat)
CASE_FORMATS: tuple[str, ...] = tuple(kind.name for kind in EXPORTS if kind.holds_cases)


@dataclass(frozen=True)
class ExportOrder:
    """What to export.

    Attributes:
        format: one of `EXPORT_FORMATS`.
        folder: on the engine's machine: a path where it allows that, else a name in its folder for exports.
        choice: all confirmed cases, or only the accepted ones (none that was reopened or needs another look).
        cases: only these cases; none for all that ``choice`` names.
        targets: names of the targets to export; none for all. A model folder holds one: the first, unless
            another is named.
        priority: names of targets: in a volume of labels the first named has the voxels that masks share.
        instances: in a volume of labels, a value of its own for each of several of a kind.
    """

    format: ExportFormat
    folder: str
    choice: ExportChoice = "all"
    cases: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    priority: tuple[str, ...] = ()
    instances: bool = False


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        folder: where, on the engine's machine.
        written: ids of the cases, in order of arrival.
        left_out: (case id, reason) of the others.
    """

    folder: str
    written: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Progress:
    """How far a long call has come.

    Attributes:
        done: steps done.
        total: of how many; 0 if that is not known yet.
        note: what the last step was about.
    """

    done: int
    total: int
    note: str = ""


OnProgress = Callable[[Progress], object]
