"""A checkpoint folder becomes a network that sessions share.

The layout is nnInteractive's: ``plans.json``, ``dataset.json``, ``inference_info.json`` (or the older
``inference_session_class.json``), ``fold_*/checkpoint_final.pth`` and, if there is one, ``LICENSE``, whose
first line is shown. Deviation from nnInteractive's own loader: nothing is unpickled. The checkpoint is read
with ``weights_only=True``, and the plans can name no class outside torch and dynamic-network-architectures.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import threading
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from nnInteractive.interaction.point import PointInteraction_stub
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from torch import nn

from clopa_annotator.errors import ModelError, ModelNotPresent
from clopa_annotator.geometry import Kji
from clopa_annotator.session.checksums import check_sums
from clopa_annotator.session.lean import (
    PlansManager,
    nnInteractiveInferenceSession,
    nnInteractiveTrainer_stub,
)
from clopa_annotator.session.upstream import hush

logger = logging.getLogger(__name__)

CHECKPOINT_NAME = "checkpoint_final.pth"
SMALLEST_PATCH = 49
"""nnInteractive's refinement keeps a margin of 24 voxels on each side of a patch; 48 leaves nothing."""

_TRUSTED_PACKAGES = ("torch.nn.", "dynamic_network_architectures.")
_REQUIRED = ("plans.json", "dataset.json")
_MAPPINGS = ("inference_info.json", "inference_session_class.json")


@dataclass(eq=False)
class LoadedModel:
    """A network with all that a session needs to use it; shared by every session of the process.

    Attributes:
        network: in evaluation mode, on `device`; its weights are swapped in place.
        artifacts: for nnInteractive's ``initialize_from_loaded_artifacts``; holds `network` itself.
        patch_size_kji: number of voxels that the network sees at once, along k, j and i.
        licence: first line of the model's LICENSE, or "!!MISSING!!".
        model_hash: SHA-256 over the base weights, hexadecimal; a swap does not change it.
        folder: where the model was read from.
        device: where the network lies.
        lock: held during each prediction and each swap, so that one never meets the other.
        version: number of the weights version in `network`; only ``swap`` sets it, under `lock`.
        lineage: key of the target whose version that is; "" for the campaign's first. Set with `version`.
    """

    network: nn.Module
    artifacts: dict[str, Any]
    patch_size_kji: Kji
    licence: str
    model_hash: str
    folder: Path
    device: torch.device
    lock: threading.RLock = field(default_factory=threading.RLock)
    version: int = 0
    lineage: str = ""
    _base: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)

    @property
    def base(self) -> Mapping[str, torch.Tensor]:
        """The weights as loaded, on the CPU; shared and to be read only: a copy takes longer than a swap."""
        return MappingProxyType(self._base)

    def base_state(self) -> dict[str, torch.Tensor]:
        """Copies of ``network.named_parameters()`` as they were loaded, on the CPU."""
        return {name: tensor.clone() for name, tensor in self._base.items()}


def choose_device(name: str = "auto") -> torch.device:
    """The device called ``name``; "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        ModelError: this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f'PyTorch knows no device "{name}". Use "auto", "cpu", "cuda" or "mps".') from error
    missing_cuda = device.type == "cuda" and (
        not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()
    )
    if missing_cuda or (device.type == "mps" and not torch.backends.mps.is_available()):
        raise ModelError(f'PyTorch finds no device "{name}" on this machine. Use "auto" or "cpu".')
    return device


def load_model(folder: Path, device: str = "auto") -> LoadedModel:
    """Read a checkpoint folder and build its network.

    Args:
        folder: in nnInteractive's layout.
        device: a PyTorch device name, or "auto".

    Raises:
        ModelNotPresent: the folder or one of its files is missing.
        ModelError: a file is damaged, does not fit the others or is not safe to read.
    """
    hush()
    folder = Path(folder)
    where = choose_device(device)
    checkpoint_path = _find_files(folder)
    plans, dataset = (_read_json(folder / name) for name in _REQUIRED)
    checkpoint = _read_checkpoint(checkpoint_path)
    try:
        artifacts = _build_artifacts(folder, plans, dataset, checkpoint)
        network: nn.Module = artifacts["network"]
        network.load_state_dict(checkpoint["network_weights"])
        patch_size_kji = _patch_size(artifacts)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f'The model in "{folder}" cannot be built because its files do not fit each other'
            f" ({_first_line(error)}). Get the model again, or choose another folder."
        ) from error
    base = {name: p.detach().clone() for name, p in network.named_parameters()}
    network.to(where).eval()
    return LoadedModel(
        network=network,
        artifacts=artifacts,
        patch_size_kji=patch_size_kji,
        licence=str(artifacts["license"]),
        model_hash=hash_weights(base),
        folder=folder,
        device=where,
        _base=base,
    )


def hash_weights(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256, hexadecimal, over names, shapes, dtypes and bytes in the order of the sorted names.

    Raises:
        ModelError: a weight is NaN or infinite.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        if not torch.isfinite(tensor).all():
            raise ModelError(f'The model\'s weights are damaged: "{name}" has values that are not finite.')
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.view(torch.uint8).numpy().data if tensor.ndim else tensor.numpy().tobytes())
    return digest.hexdigest()


def _find_files(folder: Path) -> Path:
    if not folder.is_dir():
        raise ModelNotPresent(f'There is no model folder "{folder}". Get the model, or choose another.')
    for name in _REQUIRED:
        if not (folder / name).is_file():
            raise ModelNotPresent(f'The model folder "{folder}" lacks "{name}". Get the model again.')
    if not any((folder / name).is_file() for name in _MAPPINGS):
        raise ModelNotPresent(f'The model folder "{folder}" lacks "{_MAPPINGS[0]}". Get the model again.')
    found = sorted(folder.glob(f"fold_*/{CHECKPOINT_NAME}"))
    if not found:
        raise ModelNotPresent(
            f'The model folder "{folder}" lacks "fold_0/{CHECKPOINT_NAME}". Get the model again.'
        )
    if len(found) > 1:
        raise ModelError(f'The model folder "{folder}" holds {len(found)} folds. Keep the one to be used.')
    return found[0]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f'"{path}" cannot be read ({_first_line(error)}). Get the model again.') from error
    if not isinstance(content, dict):
        raise ModelError(f'"{path}" holds no JSON object. Get the model again.')
    return content


def _numpy_scalars() -> list[Any]:
    """What nnU-Net leaves in its checkpoints' bookkeeping: numpy's plain numbers. None of them runs code."""
    scalar = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "bool")]
    return [scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *dtypes]


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        check_sums(path)
        with torch.serialization.safe_globals(_numpy_scalars()):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        sound = isinstance(checkpoint["network_weights"], dict) and isinstance(
            checkpoint["init_args"]["configuration"], str
        )
    except pickle.UnpicklingError as error:
        raise ModelError(
            f'"{path}" is damaged or holds Python objects, which could run code and are not read.'
            " Get the model from its source again."
        ) from error
    except (
        OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error
    ) as error:  # fmt: skip
        raise ModelError(f'"{path}" is damaged ({_first_line(error)}). Get the model again.') from error
    if not sound:
        raise ModelError(f'"{path}" is not an nnInteractive checkpoint. Choose another model.')
    return dict(checkpoint)


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """The checkpoint of a model folder as it was stored, nothing unpickled; raises like `load_model`."""
    return _read_checkpoint(_find_files(folder))


def _check_plans(architecture: Mapping[str, Any]) -> None:
    """Plans name classes that will be imported and called: let them name networks and layers only."""
    arguments = architecture["arch_kwargs"]
    names = [architecture["network_class_name"], *(arguments[k] for k in architecture["_kw_requires_import"])]
    for name in names:
        if name is not None and not str(name).startswith(_TRUSTED_PACKAGES):
            raise ModelError(
                f'The model\'s plans ask for "{name}", which is no known network or layer and is not loaded.'
                " Get the model from its source again."
            )


def _build_artifacts(
    folder: Path, plans: dict[str, Any], dataset: dict[str, Any], checkpoint: Mapping[str, Any]
) -> dict[str, Any]:
    """What nnInteractive's `_load_model_artifacts_from_disk` returns, from parts that are already read."""
    # Upstream's own reader of the capability file, on a session that is used for nothing else.
    reader = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=torch.get_num_threads())
    capability, radius, thickness, decay, pad_mode = reader._load_capability_and_runtime_defaults(str(folder))
    reader._apply_capability(capability)
    manager = PlansManager({"label_manager": "LabelManager", **plans})
    configuration = manager.get_configuration(checkpoint["init_args"]["configuration"])
    _check_plans(configuration.configuration["architecture"])
    channels = determine_num_input_channels(manager, configuration, dataset) + reader.num_interaction_channels
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing class is an ImportError too, and that one is told
        network = nnInteractiveTrainer_stub.build_network_architecture(
            manager, configuration, channels, 2, enable_deep_supervision=False
        )
    return {
        "capability_content": capability,
        "point_interaction": PointInteraction_stub(radius, True),
        "preferred_scribble_thickness": thickness,
        "interaction_decay": decay,
        "pad_mode_data": pad_mode,
        "network": network,
        "plans_manager": manager,
        "configuration_manager": configuration,
        "dataset_json": dataset,
        "trainer_name": str(checkpoint.get("trainer_name", "nnInteractiveTrainer_stub")),
        "label_manager": manager.get_label_manager(dataset),
        "license": reader._load_license(str(folder), plans, checkpoint),
    }


def _patch_size(artifacts: Mapping[str, Any]) -> Kji:
    k, j, i = (int(n) for n in artifacts["configuration_manager"].patch_size)
    if min(k, j, i) < SMALLEST_PATCH:
        raise ModelError(
            f"The model sees {k}x{j}x{i} voxels at once; nnInteractive needs more than {SMALLEST_PATCH - 1}"
            " along each axis. Choose a model with larger patches."
        )
    return (k, j, i)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".: ") if text else type(error).__name__
