"""What an episode will need on a device, in words, from sizes alone. Free of torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.hardware.footprint import OFFICIAL_PATCH, RESENC_L, Architecture, parameter_count
from clopa_annotator.episode.hardware.memory_plan import (
    GIB,
    MemoryPlan,
    Room,
    plan_memory,
    room_on_card,
    work_of,
)
from clopa_annotator.errors import ClopaError, ModelError
from clopa_annotator.geometry import Kji

ASSUMED_RATES = {8: 1e13, 12: 1.5e13, 24: 3e13, 80: 1.5e14}
"""Operations per second that convolutions are assumed to sustain, by the GiB of a card; not measured yet."""
ASSUMED_SHARE = 0.4
"""Part of a device's rate of multiplying matrices that convolutions are taken to reach; not measured yet."""
OFFICIAL_INSTANCE_NORM = 27_648
"""Values of the official network's instance norms, the group that is trained by default on a GPU."""


@dataclass(frozen=True)
class Network:
    """A model as far as planning needs it."""

    name: str
    design: Architecture
    patch_kji: Kji
    settings: EpisodeSettings
    trained: int


def official() -> Network:
    """nnInteractive's own network with the paper's schedule."""
    return Network(
        "the official network", RESENC_L, OFFICIAL_PATCH, EpisodeSettings.paper(), OFFICIAL_INSTANCE_NORM
    )


def model_in(folder: Path, settings: EpisodeSettings) -> Network:
    """A model folder's network; all its weights count as trained, which is the most there can be.

    Raises:
        ModelError: its plans cannot be read.
        ConfigError: it is of a kind whose memory cannot be foreseen.
    """
    try:
        plans = json.loads((folder / "plans.json").read_text(encoding="utf-8"))
        configuration = next(iter(plans["configurations"].values()))
        k, j, i = (int(n) for n in configuration["patch_size"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ModelError(
            f"The plans of the model in {folder} cannot be read; get the model again."
        ) from error
    design = Architecture.from_plans(configuration)
    return Network(folder.name, design, (k, j, i), settings, parameter_count(design))


def on_card(size_gib: int) -> str:
    """An episode of the official network on a card of this size, in words."""
    network = official()
    room = room_on_card(size_gib * GIB, network.design, network.patch_kji)
    rate = ASSUMED_RATES[size_gib]
    how = f"at an assumed {rate / 1e12:.0f} TFLOP/s; not measured yet"
    return in_words(network, room, rate, how)


def in_words(network: Network, room: Room, operations_per_s: float, how: str, value_bytes: int = 2) -> str:
    """The plan and the time that it is expected to take.

    Args:
        network: what is trained.
        room: memory for it.
        operations_per_s: of its convolutions; 0 if nothing is known.
        how: where that figure comes from.
        value_bytes: of an activation.
    """
    try:
        plan = plan_memory(
            network.design, network.patch_kji, network.settings, network.trained, room, value_bytes
        )
    except ClopaError as error:
        return f"An episode of {network.name} does not fit. {error}"
    return (
        f"An episode of {network.name}: {plan.sentence()} {_expected(network, plan, operations_per_s, how)}"
    )


def _expected(network: Network, plan: MemoryPlan, operations_per_s: float, how: str) -> str:
    if operations_per_s <= 0:
        return "How long it takes is not known: not measured yet."
    work = work_of(network.design, plan.patch_kji, network.settings, plan.checkpointing)
    minutes = work.minutes(operations_per_s)
    return (
        f"Expected: {minutes:.0f} minutes" if minutes >= 10 else f"Expected: {minutes:.1f} minutes"
    ) + f" for {work.passes} passes of one sample and {work.looks} looks at held-out ones ({how})."
