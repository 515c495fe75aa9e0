"""A cache of results by the hash of everything that they depend on: curves of cases and trained episodes.

A comparison of strategies computes many things twice: the base model's curves are those of every strategy,
and `clopa-2phase` begins with the very episode of `clopa-in`. Both are functions of their inputs: the same
weights, voxels, clicks and settings give the same numbers. So each result is kept under a hash of all its
inputs, and whoever asks again gets it back. A comparison that was killed goes on the same way.

What is not a function of files is not kept: answers of weights that change while a stream is annotated.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from clopa_annotator import __version__
from clopa_annotator.cache.format.prompt_json import prompts_from_json, prompts_to_json
from clopa_annotator.config import CampaignConfig
from clopa_annotator.datasets import LabelledCase
from clopa_annotator.episode.folder import DELTA, PROGRESS, RESULT, EpisodeJob, read_job, read_result
from clopa_annotator.errors import EpisodeError
from clopa_annotator.evaluation.curves import CaseCurve
from clopa_annotator.evaluation.tables import to_json
from clopa_annotator.types import EpisodeResult, GateDecision

Outcome = tuple[EpisodeResult, GateDecision]
_EPISODE_FILES = (DELTA, PROGRESS, RESULT)
NO_MASKS = (0, 0, 0)
"""Simulated annotators give no whole mask, the one prompt that is read against its image's shape."""


class ResultCache:
    """A folder of results by the hash of what they are made from; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def curve(self, key: Mapping[str, Any], compute: Callable[[], CaseCurve]) -> CaseCurve:
        """The curve made from ``key``: read if it is there, else computed and kept."""
        path = self._folder / "curves-3" / f"{_hash(key)}.npz"
        if path.exists():
            return _read_curve(path)
        curve = compute()
        _write_curve(path, curve)
        return curve

    def episode(self, job: Path, key: Mapping[str, Any], run: Callable[[], Outcome]) -> Outcome:
        """The outcome of a job folder: files of an equal one are copied in, or ``run`` is called and kept.

        Args:
            job: a prepared job folder.
            key: what counts beside the job's own order, see `episode_key`.
            run: trains and checks; leaves its files in the job folder.
        """
        kept = self._folder / "episodes" / _hash(key)
        if kept.is_dir() and not (job / RESULT).exists():
            _copy_files(kept, job)
            ended = read_result(job)
            if ended is None or ended[1] is None:
                raise EpisodeError(f'The kept episode in "{kept}" is damaged; delete that folder.')
            return ended[0], ended[1]
        outcome = run()
        if not kept.is_dir() and outcome[0].status == "finished":
            fresh = kept.with_name(f"{kept.name}.{os.getpid()}.new")
            _copy_files(job, fresh)
            try:
                fresh.rename(kept)
            except OSError:  # another process was first; its files are the same
                shutil.rmtree(fresh)
        return outcome


def case_id_of(case: LabelledCase) -> str:
    """A hash of a case's files and of which label is its target."""
    target = f"{case.label} beside {case.others}" if case.others else str(case.label)
    target += f", part {case.part}" if case.part is not None else ""
    digest = hashlib.sha256(target.encode())
    for path in (case.image_path, case.label_path):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{case.name} {digest.hexdigest()}"


def episode_key(job: Path, config: CampaignConfig, model_hash: str) -> dict[str, Any]:
    """Everything that an episode and its check depend on; names of campaign and strategy do not count."""
    order = read_job(job)
    parent = order.parent_path.read_bytes() if order.parent_path else b""
    return {
        "code": __version__,
        "model": model_hash,
        "parent": hashlib.sha256(parent).hexdigest(),
        "settings": order.settings.to_dict(),
        "request": [order.request.number, order.request.parent_version, order.request.seed],
        "train": [(ref.case_id, ref.image_hash, ref.mask_hash) for ref in order.train],
        "val": [(ref.case_id, ref.image_hash, ref.mask_hash) for ref in order.val],
        **({"others": _hashes(order)} if order.others else {}),
        "gate": [config.gate_clicks, config.gate_runs, config.gate_min_gain, config.gate_worst_drop],
    }


def _hashes(order: EpisodeJob) -> list[list[str]]:
    """The masks of other targets that each mask of an episode is told of."""
    every = (order.others.get(ref.record_hash, ()) for ref in (*order.train, *order.val))
    return [[other.mask_hash for other in others] for others in every]


def _hash(key: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:40]


def _copy_files(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in _EPISODE_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def _write_curve(path: Path, curve: CaseCurve) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "case": curve.case_id,
        "run": curve.run,
        "version": curve.version,
        "used": curve.used,
        "prompts": prompts_to_json(curve.prompts),
        "zero": to_json([curve.dice_zero, curve.nsd_zero]),
    }
    arrays: dict[str, Any] = {n: np.asarray(getattr(curve, n), float) for n in ("dice", "nsd", "seconds")}
    arrays |= {f"mask_{click}": mask for click, mask in curve.proposals.items()}
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez_compressed(temporary, about=np.array(json.dumps(about)), **arrays)
    temporary.replace(path)


def _read_curve(path: Path) -> CaseCurve:
    with np.load(path, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        masks = {int(n.removeprefix("mask_")): file[n] for n in file.files if n.startswith("mask_")}
        dice, nsd, seconds = (tuple(float(v) for v in file[name]) for name in ("dice", "nsd", "seconds"))
    zero = [float("nan") if value is None else float(value) for value in about["zero"]]
    return CaseCurve(
        case_id=about["case"],
        run=about["run"],
        version=about["version"],
        dice=dice,
        nsd=nsd,
        seconds=seconds,
        used=about["used"],
        prompts=prompts_from_json(about["prompts"], NO_MASKS),
        proposals=masks,
        dice_zero=zero[0],
        nsd_zero=zero[1],
    )
