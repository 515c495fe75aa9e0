"""A small untrained model in nnInteractive's layout, for tests, benchmarks and trying things out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from clopa_annotator.session.lean import PlansManager, nnInteractiveTrainer_stub
from clopa_annotator.session.model import CHECKPOINT_NAME

CONFIGURATION = "3d_fullres"
INPUT_CHANNELS = 8
PROMPT_GAIN = 20.0
TARGET_BIAS = -6.0
QUICKEST: dict[str, Any] = {"patch_size_kji": (52, 52, 52), "features": (8, 8, 8)}
"""For `write_random_model`: the quickest network of three stages that nnInteractive takes, on a processor.

Its patches have to be larger than 48. Channels come in eights because oneDNN works in eights: (4, 8, 8) takes
twice as long as (8, 8, 8).
"""


def random_plans(
    patch_size_kji: Sequence[int], features: Sequence[int], blocks: Sequence[int]
) -> dict[str, Any]:
    """Plans of a residual-encoder U-Net with one stage per entry of ``features``."""
    stages = len(features)
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_blocks_per_stage": list(blocks),
            "n_conv_per_stage_decoder": [1] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    return {
        "dataset_name": "Dataset000_Random",
        "plans_name": "random",
        "label_manager": "LabelManager",
        "configurations": {CONFIGURATION: {"patch_size": list(patch_size_kji), "architecture": architecture}},
    }


def write_random_model(
    folder: Path,
    *,
    patch_size_kji: Sequence[int] = (64, 64, 64),
    features: Sequence[int] = (8, 16, 32, 64),
    blocks: Sequence[int] | None = None,
    seed: int = 0,
    licence: str = "CC0-1.0",
) -> Path:
    """Write a model folder with random weights; its proposals are blobs near prompts, not segmentations.

    Args:
        folder: created if it does not exist.
        patch_size_kji: number of voxels per axis, divisible by 2 to the number of stages less one.
        features: channels per resolution stage.
        blocks: residual blocks per stage; one each if None.
        seed: of the weights; the process's random state is left alone.
        licence: first line of the folder's LICENSE.
    """
    plans = random_plans(patch_size_kji, features, blocks or [1] * len(features))
    manager = PlansManager(plans)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nnInteractiveTrainer_stub.build_network_architecture(
            manager,
            manager.get_configuration(CONFIGURATION),
            INPUT_CHANNELS,
            2,
            enable_deep_supervision=False,
        )
    _listen_to_prompts(network)
    checkpoint = {
        "network_weights": network.state_dict(),
        "trainer_name": "nnInteractiveTrainer_stub",
        "init_args": {"configuration": CONFIGURATION},
    }
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, folder / "fold_0" / CHECKPOINT_NAME)
    texts = {
        "plans.json": json.dumps(plans, indent=1),
        "dataset.json": json.dumps(
            {"channel_names": {"0": "image"}, "labels": {"background": 0, "target": 1}}
        ),
        "inference_info.json": json.dumps({"interaction_channels": INPUT_CHANNELS - 2}),
        "LICENSE": f"{licence}\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def _listen_to_prompts(network: torch.nn.Module) -> None:
    """Make untrained weights answer to prompts: louder prompt channels, and a head that says no by default.

    As initialised, the image's noise decides alone and half of all voxels are target.
    """
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        parameters["encoder.stem.convs.0.conv.weight"][:, 2:] *= PROMPT_GAIN
        last = max(
            name for name in parameters if name.startswith("decoder.seg_layers") and name.endswith("bias")
        )
        parameters[last][1] += TARGET_BIAS
