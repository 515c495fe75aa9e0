"""Parameter groups: the paper's counts on the standard ResEnc-L, and no tensor twice."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clopa_annotator.episode.episode_settings import GROUPS
from clopa_annotator.episode.parameters import select, unwrap
from clopa_annotator.errors import ConfigError


def residual_unet(features: tuple[int, ...], blocks: tuple[int, ...]) -> nn.Module:
    from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet

    stages = len(features)
    return ResidualEncoderUNet(
        input_channels=8,
        n_stages=stages,
        features_per_stage=features,
        conv_op=nn.Conv3d,
        kernel_sizes=[[3, 3, 3]] * stages,
        strides=[[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
        n_blocks_per_stage=blocks,
        num_classes=2,
        n_conv_per_stage_decoder=[1] * (stages - 1),
        conv_bias=True,
        norm_op=nn.InstanceNorm3d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
    )


@pytest.fixture(scope="module")
def resenc_l() -> nn.Module:
    """The standard ResEnc-L, without memory for its weights."""
    with torch.device("meta"):
        return residual_unet((32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6))


@pytest.fixture(scope="module")
def small() -> nn.Module:
    torch.manual_seed(0)
    return residual_unet((4, 8, 8), (1, 1, 1))


def count(parameters: dict[str, nn.Parameter]) -> int:
    return sum(p.numel() for p in parameters.values())


def test_the_standard_network_has_the_papers_size(resenc_l: nn.Module) -> None:
    assert count(select(resenc_l, "all")) == 102_355_818


def test_instance_norm_is_62_modules_and_27648_parameters(resenc_l: nn.Module) -> None:
    chosen = select(resenc_l, "in")
    assert len(chosen) == 2 * 62
    assert count(chosen) == 27_648
    assert round(100 * 27_648 / 102_355_818, 3) == 0.027


def test_shallow_convolutions_add_stem_and_segmentation_layers(resenc_l: nn.Module) -> None:
    chosen = select(resenc_l, "cn")
    assert count(chosen) == 36_202
    assert len(chosen) == 136
    added = set(chosen) - set(select(resenc_l, "in"))
    assert {n for n in added if n.startswith("encoder")} == {
        "encoder.stem.convs.0.conv.weight",
        "encoder.stem.convs.0.conv.bias",
    }
    assert all(n.startswith("decoder.seg_layers.") for n in added if n.startswith("decoder"))


def test_the_last_layer_is_the_segmentation_layer_of_full_resolution(resenc_l: nn.Module) -> None:
    assert set(select(resenc_l, "last")) == {"decoder.seg_layers.4.weight", "decoder.seg_layers.4.bias"}
    assert count(select(resenc_l, "last")) == 2 * 32 + 2


def test_aliases_of_a_tensor_are_selected_once(small: nn.Module) -> None:
    assert len(small.state_dict()) > len(list(small.named_parameters()))
    for group in GROUPS:
        chosen = select(small, group)
        assert len({id(p) for p in chosen.values()}) == len(chosen)
        assert set(chosen) <= dict(small.named_parameters()).keys()


def test_the_decoder_group_leaves_the_encoder_alone(small: nn.Module) -> None:
    assert all(name.startswith("decoder.") for name in select(small, "decoder"))
    assert count(select(small, "decoder")) < count(select(small, "all"))


def test_groups_can_be_joined(small: nn.Module) -> None:
    joined = select(small, "in+last")
    assert set(joined) == set(select(small, "in")) | set(select(small, "last"))
    assert list(joined) == [n for n, _ in small.named_parameters() if n in joined]


def test_a_compiled_network_is_seen_through(small: nn.Module) -> None:
    compiled = torch.compile(small)
    assert unwrap(compiled) is small
    assert set(select(compiled, "in")) == set(select(small, "in"))


def test_only_the_last_segmentation_layer_gets_a_gradient(small: nn.Module) -> None:
    chosen = select(small, "cn")
    small(torch.randn(1, 8, 16, 16, 16)).sum().backward()
    without = {n for n, p in chosen.items() if p.grad is None}
    small.zero_grad(set_to_none=True)
    assert without == {"decoder.seg_layers.0.weight", "decoder.seg_layers.0.bias"}


def test_unknown_and_empty_groups_are_refused_in_words(small: nn.Module) -> None:
    with pytest.raises(ConfigError, match="no parameter group"):
        select(small, "in+deepest")
    with pytest.raises(ConfigError, match="no parameters in the group"):
        select(nn.Sequential(nn.Linear(2, 2)), "in")
