"""Features of a frozen base network: pooled over the image for the router, per voxel for the head.

Routing has to mean the same tomorrow as today, so its features come from a copy of the *base* weights, never
from the live network, which learns.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from clopa_annotator.episode.parameters import unwrap
from clopa_annotator.errors import ModelError
from clopa_annotator.geometry import Kji
from clopa_annotator.session.looks import CHANNELS
from clopa_annotator.session.patches import normalise


class FrozenEncoder:
    """The base network's encoder, pooled: mean and standard deviation of every channel of every stage.

    The whole image is shown at once, without prompts: scaled down evenly until it fits the patch, never up,
    and padded with zeros around it; only positions inside the image are pooled.

    Args:
        network: with an ``encoder`` that gives one map per stage, as nnU-Net's do; it is copied.
        base: value of every parameter by its name in ``named_parameters()``.
        patch_kji: number of voxels that the network sees at once.
        device: where the copy lies.

    Raises:
        ModelError: the network has no such encoder.
    """

    def __init__(
        self, network: nn.Module, base: Mapping[str, Tensor], patch_kji: Kji, device: torch.device
    ) -> None:
        frozen = copy.deepcopy(unwrap(network))
        encoder = getattr(frozen, "encoder", None)
        if not isinstance(encoder, nn.Module):
            raise ModelError("This model's network has no encoder that experts could be told apart by.")
        with torch.no_grad():
            for name, parameter in frozen.named_parameters():
                parameter.copy_(base[name])
                parameter.requires_grad_(False)
        self._encoder = encoder.to(device).eval()
        self._patch = patch_kji
        self._device = device
        self._dimension: int | None = None

    @property
    def dimension(self) -> int:
        """Number of features; found by looking at noise once."""
        if self._dimension is None:
            noise = np.random.default_rng(0).normal(size=(8, 8, 8))
            self._dimension = len(self(noise))
        return self._dimension

    def __call__(self, voxels: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
        """(d,) features of a (k, j, i) image.

        Raises:
            ImageError: the image is constant, all zero or not finite.
            ModelError: the encoder does not give one map per stage.
        """
        image = normalise(torch.from_numpy(np.ascontiguousarray(voxels, dtype=np.float32)))
        image = _shrink_to(image, self._patch)
        network_input = torch.zeros((1, CHANNELS, *self._patch))
        inside = tuple(
            slice((p - n) // 2, (p - n) // 2 + n) for p, n in zip(self._patch, image.shape, strict=True)
        )
        network_input[0, 0][inside] = image
        with torch.no_grad():
            maps = self._encoder(network_input.to(self._device))
        if not isinstance(maps, list | tuple):
            raise ModelError("This model's encoder gives no map per stage, so experts cannot be told apart.")
        pooled = [_pool(stage[0].float().cpu(), inside, self._patch) for stage in maps]
        return np.concatenate(pooled)


def _shrink_to(image: Tensor, patch_kji: Kji) -> Tensor:
    factor = min(1.0, *(p / n for p, n in zip(patch_kji, image.shape, strict=True)))
    if factor == 1:
        return image
    size = [max(1, min(p, round(n * factor))) for p, n in zip(patch_kji, image.shape, strict=True)]
    return functional.interpolate(image[None, None], size=size, mode="area")[0, 0]


def _pool(stage: Tensor, inside: tuple[slice, ...], patch_kji: Kji) -> npt.NDArray[np.float64]:
    """Mean and standard deviation per channel of a (c, k, j, i) map, over the positions inside the image."""
    window = []
    for where, size, patch in zip(inside, stage.shape[1:], patch_kji, strict=True):
        low = min(where.start * size // patch, size - 1)
        window.append(slice(low, max(low + 1, -(-where.stop * size // patch))))
    flat = stage[(slice(None), *window)].flatten(1).double()
    pooled: npt.NDArray[np.float64] = torch.cat([flat.mean(1), flat.std(1, unbiased=False)]).numpy()
    return pooled


def last_layer(network: nn.Module) -> nn.Conv3d:
    """The decoder's last segmentation layer: a 1x1x1 convolution to two channels.

    Raises:
        ModelError: the network ends in something else.
    """
    layers = getattr(getattr(unwrap(network), "decoder", None), "seg_layers", None)
    layer = layers[-1] if isinstance(layers, nn.ModuleList) and len(layers) else None
    if not isinstance(layer, nn.Conv3d) or layer.kernel_size != (1, 1, 1) or layer.out_channels != 2:
        raise ModelError("This model does not end in a 1x1x1 convolution, so it cannot have a ridge head.")
    return layer


def parameters_of(layer: nn.Conv3d) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution.

    Raises:
        ModelError: it has no bias.
    """
    if layer.bias is None:
        raise ModelError("This model's last layer has no bias, so it cannot have a ridge head.")
    return layer.weight, layer.bias


@contextmanager
def captured_input(layer: nn.Module) -> Iterator[list[Tensor]]:
    """What a layer is given, per forward pass inside the block."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen.append(arguments[0].detach())

    handle = layer.register_forward_pre_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()
