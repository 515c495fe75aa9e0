"""A network as a model folder that nnInteractive's own session loads unchanged.

Layout::

    LICENSE                     first line: the licence's short name
    plans.json                  patch size and architecture
    dataset.json                one channel, two labels
    inference_info.json         which prompts, decay, point radius
    fold_0/checkpoint_final.pth network_weights, trainer_name, init_args.configuration
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clopa_annotator.episode.prompt_canvas import EncodingRules
from clopa_annotator.errors import ModelError
from clopa_annotator.pretrain.network import ARCHITECTURE, NetworkDesign, build_network

CONFIGURATION = "3d_fullres"
CHECKPOINT = "fold_0/checkpoint_final.pth"
LICENCE = """CC BY 4.0
https://creativecommons.org/licenses/by/4.0/

CLoPA base model. Trained from scratch on generated volumes only; no patient data and no other model's weights
went into it. Made by `clopa pretrain`; see docs/model-card.md.
"""


def export_model(
    network_weights: Mapping[str, Tensor],
    design: NetworkDesign,
    rules: EncodingRules,
    folder: Path,
    *,
    half: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write a model folder; an earlier one of the same name is replaced when the new one is complete.

    Args:
        network_weights: the network's ``state_dict``.
        design: its architecture.
        rules: its encoding.
        folder: where to.
        half: store the weights as float16 (half the size); they load into a float32 network.
        about: plain values for ``training.json`` (seed, updates, wall time), for the model card.

    Returns:
        The folder.
    """
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "fold_0").mkdir(parents=True)
    _write_json(fresh / "plans.json", _plans(design))
    _write_json(fresh / "dataset.json", _dataset())
    _write_json(fresh / "inference_info.json", _capabilities(rules))
    _write_json(fresh / "training.json", dict(about or {}))
    (fresh / "LICENSE").write_text(LICENCE, encoding="utf-8")
    dtype = torch.float16 if half else torch.float32
    torch.save(
        {
            "network_weights": _stored(network_weights, dtype),
            "trainer_name": "nnInteractiveTrainer_stub",
            "init_args": {"configuration": CONFIGURATION},
        },
        fresh / CHECKPOINT,
    )
    return _swap_in(fresh, folder)


def _swap_in(fresh: Path, folder: Path) -> Path:
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def read_design(folder: Path) -> tuple[NetworkDesign, EncodingRules]:
    """Architecture and encoding of a folder that `export_model` wrote.

    Raises:
        ModelError: a file is missing or does not describe such a network.
    """
    try:
        configuration = json.loads((folder / "plans.json").read_text("utf-8"))["configurations"][
            CONFIGURATION
        ]
        info = json.loads((folder / "inference_info.json").read_text("utf-8"))
        keywords = configuration["architecture"]["arch_kwargs"]
        (k, j, i) = configuration["patch_size"]
        design = NetworkDesign(
            tuple(keywords["features_per_stage"]),
            keywords["n_blocks_per_stage"][0],
            keywords["n_conv_per_stage_decoder"][0],
            (k, j, i),
        )
        return design, EncodingRules((k, j, i), info["interaction_decay"], info["point_radius"])
    except (OSError, KeyError, ValueError, TypeError, IndexError) as error:
        raise ModelError(f"The folder {folder} does not hold a model made by clopa pretrain.") from error


def load_network(folder: Path) -> nn.Module:
    """The network of a folder that `export_model` wrote, with its weights, in float32.

    Raises:
        ModelError: a file is missing or damaged.
    """
    design, _ = read_design(folder)
    network = build_network(design)
    try:
        content = torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)
        network.load_state_dict(content["network_weights"])
    except (OSError, KeyError, RuntimeError, EOFError) as error:
        raise ModelError(f"The weights in {folder} are missing or damaged; get the model again.") from error
    return network


def _stored(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Copies in which tensors that are one stay one: a U-Net's decoder names its encoder's weights again."""
    copies: dict[int, Tensor] = {}
    for tensor in weights.values():
        if tensor.data_ptr() not in copies:
            copy = tensor.detach().cpu().to(dtype).clone(memory_format=torch.contiguous_format)
            copies[tensor.data_ptr()] = copy
    return {name: copies[tensor.data_ptr()] for name, tensor in weights.items()}


def _plans(design: NetworkDesign) -> dict[str, Any]:
    configuration = {
        "data_identifier": "generated",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(design.patch_kji),
        "spacing": [1.0, 1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "batch_dice": False,
        "architecture": {
            "network_class_name": ARCHITECTURE,
            "arch_kwargs": design.keywords(),
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    return {
        "dataset_name": "CLoPA_generated",
        "plans_name": "clopa",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": list(design.patch_kji),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
        "label_manager": "LabelManager",
    }


def _dataset() -> dict[str, Any]:
    return {
        "channel_names": {"0": "image"},
        "labels": {"background": 0, "target": 1},
        "numTraining": 0,
        "file_ending": ".nii.gz",
    }


def _capabilities(rules: EncodingRules) -> dict[str, Any]:
    return {
        "inference_class": "nnInteractiveInferenceSession",
        "inference_class_min_version": "2.6.0",
        "supported_interactions": {
            "points": True,
            "bbox2d": True,
            "bbox3d": False,
            "scribble": True,
            "lasso": True,
        },
        "supports_initial_label": True,
        "supports_zero_shot_label_refinement": True,
        "interaction_channels": 6,
        "channel_mapping": {
            "prev_seg": 0,
            "bbox2d": [1, 2],
            "bbox3d": [1, 2],
            "lasso": [1, 2],
            "points": [3, 4],
            "scribble": [5, 6],
        },
        "point_radius": rules.point_radius,
        "preferred_scribble_thickness": [2, 2, 2],
        "interaction_decay": rules.decay,
        "pad_mode_image": "constant",
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
