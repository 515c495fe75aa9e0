"""The job folder: an order to train, and what came of it, as files that another program can read.

::

    request.json          what to train on, from which weights, how; written once
    parent.safetensors    the parent version's delta; absent when starting from the base
    start.safetensors     other weights to train from than the parent's; rarely there
    progress.jsonl        one JSON object per line while training, see `progress.Progress`
    checkpoint.safetensors  the state after the last complete epoch; goes with the finished job
    delta.safetensors     the candidate's tensors
    result.json           how it ended

``docs/formats/episode.md`` is the specification.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from clopa_annotator.durable import make_folder, write_bytes
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.errors import EpisodeError
from clopa_annotator.types import CaseRef, EpisodeRequest, EpisodeResult, GateDecision, Split

FORMAT = "clopa-episode/1"
REQUEST, PROGRESS = "request.json", "progress.jsonl"
PARENT, START = "parent.safetensors", "start.safetensors"
CHECKPOINT, DELTA, RESULT = "checkpoint.safetensors", "delta.safetensors", "result.json"


@dataclass(frozen=True)
class EpisodeJob:
    """A job folder's order, read back.

    Attributes:
        folder: the job folder.
        request: what the scheduler asked for.
        settings: how to train.
        train: cases to train on, in order of arrival.
        val: held-out cases, in order of arrival.
        campaign: folder of the campaign that holds the cases.
        model_folder: checkpoint folder of the base model.
        has_parent: whether ``parent.safetensors`` holds the parent version's delta.
        has_start: whether ``start.safetensors`` holds other weights to train from, for instance what was
            learned since the parent was registered. The gate still compares against the parent.
        others: by record hash, masks of other targets of the same image that the network is given as what it
            is not; empty unless the campaign says so.
    """

    folder: Path
    request: EpisodeRequest
    settings: EpisodeSettings
    train: tuple[CaseRef, ...]
    val: tuple[CaseRef, ...]
    campaign: Path
    model_folder: Path
    has_parent: bool
    has_start: bool = False
    others: Mapping[str, tuple[CaseRef, ...]] = field(default_factory=dict)

    @property
    def parent_path(self) -> Path | None:
        """The parent version's delta; None for the base."""
        return self.folder / PARENT if self.has_parent else None

    @property
    def start_path(self) -> Path | None:
        """The delta to train from; None for the base."""
        return self.folder / START if self.has_start else self.parent_path


def write_job(
    folder: Path,
    request: EpisodeRequest,
    settings: EpisodeSettings,
    cases: Sequence[CaseRef],
    model_folder: Path,
    parent_delta: Path | None = None,
    *,
    campaign: Path,
    start_delta: bytes | None = None,
    others: Mapping[str, Sequence[CaseRef]] | None = None,
) -> Path:
    """Prepare a job folder; its ``request.json`` appears last, so a folder that has one is complete.

    Args:
        folder: made if it is not there; a file left by an interrupted preparation is replaced.
        request: the scheduler's order; its split names cases by sequence number.
        settings: how to train.
        cases: at least the cases of the split.
        model_folder: the base model.
        parent_delta: delta of ``request.parent_version``; copied in. None for the base.
        campaign: folder that the cases lie in.
        start_delta: a delta file's content to train from instead of the parent's.
        others: see `EpisodeJob`.

    Returns:
        The folder.

    Raises:
        EpisodeError: a case of the split is not among ``cases``, or the folder holds another order.
    """
    by_sequence = _of_the_split(request, cases)
    content = {
        "format": FORMAT,
        "request": _plain_request(request),
        "settings": settings.to_dict(),
        "train": [by_sequence[n].to_dict() for n in request.split.train],
        "val": [by_sequence[n].to_dict() for n in request.split.val],
        "campaign": _portable(campaign, folder),
        "model_folder": _portable(model_folder, folder),
        "has_parent": parent_delta is not None,
        "has_start": start_delta is not None,
        **plain_others(others or {}),
    }
    data = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
    target = folder / REQUEST
    if target.exists() and target.read_bytes() != data:
        raise EpisodeError(f'The folder "{folder}" already holds another episode; use a new folder.')
    make_folder(folder)
    if parent_delta is not None:
        write_bytes(folder / PARENT, parent_delta.read_bytes())
    if start_delta is not None:
        write_bytes(folder / START, start_delta)
    write_bytes(target, data)
    return folder


def _of_the_split(request: EpisodeRequest, cases: Sequence[CaseRef]) -> dict[int, CaseRef]:
    """Cases by sequence number. Raises `EpisodeError` if one that the order names is not among them."""
    by_sequence = {c.sequence: c for c in cases}
    missing = sorted({*request.split.train, *request.split.val} - by_sequence.keys())
    if missing:
        raise EpisodeError(
            f"Episode {request.number} wants the confirmed case with sequence number {missing[0]}, which the "
            "campaign does not have; it may have been withdrawn. Ask the scheduler again."
        )
    return by_sequence


def read_job(folder: Path) -> EpisodeJob:
    """Read a job folder's order.

    Raises:
        EpisodeError: no job folder, one of another format, or a damaged one.
        ConfigError: a setting is unknown or out of range.
    """
    try:
        content = json.loads((folder / REQUEST).read_text("utf-8"))
        if content["format"] != FORMAT:
            raise EpisodeError(
                f'The episode in "{folder}" has the format {content["format"]}, this version reads {FORMAT}. '
                "Run it with the version that prepared it."
            )
        return EpisodeJob(
            folder,
            _request(content["request"]),
            EpisodeSettings.from_dict(content["settings"]),
            tuple(CaseRef.from_dict(c) for c in content["train"]),
            tuple(CaseRef.from_dict(c) for c in content["val"]),
            _resolve(content["campaign"], folder),
            _resolve(content["model_folder"], folder),
            bool(content["has_parent"]),
            bool(content.get("has_start", False)),
            read_others(content),
        )
    except OSError as error:
        raise EpisodeError(f'There is no episode to run in "{folder}": {REQUEST} cannot be read.') from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EpisodeError(
            f'The file {REQUEST} in "{folder}" is damaged; prepare the episode again.'
        ) from error


def plain_others(others: Mapping[str, Sequence[CaseRef]]) -> dict[str, Any]:
    """`EpisodeJob.others` as it is written; nothing if there are none."""
    rows = {record: [ref.to_dict() for ref in refs] for record, refs in others.items() if refs}
    return {"others": rows} if rows else {}


def read_others(content: Mapping[str, Any]) -> dict[str, tuple[CaseRef, ...]]:
    """The inverse of `plain_others`. Raises `KeyError`, `TypeError` or `AttributeError` if it is damaged."""
    rows = content.get("others", {})
    return {str(record): tuple(CaseRef.from_dict(ref) for ref in refs) for record, refs in rows.items()}


def write_result(folder: Path, result: EpisodeResult, decision: GateDecision | None = None) -> None:
    """Record how an episode ended, and the gate's decision once there is one; replaces what was there."""
    content: dict[str, Any] = {"format": FORMAT, **asdict(result), "decision": None}
    content["delta_path"] = result.delta_path.name if result.delta_path else None
    if decision is not None:
        content["decision"] = asdict(decision)
    write_bytes(folder / RESULT, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read_result(folder: Path) -> tuple[EpisodeResult, GateDecision | None] | None:
    """How an episode ended; None while it has not.

    Raises:
        EpisodeError: the file is damaged.
    """
    path = folder / RESULT
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        decision = content.pop("decision")
        known = {f.name for f in fields(EpisodeResult)}
        values = _with_tuples({k: v for k, v in content.items() if k in known})
        values["delta_path"] = folder / content["delta_path"] if content["delta_path"] else None
        return EpisodeResult(**values), _decision(decision)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EpisodeError(f'The file {RESULT} in "{folder}" is damaged; run the episode again.') from error


def _plain_request(request: EpisodeRequest) -> dict[str, Any]:
    """The first target's is written as before there were several."""
    values = asdict(request)
    return values if request.target else {k: v for k, v in values.items() if k != "target"}


def _request(values: Mapping[str, Any]) -> EpisodeRequest:
    split = Split(**{k: tuple(v) for k, v in values["split"].items()})
    return EpisodeRequest(**{**values, "split": split})


def _decision(values: Mapping[str, Any] | None) -> GateDecision | None:
    if values is None:
        return None
    return GateDecision(**_with_tuples(values))


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _portable(path: Path, folder: Path) -> str:
    """Relative to the job folder where the job lies inside ``path``, so that a campaign can be moved."""
    path, folder = Path(path).resolve(), folder.resolve()
    if folder.is_relative_to(path):
        return Path(os.path.relpath(path, folder)).as_posix()
    return str(path)


def _resolve(text: str, folder: Path) -> Path:
    path = Path(text)
    return path if path.is_absolute() else (folder / path).resolve()
