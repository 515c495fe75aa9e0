"""A weights version as a model folder of its own: base plus delta in one checkpoint, as nnInteractive has it.

nnInteractive's own session loads the folder as it is, and so does this program (``--model FOLDER``). Weights
are written in the precision in which the live network holds them, so that both answer bit-equally.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clopa_annotator.errors import CacheError, ConfigError, DeltaMismatch
from clopa_annotator.models.card import CARD, lineage, model_card
from clopa_annotator.session.model import CHECKPOINT_NAME, LoadedModel, read_checkpoint
from clopa_annotator.types import WeightsVersion

COPIED = ("plans.json", "dataset.json", "inference_info.json", "inference_session_class.json", "LICENSE")
LINEAGE = "lineage.json"


def write_model_folder(
    model: LoadedModel,
    delta: Mapping[str, Tensor],
    version: WeightsVersion,
    out: Path,
    campaign: str = "",
    confirmed: int = 0,
) -> Path:
    """Write a version as a model folder; it appears whole or not at all.

    Args:
        model: the campaign's model; its live weights are neither read nor changed, its base is.
        delta: the version's tensors that differ from the base.
        version: whose lineage goes into the model card.
        out: a folder to be made, or an empty one.
        campaign: name of the campaign, for the model card.
        confirmed: how many cases the campaign has confirmed, for the model card.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder holds something.
        DeltaMismatch: the delta does not fit the base.
        ModelError: the base model's folder is damaged or gone.
        CacheError: the folder cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} holds something already. Choose a new folder for the model.")
    checkpoint = read_checkpoint(model.folder)
    weights = merged_weights(model, delta)
    fresh = out.with_name(f"{out.name}.new-{os.getpid()}")
    try:
        _write(fresh, model, weights, checkpoint)
        (fresh / CARD).write_text(
            model_card(version, model.folder.name, campaign, confirmed), encoding="utf-8"
        )
        (fresh / LINEAGE).write_text(
            json.dumps(lineage(version, campaign), indent=1) + "\n", encoding="utf-8"
        )
        if out.exists():
            out.rmdir()
        fresh.rename(out)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise CacheError(
            f"The model could not be written to {out}: {error}. Is there room on the disk?"
        ) from error
    return out


def _write(
    fresh: Path, model: LoadedModel, weights: dict[str, Tensor], checkpoint: Mapping[str, Any]
) -> None:
    fold = fresh / "fold_0"
    fold.mkdir(parents=True)
    for name in COPIED:
        if (model.folder / name).is_file():
            shutil.copyfile(model.folder / name, fresh / name)
    if not (fresh / "LICENSE").exists():
        (fresh / "LICENSE").write_text(f"{model.licence}\n", encoding="utf-8")
    torch.save(
        {
            "network_weights": weights,
            "trainer_name": model.artifacts["trainer_name"],
            "init_args": {"configuration": checkpoint["init_args"]["configuration"]},
        },
        fold / CHECKPOINT_NAME,
    )


def merged_weights(model: LoadedModel, delta: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole ``state_dict`` of base plus delta, on the CPU; tensors with several names stay one.

    Raises:
        DeltaMismatch: a name or shape is not the base's.
    """
    for name, value in delta.items():
        if name not in model.base or model.base[name].shape != value.shape:
            raise DeltaMismatch(f"The weights for {name} do not fit the base model; nothing was written.")
    network = getattr(model.network, "_orig_mod", model.network)
    values: dict[int, Tensor] = {}
    for name, parameter in network.named_parameters():
        value = delta.get(name, model.base[name])
        values[parameter.data_ptr()] = value.to("cpu", parameter.dtype, copy=True).contiguous()
    state: dict[str, Tensor] = network.state_dict()
    return {
        name: values[tensor.data_ptr()] if tensor.data_ptr() in values else tensor.detach().cpu().clone()
        for name, tensor in state.items()
    }
