"""How much memory and computing a U-Net takes, from its plans alone. Free of torch: nothing is built.

Counted are the tensors that PyTorch keeps for the backward pass, each storage once. Of a residual-encoder
U-Net (dynamic-network-architectures) with V voxels and F features at a stage these are:

* a convolution with norm and non-linearity keeps its input, what it hands to the norm, and what the
  non-linearity made of the norm's result, in place; the last is the next layer's input;
* a residual block has two of them, the second without a non-linearity of its own: 4 F V in all;
* the way past a block that changes resolution keeps the pooled input, and F V more where it projects;
* a decoder stage keeps the concatenation, 2 F V, and 2 F V per convolution.

It makes no difference which weights are trained, but for the network's input: PyTorch keeps a convolution's
input even where its weight is frozen. ``Testing/core/test_episode_footprint.py`` compares this with the
tensors that PyTorch really keeps, and the peak with every allocation of a forward and backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clopa_annotator.errors import ConfigError
from clopa_annotator.geometry import Kji

INPUTS, OUTPUTS = 8, 2
LOSS_BYTES_PER_VOXEL = 16
"""Of the loss: the margin, its sigmoid and twice the target, float32."""
_GRADIENTS = 4
"""Tensors of a stage's size that are alive at once on the way back; found by counting every allocation."""


@dataclass(frozen=True)
class Architecture:
    """Size of a residual-encoder U-Net.

    Attributes:
        features: channels of each stage.
        blocks: residual blocks of each encoder stage.
        kernels_kji: kernel of each stage.
        strides_kji: stride of each stage's first convolution.
        decoder_convolutions: convolutions of each decoder stage, deepest first.
    """

    features: tuple[int, ...]
    blocks: tuple[int, ...]
    kernels_kji: tuple[Kji, ...]
    strides_kji: tuple[Kji, ...]
    decoder_convolutions: tuple[int, ...]

    @classmethod
    def from_plans(cls, configuration: Mapping[str, Any]) -> Architecture:
        """From one of the ``configurations`` of a model's ``plans.json``.

        Raises:
            ConfigError: another network, or plans that cannot be read.
        """
        try:
            design = configuration["architecture"]
            if str(design["network_class_name"]).rpartition(".")[2] != "ResidualEncoderUNet":
                raise ConfigError(f"The memory of a {design['network_class_name']} cannot be foreseen.")
            keywords = design["arch_kwargs"]
            stages = int(keywords["n_stages"])
            return cls(
                tuple(int(n) for n in keywords["features_per_stage"]),
                _each(keywords["n_blocks_per_stage"], stages),
                tuple(_kji(k) for k in keywords["kernel_sizes"]),
                tuple(_kji(s) for s in keywords["strides"]),
                _each(keywords["n_conv_per_stage_decoder"], stages - 1),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"The model's plans do not say how its network is built ({error}).") from error

    @property
    def step_kji(self) -> Kji:
        """What a patch has to be a multiple of."""
        k, j, i = (math.prod(stride[axis] for stride in self.strides_kji) for axis in range(3))
        return (k, j, i)

    def voxels(self, patch_kji: Kji) -> tuple[int, ...]:
        """Voxels of a patch at each stage's resolution."""
        sides, sizes = list(patch_kji), []
        for stride in self.strides_kji:
            sides = [math.ceil(n / s) for n, s in zip(sides, stride, strict=True)]
            sizes.append(math.prod(sides))
        return tuple(sizes)


RESENC_L = Architecture(
    (32, 64, 128, 256, 320, 320),
    (1, 3, 4, 6, 6, 6),
    ((3, 3, 3),) * 6,
    ((1, 1, 1), *((2, 2, 2),) * 5),
    (1,) * 5,
)
"""nnInteractive's official network, 102,355,818 parameters; its patch is 192 voxels along each axis."""
OFFICIAL_PATCH: Kji = (192, 192, 192)


def _each(value: Any, count: int) -> tuple[int, ...]:
    return (int(value),) * count if isinstance(value, int) else tuple(int(n) for n in value)


def _kji(value: Any) -> Kji:
    k, j, i = (int(value),) * 3 if isinstance(value, int) else (int(n) for n in value)
    return (k, j, i)


@dataclass(frozen=True)
class _Part:
    """A stretch of the network between two tensors that are kept in any case.

    Attributes:
        kept: values that stay until its turn on the way back comes, also with checkpointing.
        inner: values that checkpointing makes again instead of keeping them.
        width: features times voxels: values of one tensor there.
    """

    kept: int
    inner: int
    width: int


def _parts(design: Architecture, patch_kji: Kji, keeps_input: bool) -> Iterator[_Part]:
    """The parts in the order of the forward pass; stem and upsampling are never made again."""
    voxels, features = design.voxels(patch_kji), design.features
    before = features[0]
    yield _Part((INPUTS * keeps_input + 2 * before) * voxels[0], 0, before * voxels[0])
    for count, size, out, stride in zip(design.blocks, voxels, features, design.strides_kji, strict=True):
        width = out * size
        past = (before if stride != (1, 1, 1) and before != out else 0) * size + (before != out) * width
        yield _Part(width, (4 * count - 1) * width + past, width)
        before = out
    for stage, count in zip(range(len(features) - 2, -1, -1), design.decoder_convolutions, strict=True):
        width = features[stage] * voxels[stage]
        yield _Part(3 * width, (2 * count - 1) * width, width)


@dataclass(frozen=True)
class Footprint:
    """What a forward and backward pass of one micro-batch takes, in bytes.

    Attributes:
        saved: kept for the backward pass once the forward pass has ended.
        peak: highest sum of everything that is alive, without the weights and without the workspace of the
            library that convolves.
    """

    saved: int
    peak: int


def footprint(
    design: Architecture,
    patch_kji: Kji,
    *,
    batch: int = 1,
    value_bytes: int = 2,
    checkpointing: bool = False,
    keeps_input: bool = True,
) -> Footprint:
    """Memory of a forward and backward pass.

    Args:
        design: the network.
        patch_kji: its input, in voxels.
        batch: samples in the pass.
        value_bytes: of an activation: 2 under autocast, 4 in float32.
        checkpointing: whether `memory.MemorySaver` makes the inside of each stage again.
        keeps_input: whether a weight of the stem is trained, or anything before the first norm.
    """
    parts = list(_parts(design, patch_kji, keeps_input))
    loss = LOSS_BYTES_PER_VOXEL * math.prod(patch_kji)
    held, peak = 0, 0
    for part in parts:
        held += part.kept + (0 if checkpointing else part.inner)
        recomputed = part.inner if checkpointing else 0
        peak = max(peak, held + recomputed + _GRADIENTS * part.width)
    return Footprint(batch * (held * value_bytes + loss), batch * (peak * value_bytes + loss))


def click_bytes(design: Architecture, patch_kji: Kji, value_bytes: int = 2) -> int:
    """Peak of one prediction without a graph: what the encoder hands over, and the widest decoder stage.

    At each resolution on the way down the encoder's results so far are held, and about four tensors of the
    block that is being computed; on the way up the concatenation takes their place.
    """
    voxels, features = design.voxels(patch_kji), design.features
    held, peak = 0, 0
    for size, out in zip(voxels, features, strict=True):
        peak = max(peak, held + 4 * out * size)
        held += out * size
    for stage in range(len(features) - 2, -1, -1):
        held -= features[stage + 1] * voxels[stage + 1]
        peak = max(peak, held + 4 * features[stage] * voxels[stage])
    image = (INPUTS * 4 + OUTPUTS * value_bytes + 2) * voxels[0]
    return peak * value_bytes + image


def forward_operations(design: Architecture, patch_kji: Kji) -> int:
    """Operations of the convolutions in one forward pass of one sample (a product and its sum count 2)."""
    voxels, features = design.voxels(patch_kji), design.features
    kernels = [math.prod(k) for k in design.kernels_kji]
    before, total = features[0], INPUTS * features[0] * kernels[0] * voxels[0]
    stages: Sequence[tuple[int, int, int, int]] = list(
        zip(design.blocks, voxels, features, kernels, strict=True)
    )
    for count, size, out, kernel in stages:
        total += (before * out + (2 * count - 1) * out * out) * kernel * size
        total += before * out * size if before != out else 0
        before = out
    for stage, count in zip(range(len(features) - 2, -1, -1), design.decoder_convolutions, strict=True):
        out, size = features[stage], voxels[stage]
        total += features[stage + 1] * out * size
        total += (2 * out * out + (count - 1) * out * out) * kernels[stage] * size
    return 2 * (total + OUTPUTS * features[0] * voxels[0])


def parameter_count(design: Architecture) -> int:
    """Number of weights, biases and norms included."""
    kernels = [math.prod(k) for k in design.kernels_kji]
    norm, before = 3, design.features[0]  # a bias, and the norm's two
    total = INPUTS * before * kernels[0] + norm * before
    for count, out, kernel in zip(design.blocks, design.features, kernels, strict=True):
        total += before * out * kernel + (2 * count - 1) * out * out * kernel + 2 * count * norm * out
        total += before * out + 2 * out if before != out else 0
        before = out
    for stage, count in zip(
        range(len(design.features) - 2, -1, -1), design.decoder_convolutions, strict=True
    ):
        out, deeper = design.features[stage], design.features[stage + 1]
        total += deeper * out * math.prod(design.strides_kji[stage + 1]) + out
        total += (count + 1) * out * out * kernels[stage] + count * norm * out
        total += OUTPUTS * out + OUTPUTS
    return total
