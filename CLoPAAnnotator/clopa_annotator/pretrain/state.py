"""What a pretraining run keeps between its parts."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clopa_annotator.episode.hardware.channels_last import train_channels_last
from clopa_annotator.errors import ConfigError, ModelError
from clopa_annotator.pretrain.model_folder import load_network
from clopa_annotator.pretrain.network import build_network
from clopa_annotator.pretrain.pretrain_settings import PretrainSettings

STATE = "state.pt"


@dataclass
class RunState:
    """Weights, their moving average, the optimiser, and how far the run is.

    Attributes:
        network: with deep supervision if the settings say so.
        average: moving average of its parameters, by name.
        optimiser: over its parameters.
        rng: for prompts; differs between the processes of a run.
        lengths: for window lengths; the same in all of them.
        updates, volumes, seconds: done so far; volumes of this process alone.
    """

    network: nn.Module
    average: dict[str, Tensor]
    optimiser: torch.optim.AdamW
    rng: np.random.Generator
    lengths: np.random.Generator
    updates: int = 0
    volumes: int = 0
    seconds: float = 0.0


def restore(settings: PretrainSettings, out: Path, device: torch.device, rank: int) -> RunState:
    """What an earlier part of the run saved in ``out``; without one, fresh weights or those of ``start``.

    Raises:
        ModelError: ``start`` does not hold a model.
        ConfigError: it holds one of another design.
    """
    torch.manual_seed(settings.seed)
    network = build_network(settings.design, deep_supervision=settings.deep_supervision)
    if (folder := start_of(settings, out)) is not None:
        _start_from(network, folder)
    network = network.to(device)
    train_channels_last(network)
    optimiser = torch.optim.AdamW(
        network.parameters(),
        settings.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=settings.weight_decay,
        fused=device.type != "mps",
    )
    average = {n: p.detach().clone() for n, p in network.named_parameters()}
    updates, volumes, seconds = 0, 0, 0.0
    if (out / STATE).is_file():
        content = _read(out / STATE, device)
        network.load_state_dict(content["network"])
        optimiser.load_state_dict(content["optimiser"])
        average = content["average"]
        updates, volumes, seconds = content["updates"], content["volumes"], content["seconds"]
    # Prompts differ between the processes, window lengths must not.
    rng = np.random.default_rng((settings.seed, 1, rank, updates))
    lengths = np.random.default_rng((settings.seed, 2, updates))
    return RunState(network, average, optimiser, rng, lengths, updates, volumes, seconds)


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        return dict(torch.load(path, map_location=device, weights_only=True))
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"The state of the run in {path} is damaged. Move it away to start anew, or take the run's "
            "folder 'model' as --start of another run."
        ) from error


def start_of(settings: PretrainSettings, out: Path) -> Path | None:
    """The model folder that a run in ``out`` takes its first weights from; None draws or resumes them."""
    return Path(settings.start) if settings.start and not (out / STATE).is_file() else None


def _start_from(network: nn.Module, folder: Path) -> None:
    """Take a model's weights over."""
    try:
        network.load_state_dict(load_network(folder).state_dict())
    except RuntimeError as error:
        raise ConfigError(f"The model in {folder} has another design than this run asks for.") from error


def save(state: RunState, out: Path) -> None:
    """Write what `restore` reads, replacing the file in one step."""
    content = {
        "network": state.network.state_dict(),
        "average": state.average,
        "optimiser": state.optimiser.state_dict(),
        "updates": state.updates,
        "volumes": state.volumes,
        "seconds": state.seconds,
    }
    fresh = out / f"{STATE}.new"
    with fresh.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(out / STATE)


def averaged_weights(state: RunState) -> dict[str, Tensor]:
    """The averaged weights under every name that the network's ``state_dict`` knows them by."""
    by_tensor = {p.data_ptr(): state.average[n] for n, p in state.network.named_parameters()}
    return {n: by_tensor.get(t.data_ptr(), t) for n, t in state.network.state_dict().items()}
