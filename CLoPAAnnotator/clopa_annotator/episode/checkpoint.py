"""The state of an episode after a complete epoch, in one safetensors file that is replaced in one step.

No generator's state is in it: every sample and every prompt draws from a generator seeded by its place.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from clopa_annotator.durable import write_bytes
from clopa_annotator.errors import EpisodeError

_ADAM = ("step", "exp_avg", "exp_avg_sq")


@dataclass
class TrainState:
    """What an epoch leaves to the next.

    Attributes:
        epoch: last complete epoch; -1 before the first validation.
        updates: optimiser steps done.
        losses: mean loss per epoch.
        scores: validation score per epoch, from epoch 0; empty without held-out cases.
        smoothed: the smoothed scores that the best epoch is chosen by.
        best_epoch: epoch that would be handed over: the newest, or that of the best smoothed score.
        best: values of the tuned parameters after that epoch, on the CPU.
        mean: mean of the tuned parameters over updates so far; empty unless the weights are averaged.
        seconds: wall time, over all runs.
        micro_batch: most samples in a forward pass, as memory allowed.
        checkpointing: whether activations are recomputed.
    """

    epoch: int = -1
    updates: int = 0
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    mean: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    micro_batch: int = 0
    checkpointing: bool = False


def save_state(
    path: Path,
    state: TrainState,
    parameters: dict[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    scaler: Any,
    order: str,
) -> None:
    """Replace the checkpoint.

    Args:
        path: the file.
        state: what to keep.
        parameters: the tuned parameters by name.
        optimiser: Adam over them.
        scaler: a GradScaler or None.
        order: fingerprint of the job, see `fingerprint`.
    """
    tensors: dict[str, Tensor] = {f"now/{n}": p for n, p in parameters.items()}
    tensors |= {f"best/{n}": t for n, t in state.best.items()}
    tensors |= {f"mean/{n}": t for n, t in state.mean.items()}
    for name, parameter in parameters.items():
        kept = optimiser.state.get(parameter, {})
        tensors |= {f"{k}/{name}": kept[k] for k in _ADAM if k in kept}
    about = {k: v for k, v in vars(state).items() if k not in ("best", "mean")}
    about |= {"order": order, "scaler": scaler.state_dict() if scaler is not None else None}
    # The format knows one layout; training may use another (`layout`).
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    about["sha256"] = _hash(plain)
    write_bytes(path, bytes(save(plain, metadata={"state": json.dumps(about)})))


def load_state(
    path: Path,
    parameters: dict[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    scaler: Any,
    order: str,
) -> TrainState | None:
    """Go back to the last complete epoch; None if there is no checkpoint.

    Raises:
        EpisodeError: the checkpoint is damaged or belongs to another job.
    """
    if not path.exists():
        return None
    try:
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about, tensors = json.loads(header["__metadata__"]["state"]), load(data)
        if about.pop("order") != order:
            raise EpisodeError(
                "The checkpoint belongs to another episode; delete it to train this one from its start."
            )
        # Checkpoints of versions before this check have no hash.
        if about.pop("sha256", None) not in (None, _hash(tensors)):
            raise EpisodeError("The checkpoint is damaged; delete it to train from the start again.")
        scales = about.pop("scaler")
        if scaler is not None and scales:
            scaler.load_state_dict(scales)
        _restore(parameters, optimiser, tensors)
        best, mean = (
            {k.removeprefix(part): t for k, t in tensors.items() if k.startswith(part)}
            for part in ("best/", "mean/")
        )
        return TrainState(**about, best=best, mean=mean)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise EpisodeError("The checkpoint is damaged; delete it to train from the start again.") from error


def _restore(
    parameters: dict[str, nn.Parameter], optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]
) -> None:
    for name, parameter in parameters.items():
        with torch.no_grad():
            parameter.copy_(tensors[f"now/{name}"])
        kept = {k: tensors[f"{k}/{name}"] for k in _ADAM if f"{k}/{name}" in tensors}
        # Adam keeps its step count on the CPU and its moments beside the parameter.
        optimiser.state[parameter] = {k: t if k == "step" else t.to(parameter) for k, t in kept.items()}
        if not kept:
            del optimiser.state[parameter]


def _hash(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def fingerprint(request: bytes, model_hash: str) -> str:
    """What a checkpoint belongs to: the job's order and the base weights."""
    return hashlib.sha256(request + model_hash.encode()).hexdigest()
