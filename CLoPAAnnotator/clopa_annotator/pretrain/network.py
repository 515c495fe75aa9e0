"""The base model's network: a residual-encoder U-Net that nnInteractive's session can build by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet
from torch import nn

from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import Kji
from clopa_annotator.session.looks import CHANNELS

ARCHITECTURE = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"


@dataclass(frozen=True)
class NetworkDesign:
    """Size of the network.

    Attributes:
        features: channels of each stage; every stage after the first halves the resolution.
        blocks: residual blocks in each encoder stage.
        decoder_convolutions: convolutions in each decoder stage.
        patch_kji: input patch in voxels; above 48, because the session's refinement keeps 24 on each side.
    """

    features: tuple[int, ...] = (8, 32, 64, 128, 160)
    blocks: int = 1
    decoder_convolutions: int = 1
    patch_kji: Kji = (64, 64, 64)

    def __post_init__(self) -> None:
        step = 2 ** (len(self.features) - 1)
        if not self.features or any(n % step for n in self.patch_kji):
            raise ConfigError(
                f"The patch {self.patch_kji} must be divisible by {step} along each axis for "
                f"{len(self.features)} stages."
            )
        if min(self.patch_kji) <= 48:
            raise ConfigError(
                "The patch must be larger than 48 voxels: the session's refinement needs the margin."
            )

    def keywords(self) -> dict[str, Any]:
        """Arguments of the architecture as nnU-Net's plans hold them (types as import paths)."""
        stages = len(self.features)
        return {
            "n_stages": stages,
            "features_per_stage": list(self.features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_blocks_per_stage": [self.blocks] * stages,
            "n_conv_per_stage_decoder": [self.decoder_convolutions] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        }


def build_network(design: NetworkDesign, deep_supervision: bool = False) -> nn.Module:
    """The network with fresh weights: (batch, 8, k, j, i) to (batch, 2, k, j, i).

    Args:
        design: its size.
        deep_supervision: return the logits of every decoder stage, finest first; the weights are the same.
    """
    keywords = {
        **design.keywords(),
        "conv_op": nn.Conv3d,
        "norm_op": nn.InstanceNorm3d,
        "nonlin": nn.LeakyReLU,
    }
    network: nn.Module = ResidualEncoderUNet(
        CHANNELS, num_classes=2, deep_supervision=deep_supervision, **keywords
    )
    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(module.weight, a=1e-2)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


def count_parameters(network: nn.Module) -> int:
    """Number of trained values."""
    return sum(p.numel() for p in network.parameters())


def same_device(network: nn.Module) -> torch.device:
    """The device of a network's weights."""
    return next(network.parameters()).device
