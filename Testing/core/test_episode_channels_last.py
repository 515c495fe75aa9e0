"""The layout of weights while training: the same numbers, another order in memory, and back again."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clopa_annotator.episode.hardware.channels_last import train_channels_last, training_layout


def a_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.InstanceNorm3d(4, affine=True), nn.Conv3d(4, 2, 1))


def is_channels_last(network: nn.Module) -> bool:
    return network[0].weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_weights_lie_channels_last_inside_and_as_before_after_an_error() -> None:
    network = a_network()
    before = {n: p.clone() for n, p in network.named_parameters()}
    parameters = list(network.parameters())
    with pytest.raises(RuntimeError, match="stop"), training_layout(network):
        assert is_channels_last(network) and not network[0].weight.is_contiguous()
        raise RuntimeError("stop")
    assert network[0].weight.is_contiguous()
    assert all(a is b for a, b in zip(parameters, network.parameters(), strict=True))
    assert all(torch.equal(p, before[n]) for n, p in network.named_parameters())


@pytest.mark.parametrize(("layout", "last"), [("auto", True), ("usual", False), ("channels last", True)])
def test_a_setting_decides_the_layout(layout: str, last: bool) -> None:
    network = a_network()
    with training_layout(network, layout):
        assert is_channels_last(network) == last
    assert network[0].weight.is_contiguous()


def test_away_from_the_cpu_the_layout_stays_unless_asked_for() -> None:
    network = a_network().to("meta")
    with training_layout(network):
        assert not is_channels_last(network)
    with training_layout(network, "channels last"):
        assert is_channels_last(network)


def test_gradients_are_the_same_up_to_rounding() -> None:
    inputs, found = torch.randn(2, 2, 8, 8, 8), []
    for change in (lambda _: None, train_channels_last):
        network = a_network()
        change(network)
        network(inputs).square().mean().backward()
        found.append(network[0].weight.grad)
    torch.testing.assert_close(found[0], found[1].contiguous())
