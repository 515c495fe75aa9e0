"""Pretraining the base model: generated volumes, mixed prompts, the episodes' own loop.

The run is a function of its seed when its length is given in updates; given in minutes, the learning rate
follows the clock, so that a run of any length ends annealed.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from clopa_annotator.episode.hardware.allocator import keep_freed_memory
from clopa_annotator.errors import ConfigError
from clopa_annotator.pretrain.model_folder import check_replaceable, read_design
from clopa_annotator.pretrain.network import count_parameters
from clopa_annotator.pretrain.optimisation import Trainer
from clopa_annotator.pretrain.peers import Peers
from clopa_annotator.pretrain.pretrain_settings import PretrainProgress, PretrainSettings, read_settings
from clopa_annotator.pretrain.state import STATE, restore, save, start_of
from clopa_annotator.session.model import choose_device

__all__ = ["PretrainProgress", "PretrainSettings", "run"]

logger = logging.getLogger(__name__)


def run(
    settings: PretrainSettings,
    out: Path,
    device: str = "auto",
    on_progress: Callable[[PretrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """Train, or go on with the run in ``out``.

    Args:
        settings: the run; when resuming, only its length and intervals may differ.
        out: folder for ``state.pt`` (resume), ``curves.csv``, ``settings.json`` and ``model/``.
        device: "auto", "cpu", "cuda" or "mps".
        on_progress: called every ``log_s`` seconds.
        should_stop: asked before every window; True saves and returns.

    Returns:
        ``out/model``: the averaged weights in nnInteractive's checkpoint layout.

    Raises:
        ModelError: ``settings.start`` does not hold a model.
        ConfigError: it holds one of another design, or ``out`` holds files of another origin.
    """
    if (start := start_of(settings, out)) is not None:
        read_design(start)  # here, where one process can say what is wrong, and not in each of them
    _check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    if not settings.processes:
        settings = replace(settings, processes=2 if choose_device(device).type == "cpu" else 1)
    (out / "settings.json").write_text(json.dumps(asdict(settings), indent=2) + "\n", encoding="utf-8")
    rendezvous = out / f"peers-{os.getpid()}"
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_train, args=(settings, out, device, rank, rendezvous))
        for rank in range(1, settings.processes)
    ]
    for process in others:
        process.start()
    try:
        return _train(settings, out, device, 0, rendezvous, on_progress, should_stop)
    finally:
        for process in others:
            process.join(30)
            if process.is_alive():
                process.terminate()
        rendezvous.unlink(missing_ok=True)


def _check_folder(out: Path) -> None:
    """Refuse a folder in which other files have the names of a run's."""
    check_replaceable(out / "model")
    if (out / STATE).is_file() or not out.exists():
        return
    # A run that was killed before its first state has left settings that it can read.
    known, curves = out / "settings.json", out / "curves.csv"
    if known.exists():
        read_settings(known)
    elif curves.exists():
        raise ConfigError(
            f"{curves} was not made by a pretraining run. Move it away, or choose another folder."
        )


def _train(
    settings: PretrainSettings,
    out: Path,
    device: str,
    rank: int,
    rendezvous: Path,
    on_progress: Callable[[PretrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """One process of a run; the one with rank 0 leads."""
    keep_freed_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    state = restore(settings, out, choose_device(device), rank)
    peers = Peers(rank, settings.processes, rendezvous)
    logger.info("Pretraining %d parameters from update %d on", count_parameters(state.network), state.updates)
    trainer = Trainer(settings, out, state, peers, on_progress, should_stop)
    for side, simple, end in zip(settings.sides, settings.simple, settings.phase_ends, strict=True):
        trainer.train_phase(replace(settings.generator, side=side, simple=simple), end)
    peers.part()
    if peers.leads:
        save(state, out)
        trainer.export()
    return out / "model"
