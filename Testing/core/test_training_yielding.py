"""Training stands back between layers, and computes the same as without."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clopa_annotator.episode.hardware.compiled import Compiled
from clopa_annotator.training.yielding import between_layers


def a_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1),
        nn.InstanceNorm3d(4, affine=True),
        nn.LeakyReLU(inplace=True),
        nn.Conv3d(4, 2, 1),
    )


def gradients(network: nn.Module) -> list[torch.Tensor]:
    network.zero_grad()
    network(torch.arange(64.0).reshape(1, 1, 4, 4, 4) / 64).square().mean().backward()
    return [p.grad.clone() for p in network.parameters()]


def test_every_layer_asks_on_the_way_forward_and_on_the_way_back() -> None:
    network, asked = a_network(), []
    with between_layers(lambda: asked.append(1)), torch.no_grad():
        network(torch.zeros(1, 1, 4, 4, 4))
    forward = len(asked)
    with between_layers(lambda: asked.append(1)):
        gradients(network)
    assert forward >= 4
    assert len(asked) - forward >= forward + 4
    asked.clear()
    gradients(network)
    assert not asked


def test_gradients_are_those_of_a_run_without_hooks() -> None:
    network = a_network()
    before = gradients(network)
    with between_layers(lambda: None):
        within = gradients(network)
    assert all(torch.equal(a, b) for a, b in zip(before, within, strict=True))


def test_a_compiled_network_is_one_layer_and_still_compiled_whole() -> None:
    network, asked, graphs = a_network(), [], []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    whole, before = Compiled(network, backend), gradients(network)
    with between_layers(lambda: asked.append(1)):
        whole.zero_grad()
        whole(torch.arange(64.0).reshape(1, 1, 4, 4, 4) / 64).square().mean().backward()
    assert len(graphs) == 1 and len(asked) == 2
    torch.testing.assert_close([p.grad for p in network.parameters()], before)


@pytest.mark.parametrize("nth", [1, 8])
def test_a_refusal_ends_the_pass_and_leaves_no_hooks(nth: int) -> None:
    network, asked = a_network(), []

    def refuse() -> None:
        asked.append(1)
        if len(asked) == nth:
            raise InterruptedError

    with pytest.raises(InterruptedError), between_layers(refuse):
        gradients(network)
    asked.clear()
    gradients(network)
    assert not asked
