"""Masks for a folder of images: ``clopa predict``, resumable, one image in memory at a time.

``predict.jsonl`` is the journal: its first line says which weights and which format, every other one is an
image that is done or was passed over, flushed to disk before the next is begun. Starting again goes on
behind it, and tries again what was passed over. ``predictions.csv`` is the table for people.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

from clopa_annotator.cache.format.names import case_folder
from clopa_annotator.cache.format.segnrrd import encode_seg_nrrd
from clopa_annotator.datasets.image_list import ListedImage
from clopa_annotator.datasets.volumes import read_image, write_volume
from clopa_annotator.durable import append_bytes, flush, flush_folder, make_folder, write_bytes
from clopa_annotator.errors import ConfigError, InputError, PredictionFailed
from clopa_annotator.session.suggesting import Suggester, suggest
from clopa_annotator.suggestions.scores import certainty, scores_of
from clopa_annotator.types import Expectation, Image, WholeImageAnswer

JOURNAL, TABLE = "predict.jsonl", "predictions.csv"
BatchFormat = Literal["nifti", "segnrrd"]
FORMATS: tuple[str, ...] = get_args(BatchFormat)
_SUFFIXES = {"nifti": ".nii.gz", "segnrrd": ".seg.nrrd"}
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")


@dataclass(frozen=True)
class BatchAbout:
    """What all masks of a folder have in common.

    Attributes:
        campaign: name of the campaign.
        version: weights version.
        model_hash: of the base weights.
        licence: of the weights.
        format: one of `FORMATS`.
        target: key of the target; empty for the campaign's first.
    """

    campaign: str
    version: int
    model_hash: str
    licence: str
    format: BatchFormat
    target: str = ""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(
                f'There is no format "{self.format}" for masks; there are {", ".join(FORMATS)}.'
            )


@dataclass(frozen=True)
class BatchRow:
    """One image.

    Attributes:
        case: name of the image without its suffix.
        image: its path.
        mask: name of the mask's file; empty if the image was passed over.
        reason: why it was; empty if it was not.
        voxels: of the target.
        volume_ml: of the target.
        score: how sure the model is, see `scores`.
        expected: Dice to expect; NaN if not known.
        low: lower end of the interval that holds the true Dice in nine of ten cases.
        high: its upper end.
        seconds: time of the network's passes.
    """

    case: str
    image: str
    mask: str = ""
    reason: str = ""
    voxels: int = 0
    volume_ml: float = math.nan
    score: float = math.nan
    expected: float = math.nan
    low: float = math.nan
    high: float = math.nan
    seconds: float = math.nan


class Expecting(Protocol):
    """Says how good a mask will be; `calibration.Calibration` fulfils it."""

    def expect(self, score: float, weights_version: int) -> Expectation:
        """The Dice to expect."""
        ...


def begun_with(out: Path) -> BatchAbout | None:
    """What the masks that a folder holds already have in common; None if there are none.

    Raises:
        ConfigError: its journal is not one.
    """
    for line in _lines(out / JOURNAL):
        try:
            return BatchAbout(**line["about"])
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"{out / JOURNAL} is no journal of predictions; choose another folder."
            ) from error
    return None


def predict_folder(
    images: Sequence[ListedImage],
    suggester: Suggester,
    expecting: Expecting,
    about: BatchAbout,
    out: Path,
    on_row: Callable[[BatchRow], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[BatchRow, ...]:
    """Segment every image that ``out`` holds no mask of yet.

    Args:
        images: what to segment.
        suggester: with the weights that ``about`` names.
        expecting: the campaign's calibration.
        about: has to be what the folder was begun with.
        out: gets masks, journal and table.
        on_row: told of each newly finished image.
        should_stop: asked between images.

    Returns:
        All rows, in the order of ``images``; fewer if it was stopped.

    Raises:
        ConfigError: the folder holds masks of other weights, or of another format.
        StorageFull: no room; what is done stays.
        CacheError: the folder cannot be written.
    """
    make_folder(out)
    earlier = begun_with(out)
    if earlier is None:
        _append(out, {"about": asdict(about)}, first=True)
    elif earlier != about:
        raise ConfigError(
            f"{out} holds masks of version {earlier.version} of {earlier.campaign!r} as {earlier.format}; "
            "choose another folder for others."
        )
    done = {row.case: row for row in _rows(out) if row.mask and (out / row.mask).exists()}
    names = _file_names(images)
    for listed in images:
        if listed.case_id in done:
            continue
        if should_stop():
            break
        row = _one(
            listed, suggester, expecting, about, out / f"{names[listed.case_id]}{_SUFFIXES[about.format]}"
        )
        _append(out, {"row": {k: _plain(v) for k, v in asdict(row).items()}})
        done[listed.case_id] = row
        on_row(row)
    rows = tuple(done[i.case_id] for i in images if i.case_id in done)
    _write_table(out, rows)
    return rows


def _one(
    listed: ListedImage, suggester: Suggester, expecting: Expecting, about: BatchAbout, target: Path
) -> BatchRow:
    """Segment one image; what is wrong with it is its row's reason."""
    try:
        image = read_image(listed.path)
        answer = suggest(suggester, image)
        _write_mask(target, answer, image, about)
    except (InputError, PredictionFailed, MemoryError) as error:
        reason = str(error) or "There is too little memory for this image."
        return BatchRow(listed.case_id, str(listed.path), reason=reason)
    score = certainty(scores_of(answer))
    found = expecting.expect(score, answer.weights_version)
    voxels = int(np.count_nonzero(answer.mask))
    return BatchRow(
        listed.case_id,
        str(listed.path),
        target.name,
        voxels=voxels,
        volume_ml=voxels * image.geometry.voxel_volume_mm3 / 1000,
        score=score,
        expected=found.dice,
        low=found.low,
        high=found.high,
        seconds=answer.seconds,
    )


def _write_mask(target: Path, answer: WholeImageAnswer, image: Image, about: BatchAbout) -> None:
    """All of the file or nothing under its name."""
    if about.format == "segnrrd":
        write_bytes(target, encode_seg_nrrd(answer.mask, image.geometry))
        return
    temporary = target.with_name(f".part-{target.name}")
    write_volume(temporary, answer.mask, image.geometry)
    descriptor = os.open(temporary, os.O_RDWR)
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(target)
    flush_folder(target.parent)


def _file_names(images: Sequence[ListedImage]) -> dict[str, str]:
    """A file name without suffix for each case, that every file system keeps apart."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for listed in images:
        plain = _PLAIN.fullmatch(listed.case_id) and listed.case_id.casefold() not in taken
        names[listed.case_id] = listed.case_id if plain else case_folder(listed.case_id)
        taken.add(names[listed.case_id].casefold())
    return names


def _append(out: Path, line: dict[str, Any], first: bool = False) -> None:
    data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
    path = out / JOURNAL
    kept = b"" if first or not path.exists() else path.read_bytes()
    # A line torn by a kill is cut off, so that it spoils nothing but itself.
    append_bytes(path, data, keep=kept.rfind(b"\n") + 1)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            yield json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path} is no journal of predictions; choose another folder.") from error


def _rows(out: Path) -> Iterator[BatchRow]:
    names = {f.name for f in fields(BatchRow)}
    for line in _lines(out / JOURNAL):
        if "row" in line:
            known = ((k, v) for k, v in line["row"].items() if k in names)
            filled: dict[str, Any] = {k: math.nan if v is None else v for k, v in known}
            yield BatchRow(**filled)


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_table(out: Path, rows: Sequence[BatchRow]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([f.name for f in fields(BatchRow)])
    for row in rows:
        writer.writerow(["" if _plain(v) is None else v for v in asdict(row).values()])
    write_bytes(out / TABLE, text.getvalue().encode("utf-8"))
