"""How long it takes to put another target's weights in place, and its work. Goals: 10 ms and 5 ms.

    python benchmarks/target_switch.py

An engine's live weights (`campaign.live_weights`) go back and forth between the newest versions of several
targets, from memory: first full deltas of the bundled network (goal: 10 ms), then instance-norm deltas of the
standard ResEnc-L of 102 million parameters with random weights (goal: 5 ms). After each switch the network is
compared with what it should be. Then a session with the bundled network on an image of 160 x 160 x 160 voxels
switches between targets that have three prompts each; what the targets cost in memory is listed beside it.
Beside the clock's times stand those of the processor, which a busy machine does not lengthen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

import bench
import numpy as np
import psutil
import torch
from swap_resencl import check, resenc_l, variant
from torch import Tensor, nn

from clopa_annotator import models
from clopa_annotator.campaign.live_weights import VersionedWeights
from clopa_annotator.campaign.prediction import LineVersion
from clopa_annotator.geometry import Geometry
from clopa_annotator.session.local import LocalSession
from clopa_annotator.session.model import load_model
from clopa_annotator.swap import watch
from clopa_annotator.types import Image, MaskPrompt, PointPrompt

GOAL_MS = {"bundled, all parameters": 10.0, "ResEnc-L, instance norm": 5.0}
SHAPE = (160, 160, 160)


@dataclass
class Model:
    """A live network and its base, as `VersionedWeights` needs them."""

    network: nn.Module
    base: Mapping[str, Tensor]
    lock: Any = field(default_factory=RLock)
    version: int = 0
    lineage: str = ""


def weights_of(
    network: nn.Module, group: str, targets: int
) -> tuple[VersionedWeights, Model, dict[str, Any]]:
    """The live weights of a network with a version 1 for each target, and the targets' deltas."""
    base = {n: p.detach().cpu().clone() for n, p in network.named_parameters()}
    model = Model(network, base)
    deltas = {f"target-{n}": variant(network, group, n) for n in range(targets)}
    watch(network)
    weights = VersionedWeights(
        model,  # type: ignore[arg-type]
        lambda line, _version: deltas[line],
        lambda _line: 1,
        lambda _line: None,
    )
    return weights, model, deltas


def switch_ms(network: nn.Module, group: str, targets: int, switches: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each switch to another target's version, by the clock and of processor time.

    The network is checked after each.
    """
    weights, model, deltas = weights_of(network, group, targets)
    order = np.random.default_rng(0).permutation(np.arange(switches) % targets)
    for line in deltas:
        weights.use(LineVersion(line, 1))  # from now on they come from memory
    times, busy = [], []
    for number in order:
        wanted = LineVersion(f"target-{number}", 1)
        if (model.lineage, model.version) == (wanted.line, wanted.version):
            continue
        began = time.thread_time()
        times.append(timed(lambda wanted=wanted: weights.use(wanted)))
        busy.append(1e3 * (time.thread_time() - began))
        check(network, model.base, deltas[wanted.line])
    return times, busy


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of some work, with the copies on a GPU done."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - started)


def work_ms(session: LocalSession, targets: int, switches: int) -> tuple[list[float], float]:
    """Milliseconds of each switch between the work on several targets, and MB that a target costs."""
    voxels = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    mask = np.zeros(SHAPE, np.uint8)
    mask[40:90, 50:100, 60:110] = 1
    session.set_image(Image(voxels, Geometry(SHAPE)))
    before = psutil.Process().memory_info().rss
    aside: dict[int, Any] = {}
    for number in range(targets):
        session.add_prompt(MaskPrompt(mask))
        session.add_prompt(PointPrompt((60, 60, 70 + number)))
        session.add_prompt(PointPrompt((20, 20, 20 + number), False))
        if number + 1 < targets:
            aside[number] = session.switch()
    cost = (psutil.Process().memory_info().rss - before) / targets / 2**20
    chosen, times = targets - 1, []
    for number in np.random.default_rng(1).integers(0, targets, switches):
        if number != chosen:
            work = aside.pop(int(number))
            started = time.perf_counter()
            aside[chosen] = session.switch(work)
            times.append(1e3 * (time.perf_counter() - started))
            chosen = int(number)
    return times, cost


def row_of(times: list[float]) -> dict[str, float]:
    """Median, 95th percentile and worst of some times."""
    return {
        "switches": len(times),
        "median_ms": round(float(np.median(times)), 2),
        "p95_ms": round(float(np.percentile(times, 95)), 2),
        "longest_ms": round(max(times), 2),
    }


def measure(given: bench.Options, _scratch: object) -> bench.Figures:
    """Switches of two networks' weights, and of a session's work."""
    torch.manual_seed(0)
    model = load_model(models.resolve("bundled"), given.device)
    found: bench.Figures = {"device": given.device, "targets": given.targets}
    for name, network, group in (
        ("bundled, all parameters", model.network, "all"),
        ("ResEnc-L, instance norm", resenc_l().to(given.device), "in"),
    ):
        tensors = variant(network, group, 0)
        clock, busy = switch_ms(network, group, given.targets, given.switches)
        found[name] = {
            "parameters": sum(p.numel() for p in network.parameters()),
            "delta_mb": round(sum(t.numel() * t.element_size() for t in tensors.values()) / 2**20, 2),
            **row_of(clock),
            "processor_median_ms": round(float(np.median(busy)), 2),
            "processor_p95_ms": round(float(np.percentile(busy, 95)), 2),
            "goal_ms": GOAL_MS[name],
        }
    times, cost = work_ms(LocalSession(model), min(given.targets, 8), min(given.switches, 50))
    found["work of a session"] = {**row_of(times), "mb_per_target": round(cost, 2)}
    return found


if __name__ == "__main__":
    bench.main(__doc__, measure, {"--device": "cpu", "--switches": 200, "--targets": 20})
