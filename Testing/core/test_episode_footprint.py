"""Memory foreseen from plans beside what PyTorch keeps and has alive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from live_memory import LiveBytes, saved_bytes
from torch import nn

from clopa_annotator.episode.hardware.footprint import (
    LOSS_BYTES_PER_VOXEL,
    OFFICIAL_PATCH,
    RESENC_L,
    Architecture,
    click_bytes,
    footprint,
    forward_operations,
    parameter_count,
)
from clopa_annotator.episode.hardware.memory import MemorySaver
from clopa_annotator.episode.loss import dice_and_cross_entropy
from clopa_annotator.episode.parameters import select
from clopa_annotator.errors import ConfigError
from clopa_annotator.session.lean import PlansManager, nnInteractiveTrainer_stub
from clopa_annotator.testing.random_model import CONFIGURATION, random_plans

SMALL = {
    "the bundled network": ((32, 32, 32), (8, 32, 64, 128, 160), (1, 1, 1, 1, 1)),
    "more blocks than one": ((32, 48, 32), (8, 16, 24), (1, 2, 3)),
    "stages of one width": ((32, 32, 32), (16, 16, 16), (2, 1, 1)),
}


def network_of(patch: tuple, features: tuple, blocks: tuple) -> tuple[nn.Module, Architecture]:
    plans = random_plans(patch, features, blocks)
    manager = PlansManager(plans)
    network = nnInteractiveTrainer_stub.build_network_architecture(
        manager, manager.get_configuration(CONFIGURATION), 8, 2, enable_deep_supervision=False
    )
    return network, Architecture.from_plans(plans["configurations"][CONFIGURATION])


def official() -> nn.Module:
    """The official network without memory, in the type that autocast gives its activations."""
    with torch.device("meta"):
        network, design = network_of(OFFICIAL_PATCH, RESENC_L.features, RESENC_L.blocks)
    assert design == RESENC_L
    return network.bfloat16()


def peak_of(network: nn.Module, inputs: torch.Tensor) -> int:
    target = torch.zeros(1, *inputs.shape[2:], dtype=torch.bool, device=inputs.device)
    with LiveBytes() as live:
        dice_and_cross_entropy(network(inputs), target).sum().backward()
    return live.peak


def only_norms(network: nn.Module) -> None:
    """Let nothing but the norms be trained, so that gradients of weights do not count."""
    network.requires_grad_(False)
    for parameter in select(network, "in").values():
        parameter.requires_grad_(True)


@pytest.mark.parametrize("group", ["in", "cn", "all"])
@pytest.mark.parametrize("name", SMALL)
def test_what_is_kept_for_the_backward_pass_is_foreseen_within_15_percent(name: str, group: str) -> None:
    network, design = network_of(*SMALL[name])
    network.requires_grad_(False)
    for parameter in select(network, group).values():
        parameter.requires_grad_(True)
    patch = SMALL[name][0]
    kept, _output = saved_bytes(network, torch.randn(1, 8, *patch))
    foreseen = footprint(design, patch, value_bytes=4, keeps_input=group != "in").saved
    voxels = patch[0] * patch[1] * patch[2]
    assert foreseen - LOSS_BYTES_PER_VOXEL * voxels == pytest.approx(kept, rel=0.15)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", SMALL)
def test_the_peak_of_a_pass_is_foreseen_within_15_percent(name: str, checkpointing: bool) -> None:
    network, design = network_of(*SMALL[name])
    only_norms(network)
    saver = MemorySaver(network, 1, checkpointing)
    patch = SMALL[name][0]
    peak = peak_of(network, torch.randn(1, 8, *patch))
    saver.undo()
    foreseen = footprint(design, patch, value_bytes=4, checkpointing=checkpointing, keeps_input=False).peak
    assert foreseen == pytest.approx(peak, rel=0.15)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_official_networks_peak_is_foreseen_within_15_percent(checkpointing: bool) -> None:
    network = official()
    only_norms(network)
    inputs = torch.empty(1, 8, *OFFICIAL_PATCH, device="meta", dtype=torch.bfloat16)
    MemorySaver(network, 1, checkpointing)
    kept, output = saved_bytes(network, inputs)
    foreseen = footprint(RESENC_L, OFFICIAL_PATCH, checkpointing=checkpointing, keeps_input=False)
    assert foreseen.saved == pytest.approx(kept, rel=0.15)
    del output
    assert foreseen.peak == pytest.approx(peak_of(network, inputs), rel=0.15)


def test_the_official_networks_prediction_is_foreseen_within_15_percent() -> None:
    network = official()
    inputs = torch.empty(1, 8, *OFFICIAL_PATCH, device="meta", dtype=torch.bfloat16)
    with torch.no_grad(), LiveBytes() as live:
        network(inputs)
    assert click_bytes(RESENC_L, OFFICIAL_PATCH) == pytest.approx(live.peak, rel=0.15)


@pytest.mark.parametrize("name", SMALL)
def test_weights_and_operations_are_counted_exactly(name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    network, design = network_of(*SMALL[name])
    assert parameter_count(design) == sum(p.numel() for p in network.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.randn(1, 8, *SMALL[name][0]))
    assert forward_operations(design, SMALL[name][0]) == counter.get_total_flops()


def test_the_official_network_has_its_published_number_of_weights() -> None:
    assert parameter_count(RESENC_L) == 102_355_818


def test_the_bundled_models_plans_are_read() -> None:
    models = Path(__file__).resolve().parents[2] / "CLoPAAnnotator" / "Resources" / "Models"
    plans = models / "clopa-base" / "plans.json"
    design = Architecture.from_plans(json.loads(plans.read_text("utf-8"))["configurations"][CONFIGURATION])
    assert design.features[0] == 8 and design.step_kji == (16, 16, 16)


def test_a_network_of_another_kind_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="cannot be foreseen"):
        Architecture.from_plans({"architecture": {"network_class_name": "a.b.PlainConvUNet"}})
    with pytest.raises(ConfigError, match="do not say"):
        Architecture.from_plans({})
