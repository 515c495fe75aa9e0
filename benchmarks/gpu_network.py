"""Parts a, b and e of `gpu`: the card's limits, passes of the network, and swaps."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from statistics import median

import torch
from gpu import Bench, Row
from swap_resencl import Target, swap_ms, variant
from torch import nn

from clopa_annotator.episode.hardware.footprint import Architecture, footprint, forward_operations
from clopa_annotator.episode.hardware.memory import MemorySaver, is_out_of_memory
from clopa_annotator.episode.loss import dice_and_cross_entropy
from clopa_annotator.episode.parameters import select
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.swap import apply_version, watch

SECONDS = 4.0


def limits(bench: Bench) -> Iterator[Row]:
    """(a) What the card can do at best."""
    kind = torch.bfloat16 if bench.device.type == "cuda" else torch.float32
    n = 256 if bench.small else 8192
    a, b = (torch.randn(n, n, device=bench.device, dtype=kind) for _ in range(2))
    seconds = median(bench.repeat(lambda: a @ b, SECONDS))
    yield {"what": "matmul", "n": n, "dtype": str(kind), "tflops": 2 * n**3 / seconds / 1e12}
    block = torch.empty(1 << (20 if bench.small else 30), dtype=torch.uint8, device=bench.device)
    other = torch.empty_like(block)
    seconds = median(bench.repeat(lambda: other.copy_(block), SECONDS))
    yield {"what": "copy", "gb_per_s": 2 * block.numel() / seconds / 1e9}


def passes(bench: Bench) -> Iterator[Row]:
    """(b) Forward alone, forward and backward, and their peak beside the plan's."""
    model = load_model(bench.model, str(bench.device))
    plans = json.loads((bench.model / "plans.json").read_text("utf-8"))
    design = Architecture.from_plans(next(iter(plans["configurations"].values())))
    kinds = ("eager", "checkpointing", "channels last", "compiled")
    for number, kind in enumerate(kinds):
        share = 1 / (len(kinds) - number)
        try:
            yield from _passes_of(bench, model, design, kind, bench.left(share) / 4)
        except RuntimeError as error:
            short = is_out_of_memory(error)
            yield {"kind": kind, "error": "out of memory" if short else str(error).splitlines()[0][:200]}
        torch.cuda.empty_cache()


def _passes_of(
    bench: Bench, model: LoadedModel, design: Architecture, kind: str, seconds: float
) -> Iterator[Row]:
    network, patch = _laid_out(bench, model.network, kind), model.patch_size_kji
    inputs = torch.randn(1, 8, *patch, device=bench.device)
    target = torch.zeros(1, *patch, device=bench.device, dtype=torch.bool)
    cast = torch.autocast("cuda", torch.bfloat16) if bench.device.type == "cuda" else nullcontext()
    operations = forward_operations(design, patch)
    saver = MemorySaver(model.network, 1, kind == "checkpointing")

    def forward() -> None:
        with torch.no_grad(), cast:
            network(inputs)

    def both() -> None:
        network.zero_grad(set_to_none=True)
        with cast:
            output = network(inputs)
        dice_and_cross_entropy(output, target).sum().backward()

    try:
        first = _first(bench, forward)
        alone = median(bench.repeat(forward, seconds))
        row: Row = {"kind": kind, "what": "forward", "ms": 1e3 * alone, "first_ms": 1e3 * first}
        yield row | {"tflops": operations / alone / 1e12}
        for group in ("in", "all"):
            _train_only(model.network, group)
            first = _first(bench, both)
            before = _start_counting(bench)
            took = median(bench.repeat(both, seconds))
            rate = operations * (3 if group == "all" else 2) / took / 1e12
            row = {"kind": kind, "what": "forward and backward", "group": group, "ms": 1e3 * took}
            row |= {"first_ms": 1e3 * first, "tflops": rate}
            yield row | _memory(bench, design, patch, kind, before)
    finally:
        saver.undo()
        model.network.zero_grad(set_to_none=True)


def _first(bench: Bench, work: Callable[[], None]) -> float:
    """Seconds of a pass that compiles, or finds its algorithms, as an episode's first one does."""
    started = time.perf_counter()
    work()
    bench.wait()
    return time.perf_counter() - started


def _train_only(network: nn.Module, group: str) -> None:
    network.requires_grad_(False)
    for parameter in select(network, group).values():
        parameter.requires_grad_(True)


def _laid_out(bench: Bench, network: nn.Module, kind: str) -> nn.Module:
    layout = torch.channels_last_3d if kind == "channels last" else torch.contiguous_format
    for parameter in network.parameters():
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    if kind != "compiled":
        return network
    compiled: nn.Module = torch.compile(network, backend="eager" if bench.small else "inductor")
    return compiled


def _start_counting(bench: Bench) -> int:
    if bench.device.type != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def _memory(bench: Bench, design: Architecture, patch: tuple[int, int, int], kind: str, before: int) -> Row:
    """Peak of the passes beside what was foreseen; on a CPU only the latter (tests compare it there)."""
    cuda = bench.device.type == "cuda"
    size, again = 2 if cuda else 4, kind == "checkpointing"
    foreseen = footprint(design, patch, value_bytes=size, checkpointing=again).peak / 2**30
    if not cuda:
        return {"foreseen_gib": foreseen}
    peak = (torch.cuda.max_memory_allocated() - before) / 2**30
    return {"peak_gib": peak, "foreseen_gib": foreseen, "peak_over_foreseen": peak / foreseen}


def swaps(bench: Bench) -> Iterator[Row]:
    """(e) Milliseconds from one version to another; every result is compared with what it should be."""
    network = load_model(bench.model, str(bench.device)).network
    base = {n: p.detach().cpu().clone() for n, p in network.named_parameters()}
    for group in ("in", "all"):
        target, delta = Target(network), variant(network, group, 1)
        watch(network)
        apply_version(target, base, None, 0)
        times = swap_ms(target, base, delta, 3 if bench.small or group == "all" else 31)
        yield {"group": group, "tensors": len(delta), "median_ms": median(times), "worst_ms": max(times)}
        apply_version(target, base, None, 0)
