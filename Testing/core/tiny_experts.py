"""A small residual U-Net, cases with a bright cube and a router that has learned, for the experts' tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet
from tiny_online import SIDE
from torch import nn

from clopa_annotator.experts.expert_settings import RouterSettings
from clopa_annotator.experts.ridge import RidgeClassifier
from clopa_annotator.experts.router import Router
from clopa_annotator.geometry import Geometry
from clopa_annotator.types import Image, Mask


def a_unet(seed: int = 0) -> nn.Module:
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ResidualEncoderUNet(
            8,
            2,
            [8, 16],
            nn.Conv3d,
            3,
            [1, 2],
            1,
            2,
            1,
            conv_bias=True,
            norm_op=nn.InstanceNorm3d,
            norm_op_kwargs={"affine": True},
            nonlin=nn.LeakyReLU,
        ).eval()


def a_case(seed: int) -> tuple[Image, Mask]:
    rng = np.random.default_rng(seed)
    low = rng.integers(2, 7, 3)
    mask = np.zeros((SIDE, SIDE, SIDE), np.uint8)
    mask[tuple(slice(int(n), int(n) + 6) for n in low)] = 1
    voxels = (rng.normal(10, 1, mask.shape) + 4 * mask).astype(np.float32)
    return Image(voxels, Geometry(mask.shape)), mask


def cases_of(center: npt.NDArray[np.float64], count: int, seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(len(center), len(center))) / np.sqrt(len(center))
    return center + rng.normal(size=(count, len(center))) @ (np.eye(len(center)) + 0.5 * mixing)


def a_router(experts: int = 3, cases: int = 15, d: int = 24) -> tuple[Router, npt.NDArray[np.float64]]:
    centers = 3 * np.random.default_rng(7).normal(size=(experts + 1, d))
    router = Router(RidgeClassifier(d), RouterSettings())
    for n in range(experts):
        for x in cases_of(centers[n], cases, n):
            router.learn(x, f"expert-{n}")
    return router, centers


def a_delta(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    parameters = dict(a_unet().named_parameters())
    names = [n for n in parameters if "norm" in n]
    return {n: torch.rand(parameters[n].shape, generator=generator) for n in names}
