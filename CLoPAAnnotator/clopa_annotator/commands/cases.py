"""``clopa cases``: images become the cases of a campaign; what series a DICOM folder holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clopa_annotator.commands.output import Steps, console, print_json, remark
from clopa_annotator.errors import DatasetError, GeometryError, InputError

if TYPE_CHECKING:
    from clopa_annotator.cache.campaign_store import CampaignStore
    from clopa_annotator.datasets.dicom_headers import Title
    from clopa_annotator.datasets.dicom_index import DicomIndex
    from clopa_annotator.datasets.dicom_series import DicomSeries
    from clopa_annotator.types import Image

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Names = Annotated[
    bool,
    typer.Option("--patient-names", help="Put the patient's name into the case's name; left out otherwise."),
]
Rescan = Annotated[bool, typer.Option("--rescan", help="Read every header again, whatever is known of them.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    group = typer.Typer(no_args_is_help=True, help="The images of a campaign.")
    group.command()(add)
    group.command()(series)
    app.add_typer(group, name="cases")


@dataclass(frozen=True)
class _Candidate:
    """A case that may be added: its name, and how its image is read, with where it comes from."""

    case_id: str
    read: Callable[[], tuple[Image, str]]


def add(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Campaign folder.")],
    dicom: Annotated[
        Path | None, typer.Option("--dicom", help="Folder of DICOM files, nested as it may be.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option("--images", help="Folder of images, dataset folder, image, or CSV with a column image."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--series", help="Only this DICOM series: its number, UID, or case; can be repeated."),
    ] = None,
    patient_names: Names = False,
    rescan: Rescan = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be added, and add nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Add images to a campaign as its cases; one that is there already is left as it is."""
    if (dicom is None) == (images is None):
        raise DatasetError("Say where the images are: either --dicom FOLDER or --images PATH.")
    with Steps(quiet=json) as steps, ExitStack() as stack:
        left_out: list[tuple[str, str]] = []
        if images is not None:
            found = _from_images(images)
        elif dicom is not None:
            index = stack.enter_context(scanned(dicom, steps, rescan=rescan))
            found, left_out = _from_index(index, dicom, only or [], patient_names)
        added = [c.case_id for c in found] if dry_run else _add(folder, found, left_out, steps)
    if json:
        print_json({"added": added, "left_out": [{"what": w, "reason": r} for w, r in left_out]})
    else:
        _tell(added, left_out, dry_run)
    if not added and left_out:
        raise InputError("Nothing was added.")


def _tell(added: list[str], left_out: list[tuple[str, str]], dry_run: bool) -> None:
    if dry_run:
        for case_id in added:
            console.print(case_id, markup=False)
    for what, reason in left_out:
        console.print(f"left out: {what}: {reason}" if what else f"left out: {reason}", markup=False)
    if added:
        count = f"{len(added)} cases" if len(added) > 1 else "1 case"
        verb = "would be added" if dry_run else ("are" if len(added) > 1 else "is") + " in the campaign"
        console.print(f"{count} {verb}.", markup=False)


def _from_images(path: Path) -> list[_Candidate]:
    from clopa_annotator.datasets.dicom_headers import holds_dicom
    from clopa_annotator.datasets.image_list import list_images, no_images

    listed = list_images(path)
    if not listed and holds_dicom(path):
        raise DatasetError(f"{path} holds DICOM files. Give it as --dicom.")
    if not listed:
        raise no_images(path)
    return [_Candidate(image.case_id, partial(_read_image, image.path)) for image in listed]


def _read_image(path: Path) -> tuple[Image, str]:
    from clopa_annotator.datasets.volumes import read_image

    return read_image(path), str(path)


def _from_index(
    index: DicomIndex, folder: Path, only: list[str], names: bool
) -> tuple[list[_Candidate], list[tuple[str, str]]]:
    """The cases in a folder, and what is left out with its reason."""
    chosen = [s for s in index.series() if not only or _is_chosen(s, only, names)]
    if only and not chosen:
        raise DatasetError(f"{folder} holds no series {', '.join(only)}. See clopa cases series {folder}.")
    usable = [s for s in chosen if not s.refusal]
    found = [_Candidate(s.case_id(with_patient=names), partial(_read_series, index, s.key)) for s in usable]
    return found, [("", s.refusal) for s in chosen if s.refusal]


def _read_series(index: DicomIndex, key: str) -> tuple[Image, str]:
    from clopa_annotator.datasets.dicom_pixels import read_volume

    volume = index.volume(key)
    return read_volume(volume), volume.source


def _is_chosen(series: DicomSeries, only: list[str], names: bool) -> bool:
    known = {series.title.number, series.key, series.key.partition("#")[0], series.case_id()}
    return bool(known.intersection(only)) or (names and series.case_id(with_patient=True) in only)


@contextmanager
def scanned(folder: Path, steps: Steps, *, rescan: bool = False) -> Iterator[DicomIndex]:
    """The index of a folder, up to date; stopping keeps what was read.

    Raises:
        DatasetError: there is no such folder, or no DICOM series in it.
    """
    from clopa_annotator.datasets.dicom_index import DicomIndex

    with DicomIndex.of_folder(folder) as index:
        if rescan:
            index.forget()
        done = 0
        for step in index.scan():
            if step.done > done:
                if not done:
                    steps.begin("DICOM headers", step.total)
                steps.advance()
            done = step.done
        for path in index.unreadable:
            remark(f"{path} cannot be read, and is left out.")
        if index.damaged():
            remark(f"{index.damaged()} DICOM files have damaged headers, and are left out.")
        if not index.series():
            raise DatasetError(f"{folder} holds no DICOM series. Choose the folder of the DICOM files.")
        yield index


def _add(
    folder: Path, candidates: list[_Candidate], left_out: list[tuple[str, str]], steps: Steps
) -> list[str]:
    """Add what can be added; the others go to ``left_out``."""
    from clopa_annotator.cache.campaign_store import CampaignStore

    added = []
    with CampaignStore.open(folder, writer=True) as store:
        steps.begin("Images", len(candidates))
        for candidate in candidates:
            try:
                _add_one(store, candidate)
            except (InputError, GeometryError) as error:
                left_out.append((candidate.case_id, str(error)))
            else:
                added.append(candidate.case_id)
            steps.advance(candidate.case_id)
    return added


def _add_one(store: CampaignStore, candidate: _Candidate) -> None:
    """Checked before it is stored: a case that nobody can open must not be in the list."""
    from clopa_annotator.datasets.volumes import right_handed
    from clopa_annotator.session.checks import usable_voxels

    image, source = candidate.read()
    image = right_handed(image)
    usable_voxels(image)
    store.add_case(candidate.case_id, image, source)


def series(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of DICOM files.")],
    patient_names: Names = False,
    rescan: Rescan = False,
    json: Json = False,
) -> None:
    """List the DICOM series below a folder, what each would be called, and why one cannot be annotated."""
    with Steps(quiet=json) as steps:
        with scanned(folder, steps, rescan=rescan) as index:
            listed = index.series()
    if json:
        print_json([{**asdict(s), "case_id": s.case_id(with_patient=patient_names)} for s in listed])
        return
    study = None
    for found in listed:
        if found.refusal:
            continue
        if study != _study(found.title):
            study = _study(found.title)
            console.print(study, markup=False)
        about = " ".join(word for word in (found.title.modality, found.title.description, found.part) if word)
        details = "; ".join(word for word in (found.size, found.note) if word)
        name = found.case_id(with_patient=patient_names)
        console.print(
            f"  {found.title.number:>4}  {about:32}  {found.images:>5} images  {details}  [{name}]",
            markup=False,
        )
    for found in listed:
        if found.refusal:
            console.print(f"cannot be annotated: {found.refusal}", markup=False)


def _study(title: Title) -> str:
    """Patient, day and study, as the heading of its series."""
    patient = title.patient.replace("^", " ").strip() or title.patient_id or "patient without a name"
    return ", ".join(word for word in (patient, title.date, title.study) if word)
