"""Parts c, f and g of `gpu`: episodes, pretraining, and the same episode on two devices."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch as replaced

import torch
from gpu import Bench, Row
from training_speed import CASES, GeneratedCases, clocked

from clopa_annotator.episode import job, loop
from clopa_annotator.episode.episode_settings import EpisodeSettings
from clopa_annotator.episode.folder import write_job
from clopa_annotator.episode.hardware.compiled import compiled
from clopa_annotator.episode.hardware.footprint import Architecture
from clopa_annotator.episode.hardware.memory_plan import work_of
from clopa_annotator.episode.job import run_job
from clopa_annotator.episode.progress import Progress
from clopa_annotator.episode.prompting import MixedPrompter
from clopa_annotator.pretrain import optimisation
from clopa_annotator.pretrain.generator import GeneratorSettings, Volume, draw_volume, stream_on
from clopa_annotator.pretrain.network import NetworkDesign
from clopa_annotator.pretrain.pretrain_settings import PretrainSettings
from clopa_annotator.pretrain.train import run as pretrain
from clopa_annotator.session.model import LoadedModel, load_model
from clopa_annotator.testing.random_model import write_random_model
from clopa_annotator.types import EpisodeRequest, EpisodeResult, Split

TOLERANCE = {"fp32": 0.01, "auto": 0.05}
"""Relative difference of the loss of any update between the two devices; bf16 has three digits."""


KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("in", {}),
    ("cn", {}),
    ("all", {}),
    ("in", {"layout": "channels last"}),
    ("in", {"compiled": True}),
)
"""Episodes of part c: each group, and the switches that are off until they are seen to pay."""


def an_episode(
    model: LoadedModel, shape: tuple[int, ...], settings: EpisodeSettings, ends: float
) -> tuple[EpisodeResult, list[tuple[float, Progress]]]:
    """Run an episode on generated cases until a time; when each update was done."""
    cases, marks = GeneratedCases(shape), []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "job"
        request = EpisodeRequest(1, CASES, Split(tuple(range(1, CASES + 1))))
        write_job(folder, request, settings, cases.refs, model.folder, campaign=Path(scratch))

        def note(progress: Progress) -> None:
            if progress.loss is not None:
                marks.append((time.perf_counter(), progress))

        result = run_job(
            folder, cases, model=model, on_progress=note, should_stop=lambda: time.monotonic() > ends
        )
    if result.status == "failed":
        raise RuntimeError(result.reason)
    return result, marks


def episodes(bench: Bench) -> Iterator[Row]:
    """(c) An episode of the paper's windows for each of `KINDS`, without validation."""
    model = load_model(bench.model, str(bench.device))
    design = _design(bench.model)
    shape = tuple(n + 8 for n in model.patch_size_kji)
    for number, (group, changed) in enumerate(KINDS):
        settings = replace(EpisodeSettings.paper(group), epochs=1, updates=2 if bench.small else 30)
        settings = replace(settings, steps=(1 if changed else 2) if bench.small else 6, **changed)
        share = bench.left(0.8 / (len(KINDS) - number))
        ends = math.inf if bench.small else time.monotonic() + share
        with _compiler(bench):
            _, marks = an_episode(model, shape, settings, ends)
        if len(marks) < 2:
            yield {"group": group, **changed, "error": "too slow: fewer than two updates in its time"}
            continue
        seconds = (marks[-1][0] - marks[0][0]) / (len(marks) - 1)
        one = replace(settings, updates=1, val_samples=0)
        rate = work_of(design, model.patch_size_kji, one).operations / seconds / 1e12
        row: Row = {"group": group, **changed, "updates": len(marks), "s_per_update": seconds, "tflops": rate}
        if bench.device.type == "cuda":
            row["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
        yield row
        if not changed:
            yield {"group": group, **_shares(bench, model, shape, settings)}


def _compiler(bench: Bench) -> AbstractContextManager[Any]:
    """A dry run compiles with a compiler that compiles nothing."""
    if not bench.small:
        return nullcontext()
    return replaced.object(job, "compiled", partial(compiled, backend="eager"))


def _shares(bench: Bench, model: LoadedModel, shape: tuple[int, ...], settings: EpisodeSettings) -> Row:
    """Where the time goes: four updates with the device waited for around each forward and backward pass."""
    few = replace(settings, updates=2 if bench.small else 4)
    started = time.perf_counter()
    with clocked(model) as clock:
        clock.running = True
        an_episode(model, shape, few, time.monotonic() + bench.left())
    return {"network_share": clock.seconds / (time.perf_counter() - started), "with_start_and_end": True}


def _design(folder: Path) -> Architecture:
    plans = json.loads((folder / "plans.json").read_text("utf-8"))
    return Architecture.from_plans(next(iter(plans["configurations"].values())))


def pretraining(bench: Bench) -> Iterator[Row]:
    """(f) Volumes per second, and windows of the base model's pretraining."""
    side = 24 if bench.small else 64
    generator = GeneratorSettings(side=side)
    makers = {"CPU": lambda n: draw_volume((1, n), generator)}
    volumes = stream_on(bench.device, 1, generator)
    makers["device"] = lambda _: next(volumes)
    for name, make in makers.items():
        numbers = iter(range(10**6))
        times = bench.repeat(lambda make=make, numbers=numbers: make(next(numbers)), 6.0)
        yield {"what": f"generation on the {name}", "side": side, "volumes_per_s": len(times) / sum(times)}
    settings = PretrainSettings(
        minutes=bench.left(0.8) / 60, processes=1, batch=8, log_s=2.0, generate_on="device"
    )
    if bench.small:
        phases = {"sides": (16,), "simple": (1.0,), "phase_ends": (1.0,)}
        short = {"updates": 2, "batch": 1, "lengths": (2,), "length_weights": (1.0,)}
        settings = replace(settings, **phases, **short, log_s=0.0, design=NetworkDesign((4, 8)))
    with tempfile.TemporaryDirectory() as scratch:
        seen, started = [], time.perf_counter()
        with _timed() as shares:
            pretrain(settings, Path(scratch), str(bench.device), on_progress=seen.append)
        seconds = time.perf_counter() - started
    if seen:
        last = seen[-1]
        yield {
            "what": "pretraining",
            "updates_per_s": last.updates / seconds,
            "volumes_per_s": last.volumes / seconds,
        }
        yield {"what": "share of the time", **{name: spent / seconds for name, spent in shares.items()}}
        yield {"what": "loss", "first": seen[0].loss, "last": last.loss, "dice_last": last.dice_last}


@contextmanager
def _timed() -> Iterator[dict[str, float]]:
    """Seconds that pretraining spends in volumes (with what it waits for there) and in prompts on the CPU."""
    spent = {"generation": 0.0, "prompts": 0.0}

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def timing(*given: Any) -> Any:
            started = time.perf_counter()
            found = work(*given)
            spent[name] += time.perf_counter() - started
            return found

        return timing

    class Prompter(MixedPrompter):
        initial = timed("prompts", MixedPrompter.initial)
        correct = timed("prompts", MixedPrompter.correct)

    def volumes(*given: Any) -> Iterator[Volume]:
        following = timed("generation", stream_on(*given).__next__)
        while True:
            yield following()

    with (
        replaced.object(optimisation, "MixedPrompter", Prompter),
        replaced.object(optimisation, "stream_on", volumes),
    ):
        yield spent


def same_on_both(bench: Bench) -> Iterator[Row]:
    """(g) The loss curve of one small episode on the CPU and on the device, clicks and samples alike."""
    updates = 2 if bench.small else 12
    settings = replace(
        EpisodeSettings.quick("cn"),
        epochs=1,
        updates=updates,
        steps=2,
        val_samples=0,
        threads=0,
        augment_on="cpu",
    )
    ends = math.inf if bench.small else bench.ends
    features = (4, 6, 8) if bench.small else (8, 32, 64, 128, 160)
    torch.backends.cudnn.allow_tf32 = False
    with tempfile.TemporaryDirectory() as scratch, replaced.object(loop, "_draws_there", lambda *_: False):
        folder = write_random_model(Path(scratch) / "model", features=features)
        for precision in ("fp32", "auto"):
            curves = []
            for device in ("cpu", str(bench.device)):
                chosen = replace(settings, precision="fp32" if device == "cpu" else precision)
                _, marks = an_episode(load_model(folder, device), (48, 48, 48), chosen, ends)
                curves.append([progress.loss for _, progress in marks])
            if not all(curves):
                yield {"precision": precision, "error": "too slow: not one update on both in its time"}
                continue
            apart = max(abs(a - b) / abs(a) for a, b in zip(*curves, strict=False))
            yield {
                "precision": precision,
                "updates": min(len(c) for c in curves),
                "largest_difference": apart,
                "tolerance": TOLERANCE[precision],
                "within": apart <= TOLERANCE[precision],
            }
